"""What a tiny query costs beyond its work: through the handle, and through HTTP."""

from __future__ import annotations

import asyncio
import tempfile
import time

import orjson

from benchmarks.clusters import a_service
from benchmarks.engines import TENANT, an_engine
from benchmarks.report import Measurement, Report, at_most, median, percentile, seconds
from benchmarks.workload import ndjson
from tenancy.analytics.collection import Payload
from tenancy.analytics.core import CoreAnalyticsManager

ROWS = 100
REPEATS = 300
QUESTION = {"type": "aggregation", "metrics": ["play_count"], "dimensions": ["country"]}


async def in_process() -> list[float]:
    """Seconds of each query to an engine in this process."""
    taken = []
    with an_engine() as engine:
        await engine.collect("user_interactions", Payload.from_http(ndjson(ROWS), "application/x-ndjson"))
        for _ in range(REPEATS):
            started = time.perf_counter()
            await engine.query(QUESTION)
            taken.append(time.perf_counter() - started)
        await engine.close()
    return taken


async def by_handle() -> list[float]:
    """Seconds of each query through the manager, the handle, and the tenant's actor."""
    taken = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with CoreAnalyticsManager({"storage": {"root": folder}}) as manager:
            await manager.register_tenant(TENANT)
            rows = [orjson.loads(line) for line in ndjson(ROWS).splitlines()]
            await manager.collect_data(TENANT, rows)
            for _ in range(REPEATS):
                started = time.perf_counter()
                await manager.execute_query(TENANT, QUESTION)
                taken.append(time.perf_counter() - started)
    return taken


def by_http(*, fast: bool) -> list[float]:
    """Seconds of each query over one connection that is kept open."""
    with a_service(haproxy=fast, throughput=fast) as service:
        connection, body = service.connection(), orjson.dumps(QUESTION)
        events = f"/v1/tenants/{TENANT}/datasets/user_interactions/events"
        connection.call("POST", events, ndjson(ROWS), "application/x-ndjson")
        seconds(lambda: connection.call("POST", f"/v1/tenants/{TENANT}/query", body), 20)
        return seconds(lambda: connection.call("POST", f"/v1/tenants/{TENANT}/query", body), REPEATS)


def measure() -> Report:
    engine, handle = asyncio.run(in_process()), asyncio.run(by_handle())
    http, plain = by_http(fast=True), by_http(fast=False)
    return Report(
        "overhead",
        (
            Measurement("tiny query in the host's process, p50", 1e3 * median(engine), "ms"),
            at_most("tiny query through the handle, p50", 1e3 * median(handle), "ms", 5),
            Measurement("tiny query through the handle, p99", 1e3 * percentile(handle, 0.99), "ms"),
            at_most("tiny query through HTTP, p50", 1e3 * median(http), "ms", 15),
            Measurement("tiny query through HTTP, p99", 1e3 * percentile(http, 0.99), "ms"),
            Measurement("tiny query through HTTP with Serve's defaults, p50", 1e3 * median(plain), "ms"),
        ),
    )


if __name__ == "__main__":
    measure().save()
