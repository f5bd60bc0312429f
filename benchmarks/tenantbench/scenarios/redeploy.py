"""Everything that can be replaced is replaced while tenants work: a run of a minute at least."""

from __future__ import annotations

from benchmarks.report import Measurement
from benchmarks.tenantbench.adapter import Fault
from benchmarks.tenantbench.scenarios._hurt import hurt
from benchmarks.tenantbench.stage import Stage


async def run(stage: Stage) -> list[Measurement]:
    return await hurt(stage, Fault.REDEPLOY, least_s=60.0)
