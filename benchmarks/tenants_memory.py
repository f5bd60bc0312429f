"""What a tenant costs: memory of one that is active and light, bytes of one that is cold, and the time to open one."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from actors.lean_process import give_back_memory, hide

hide("pandas")
give_back_memory()  # both as in the process of a host

from benchmarks.report import Measurement, Report, at_most, median, percentile  # noqa: E402
from benchmarks.workload import ndjson  # noqa: E402
from tenancy.analytics.collection import Payload  # noqa: E402
from tenancy.analytics.config import AnalyticsConfig  # noqa: E402
from tenancy.analytics.engine import AnalyticsEngine, HostResources  # noqa: E402
from tenancy.analytics.engine.memory.process import release_unused, resident_bytes  # noqa: E402

ACTIVE = 500
REGISTERED = 1_000
WOKEN = 60
EVENTS = 20
QUESTION = {"type": "aggregation", "metrics": ["count"], "dimensions": ["country"]}
KILOBYTE, MEGABYTE = 1e3, 1e6


@contextmanager
def a_host(tenants: int, prefix: str) -> Iterator[tuple[HostResources, list[str], Path]]:
    """The resources of a host, and tenants registered there."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        resources = HostResources.open(AnalyticsConfig.load({"storage": {"root": folder}}, {}))
        try:
            names = [f"{prefix}_{number:05}" for number in range(tenants)]
            for name in names:
                resources.backing.register(name, {})
            yield resources, names, Path(folder)
        finally:
            resources.close()


def stored_bytes(folder: Path) -> int:
    """Bytes that files take on the disk."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def resident() -> int:
    release_unused()
    return resident_bytes()


async def active() -> tuple[float, float]:
    """Bytes in memory for each tenant that has some events and a query; and of the host before the first of many."""
    body = Payload.from_http(ndjson(EVENTS), "application/x-ndjson")
    with a_host(ACTIVE + 1, "active") as (resources, names, _):
        engines = []

        async def use(name: str) -> None:
            engine = await asyncio.to_thread(AnalyticsEngine.open, name, resources)
            engines.append(engine)
            await engine.collect("user_interactions", body)
            await engine.query(QUESTION)

        await use(names[0])  # loads what all of them share
        before = resident()
        for name in names[1:]:
            await use(name)
        after = resident()
        for engine in engines:
            await engine.close()
    return (after - before) / ACTIVE, before


async def cold() -> tuple[float, float]:
    """Bytes on disk for each tenant that is registered and nothing else; and for one that was active before."""
    body = Payload.from_http(ndjson(EVENTS), "application/x-ndjson")
    with a_host(100, "first") as (resources, names, folder):
        before, was = stored_bytes(folder), resident()
        for number in range(REGISTERED):
            resources.backing.register(f"more_{number:05}", {})
        registered = (stored_bytes(folder) - before + max(0, resident() - was)) / REGISTERED
        before = stored_bytes(folder)
        for name in names:
            engine = await asyncio.to_thread(AnalyticsEngine.open, name, resources)
            await engine.collect("user_interactions", body)
            await engine.close()
        return registered, (stored_bytes(folder) - before) / len(names)


def opened(name: str, resources: HostResources) -> tuple[AnalyticsEngine, float, float]:
    """An engine, and the milliseconds that opening it took, and those of them that were CPU time of its thread."""
    started, cpu = time.perf_counter(), time.thread_time()
    engine = AnalyticsEngine.open(name, resources)
    return engine, 1e3 * (time.perf_counter() - started), 1e3 * (time.thread_time() - cpu)


async def waking() -> tuple[list[float], list[float]]:
    """Milliseconds to open a tenant with a segment and, in the log, events that were not written out; CPU of that."""
    body = Payload.from_http(ndjson(EVENTS), "application/x-ndjson")
    with a_host(WOKEN, "woken") as (resources, names, _):
        for name in names:
            engine = await asyncio.to_thread(AnalyticsEngine.open, name, resources)
            await engine.collect("user_interactions", body)
            await engine.flush()
            await engine.collect("user_interactions", body)  # and then, as after a crash, nothing is closed
        taken, cpu = [], []
        for name in names:
            engine, wall, thread = await asyncio.to_thread(opened, name, resources)
            taken.append(wall)
            cpu.append(thread)
            await engine.close()
        return taken, cpu


async def measure() -> Report:
    memory, host = await active()
    registered, used = await cold()
    taken, cpu = await waking()
    return Report(
        "tenants_memory",
        (
            Measurement("a host that serves one tenant, in this process", host / MEGABYTE, "MB"),
            at_most(f"memory of an active light tenant, of {ACTIVE}", memory / MEGABYTE, "MB", 5),
            at_most(f"a registered tenant, of {REGISTERED}: files, catalog, memory", registered / KILOBYTE, "kB", 50),
            Measurement("the same after it stored a few events and went cold", used / KILOBYTE, "kB"),
            at_most("opening a cold tenant with events in the log, p50", median(taken), "ms", 15),
            Measurement("opening a cold tenant with events in the log, p95", percentile(taken, 0.95), "ms"),
            Measurement("of that, CPU time of the thread, p50", median(cpu), "ms"),
        ),
    )


if __name__ == "__main__":
    asyncio.run(measure()).save()
