"""A process that serves tenants is killed while they work."""

from __future__ import annotations

from benchmarks.report import Measurement
from benchmarks.tenantbench.adapter import Fault
from benchmarks.tenantbench.scenarios._hurt import hurt
from benchmarks.tenantbench.stage import Stage


async def run(stage: Stage) -> list[Measurement]:
    return await hurt(stage, Fault.KILL_HOST)
