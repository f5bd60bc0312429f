"""A quiet day: what the system does when nobody does harm, on an open loop."""

from __future__ import annotations

from benchmarks.report import Measurement
from benchmarks.tenantbench.stage import Stage, latencies, own_cost, patience_of


async def run(stage: Stage) -> list[Measurement]:
    samples = await stage.load(stage.settings.seconds)
    return [*latencies("quiet", samples), *patience_of(samples), *own_cost(samples), *await stage.accounts()]
