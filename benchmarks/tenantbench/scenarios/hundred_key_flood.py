"""One tenant spreads its flood of events over a hundred keys: limits that count keys do not see it."""

from __future__ import annotations

from benchmarks.report import Measurement
from benchmarks.tenantbench.flood import Flood
from benchmarks.tenantbench.scenarios._flooded import flooded
from benchmarks.tenantbench.stage import Stage
from benchmarks.tenantbench.workload import Kind, marker_of


async def run(stage: Stage) -> list[Measurement]:
    chosen = stage.settings
    flood = Flood(
        tenant=stage.loud,
        kind=Kind.INGEST,
        rate=chosen.flood_rate,
        seconds=60 + 2 * chosen.seconds,  # until it is stopped
        connections=chosen.flood_connections,
        keys=100,
        rows=chosen.flood_rows,
        marker=marker_of(stage.loud, chosen.seed),
    )
    return await flooded(stage, flood)
