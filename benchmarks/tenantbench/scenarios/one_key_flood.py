"""One tenant sends events far above what the system can take, with one key."""

from __future__ import annotations

from benchmarks.report import Measurement
from benchmarks.tenantbench.scenarios._flooded import flooded_with_events
from benchmarks.tenantbench.stage import Stage


async def run(stage: Stage) -> list[Measurement]:
    return await flooded_with_events(stage, keys=1)
