"""What shards cost and bring: a tenant on one host against the same one on two, through real hosts on this machine.

Batches of 5,000 plays are collected by four callers, a tiny and a heavy query are asked, the heavy one over 5 million
events with ids of their own, and the tenant is resharded with all of these within the window. The callers, who split
the batches, and both hosts share the cores of this machine: two shards can be faster only where there are more.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from typing import Any

import pyarrow as pa

from benchmarks.report import Measurement, Report, median, percentile
from benchmarks.workload import ndjson, plays
from tenancy.analytics.collection import Payload
from tenancy.analytics.collection.payload import Media
from tenancy.analytics.core import CoreAnalyticsManager

BATCH = 5_000
CALLERS = 4
COLLECT_S = 8.0
EVENTS = 5_000_000
PIECE = 250_000
TINY_ROWS = 1_000
TIMES = 30
TINY = {"type": "aggregation", "metrics": ["play_count"], "dimensions": ["country"]}
PARTED = {"type": "aggregation", "metrics": ["count", "avg_duration"], "dimensions": ["country", "device"]}
WHOLE = {"type": "aggregation", "metrics": ["count", "distinct_user_id"], "dimensions": ["country"]}
SETTINGS: dict[str, Any] = {
    "placement": {"namespace": "benchmark-shards", "shared_hosts": 2},
    "analytics_engine": {"batch_size": PIECE},
    "data_collection": {"buffer_size": 4 * PIECE, "max_in_flight_bytes": 2**31, "anomaly_detection_enabled": False},
}


async def collected(manager: CoreAnalyticsManager, tenant: str) -> float:
    """Events a second."""
    bodies = [Payload(ndjson(BATCH, seed), Media.NDJSON) for seed in range(CALLERS)]
    until = time.perf_counter() + COLLECT_S

    async def call(body: Payload) -> int:
        rows = 0
        while time.perf_counter() < until:
            rows += (await manager.collect_data(tenant, body)).rows
        return rows

    await manager.collect_data(tenant, bodies[0])
    began = time.perf_counter()
    rows = sum(await asyncio.gather(*map(call, bodies)))
    return rows / (time.perf_counter() - began)


async def asked(manager: CoreAnalyticsManager, tenant: str, query: dict[str, Any], times: int) -> list[float]:
    """Milliseconds of each of so many queries, one after the other."""
    await manager.execute_query(tenant, query)
    found = []
    for _ in range(times):
        began = time.perf_counter()
        await manager.execute_query(tenant, query)
        found.append((time.perf_counter() - began) * 1e3)
    return found


async def load(manager: CoreAnalyticsManager, tenant: str) -> None:
    """The events, each with an id."""
    for number in range(EVENTS // PIECE):
        ids = pa.array([f"{number}-{row}" for row in range(PIECE)])
        await manager.collect_data(tenant, plays(PIECE, number % 20).append_column("event_id", ids))


async def resharded(manager: CoreAnalyticsManager, tenant: str, shards: int) -> float:
    """Seconds."""
    began = time.perf_counter()
    await manager.reshard(tenant, shards)
    return time.perf_counter() - began


async def main() -> None:
    found: list[Measurement] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        async with CoreAnalyticsManager({**SETTINGS, "storage": {"root": folder}}) as manager:
            for tenant, shards in (("one", 1), ("two", 2)):
                name = "1 host" if shards == 1 else "2 shards"
                await manager.register_tenant(tenant)
                if shards > 1:
                    await manager.reshard(tenant, shards)
                found.append(Measurement(f"collecting, {name}", await collected(manager, tenant), "events/s"))
            for tenant, shards in (("tiny_one", 1), ("tiny_two", 2)):
                name = "1 host" if shards == 1 else "2 shards"
                await manager.register_tenant(tenant)
                if shards > 1:
                    await manager.reshard(tenant, shards)
                await manager.collect_data(tenant, Payload(ndjson(TINY_ROWS), Media.NDJSON))
                times = await asked(manager, tenant, TINY, TIMES)
                found.append(Measurement(f"tiny query, {name}, p50", median(times), "ms"))
                found.append(Measurement(f"tiny query, {name}, p90", percentile(times, 0.9), "ms"))
            await manager.register_tenant("large")
            await load(manager, "large")
            for name in ("1 host", "2 shards"):
                if name == "2 shards":
                    found.append(Measurement("reshard 1 → 2, 5 M ids", await resharded(manager, "large", 2), "s"))
                for kind, query in (("sums", PARTED), ("distinct", WHOLE)):
                    times = await asked(manager, "large", query, 7)
                    found.append(Measurement(f"{kind} over 5 M, {name}, p50", median(times), "ms"))
            again = plays(PIECE, 0).append_column("event_id", pa.array([f"0-{row}" for row in range(PIECE)]))
            receipts = await manager.collect_data("large", again)
            assert receipts.counts()["duplicate"] == PIECE, receipts.counts()
            found.append(Measurement("reshard 2 → 1, 5 M ids", await resharded(manager, "large", 1), "s"))
    report = Report("shards", tuple(found))
    report.save()
    for measurement in found:
        print(f"{measurement.what}: {measurement.value:.1f} {measurement.unit}")


if __name__ == "__main__":
    asyncio.run(main())
