"""One tenant with many events asks the most expensive question, again and again, faster than it can be answered."""

from __future__ import annotations

from benchmarks.report import Measurement
from benchmarks.tenantbench.flood import Flood
from benchmarks.tenantbench.scenarios._flooded import flooded
from benchmarks.tenantbench.stage import Stage
from benchmarks.tenantbench.workload import Kind, Question


async def run(stage: Stage) -> list[Measurement]:
    chosen = stage.settings
    await stage.fill(stage.loud, chosen.heavy_rows)
    flood = Flood(
        tenant=stage.loud,
        kind=Kind.QUERY,
        rate=chosen.heavy_rate,
        seconds=60 + 2 * chosen.seconds,  # until it is stopped
        connections=chosen.flood_connections,
        question=Question.HEAVY,
    )
    return await flooded(stage, flood)
