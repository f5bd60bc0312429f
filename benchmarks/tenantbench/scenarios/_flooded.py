"""What the scenarios with a flood share: the quiet tenants' day without it and with it, same requests, same moments."""

from __future__ import annotations

import asyncio

from benchmarks.report import Measurement, at_most
from benchmarks.tenantbench.client import IMPATIENT
from benchmarks.tenantbench.drive import Samples
from benchmarks.tenantbench.flood import Flood, FloodTold, flooding
from benchmarks.tenantbench.stage import Stage, latencies, own_cost, patience_of
from benchmarks.tenantbench.workload import Kind, marker_of

_LEAD_S = 1.0
"""The flood runs so long before the first measured request, so that its queues are as full as they get."""


async def flooded(stage: Stage, flood: Flood) -> list[Measurement]:
    """Baseline, then the same under the flood, then a shorter part with clients that do not wait and repeat."""
    chosen = stage.settings
    alone = await stage.load(chosen.seconds, seed=1)
    with flooding(flood, stage.system.door()) as told:
        await asyncio.sleep(_LEAD_S)
        beset = await stage.load(chosen.seconds, seed=1)
        careless = await stage.load(chosen.seconds / 4, seed=2, patience=IMPATIENT)
    stage.ledger.merge(told.ledger)
    return [
        *latencies("without the flood", alone),
        *latencies("under the flood", beset),
        *_ratios(alone, beset),
        *patience_of(beset),
        Measurement("clients that do not repeat: failed", 100 * (1 - careless.at_once), "%"),
        *_flood(told, flood),
        *own_cost(beset),
        *await stage.accounts(),
    ]


async def flooded_with_events(stage: Stage, keys: int) -> list[Measurement]:
    """`flooded` with events of the loud tenant, far above what the system can take, over so many keys."""
    chosen = stage.settings
    flood = Flood(
        tenant=stage.loud,
        kind=Kind.INGEST,
        rate=chosen.flood_rate,
        seconds=60 + 2 * chosen.seconds,  # until it is stopped
        connections=chosen.flood_connections,
        keys=keys,
        rows=chosen.flood_rows,
        marker=marker_of(stage.loud, chosen.seed),
    )
    return await flooded(stage, flood)


def _ratios(alone: Samples, beset: Samples) -> list[Measurement]:
    queries = beset.of(Kind.QUERY).ms(0.99) / alone.of(Kind.QUERY).ms(0.99)
    batches = beset.of(Kind.INGEST).ms(0.99) / alone.of(Kind.INGEST).ms(0.99)
    return [
        at_most("quiet query p99, under the flood against without", queries, "×", 1.5),
        Measurement("quiet batch p99, under the flood against without", batches, "×"),
    ]


def _flood(told: FloodTold, flood: Flood) -> list[Measurement]:
    seconds = max(told.seconds, 1e-9)
    found = [
        Measurement("flood: requests due", told.due / seconds, "requests/s"),
        Measurement("flood: not sent, all connections waiting", told.unsent / seconds, "requests/s"),
        *(Measurement(f"flood: {word}", count / seconds, "requests/s") for word, count in told.outcomes.items()),
        Measurement("flood: CPU of its process", told.cpu_s / seconds, "cores"),
    ]
    if flood.kind is Kind.INGEST:
        found.append(Measurement("flood: events stored", told.outcomes["ok"] * flood.rows / seconds, "events/s"))
    return found
