"""One tenant spreads its flood of events over a hundred keys: limits that count keys do not see it."""

from __future__ import annotations

from benchmarks.report import Measurement
from benchmarks.tenantbench.scenarios._flooded import flooded_with_events
from benchmarks.tenantbench.stage import Stage


async def run(stage: Stage) -> list[Measurement]:
    return await flooded_with_events(stage, keys=100)
