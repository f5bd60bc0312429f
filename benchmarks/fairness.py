"""Whether a tenant notices its loud neighbour: tiny queries of quiet tenants in one host, while another one floods it.

The loud tenant keeps eight calls in flight: batches of 1,000 events, or queries over 5 million rows. The peer is the
same host with one pool of threads, first come first served, and one DuckDB at one priority. Phases take turns.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.report import Measurement, Report, at_most, median, percentile
from benchmarks.workload import ndjson, plays
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig, EngineConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources
from tenancy.analytics.engine.host_resources import QueryExecutors
from tenancy.analytics.engine.scheduling import CrewClock, FairScheduler, Lanes
from tenancy.analytics.query import DuckDBExecutor

QUIET = tuple(f"quiet_{index}" for index in range(5))
QUIET_EVERY_S = 0.1
SEGMENTS = 5
SEGMENT_ROWS = 1_000_000
CALLERS = 8
PHASE_S = 4.0
ROUNDS = 10
JOBS = 20_000
TINY = {"type": "aggregation", "metrics": ["play_count"], "dimensions": ["country"]}
HEAVY: tuple[dict[str, Any], ...] = (
    {"type": "aggregation", "metrics": ["count", "avg_duration"], "dimensions": ["country", "device"]},
    {"type": "aggregation", "metrics": ["distinct_user_id"], "dimensions": ["country"]},
    {"type": "aggregation", "metrics": ["sum_duration"], "dimensions": ["song_id"], "limit": 100},
)
ALONE, EVENTS, QUERIES = WHILE = ("alone", "while events flood in", "while heavy queries flood in")
SETTINGS: dict[str, Any] = {
    "analytics_engine": {"batch_size": SEGMENT_ROWS},
    "data_collection": {"buffer_size": 2 * SEGMENT_ROWS, "max_in_flight_bytes": 2**32},
}


class OnePool(FairScheduler):
    """First come, first served: what a host without a fair queue does."""

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(config)
        self._pool = ThreadPoolExecutor(config.max_workers, "any")

    def lanes(self, tenant: str, weight: float = 1.0) -> Lanes:  # noqa: ARG002 - all are one
        one: Any = self._pool
        return Lanes(one, one, one, one, one, used=lambda: 0.0, weigh=lambda _: None, close=lambda: None)

    def close(self) -> None:
        self._pool.shutdown()
        super().close()


@dataclass(slots=True)
class Seen:
    """What the quiet tenants saw while something went on, and how much of that was done."""

    latencies: list[float] = field(default_factory=list)
    loud_calls: int = 0

    @property
    def p50(self) -> float:
        return median(self.latencies)

    @property
    def p99(self) -> float:
        return percentile(self.latencies, 0.99)

    @property
    def loud_rate(self) -> float:
        return self.loud_calls / (ROUNDS * PHASE_S)


class Host:
    """All tenants in one host, with their maintenance."""

    def __init__(self, resources: HostResources) -> None:
        self.engines: dict[str, AnalyticsEngine] = {}
        for tenant in (*QUIET, "loud", "flooding"):
            resources.backing.register(tenant, {})
            self.engines[tenant] = AnalyticsEngine.open(tenant, resources)
        self.seen = {name: Seen() for name in WHILE}
        self._questions = itertools.cycle(HEAVY)
        self._payload = Payload.from_http(ndjson(1_000), "application/x-ndjson")

    async def fill(self) -> None:
        """Five million rows for who asks heavily, few for the others, and a first query of each."""
        for day in range(SEGMENTS):
            await self.engines["loud"].collect("user_interactions", Payload.of(plays(SEGMENT_ROWS, day)))
            await self.engines["loud"].flush()
        for engine in self.engines.values():
            await engine.collect("user_interactions", self._payload)
            await asyncio.gather(*(engine.query(TINY) for _ in range(20)))

    async def phase(self, name: str) -> None:
        """Some seconds of it."""
        seen, until = self.seen[name], time.perf_counter() + PHASE_S
        work = [ask_quietly(self.engines[tenant], until, seen.latencies) for tenant in QUIET]
        work += [self._loudly(name, until) for _ in range(CALLERS)]
        upkeep = [asyncio.create_task(engine.maintain_forever()) for engine in self.engines.values()]
        await asyncio.gather(*work)
        for task in upkeep:
            task.cancel()
        await self.engines["flooding"].flush()  # not in somebody else's time

    async def _loudly(self, name: str, until: float) -> None:
        while name != ALONE and time.perf_counter() < until:
            if name == EVENTS:
                await self.engines["flooding"].collect("user_interactions", self._payload)
            else:
                await self.engines["loud"].query(next(self._questions))
            self.seen[name].loud_calls += 1

    async def close(self) -> None:
        for engine in self.engines.values():
            await engine.close()


@contextmanager
def a_host(*, fair: bool) -> Iterator[Host]:
    """A host on a folder of its own, with the fair queue and two speeds of queries, or with one pool and one DuckDB."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        resources = HostResources.open(AnalyticsConfig.load({**SETTINGS, "storage": {"root": folder}}, {}))
        if not fair:
            resources.scheduler.close()
            resources.scheduler = OnePool(resources.config.analytics_engine)
            one = DuckDBExecutor(resources.backing.filesystem, resources.config.performance)
            resources._executors = QueryExecutors(one, one, CrewClock("none"))
        try:
            yield Host(resources)
        finally:
            resources.close()


async def ask_quietly(engine: AnalyticsEngine, until: float, latencies: list[float]) -> None:
    """Queries at times that do not depend on how long they take."""
    rng = random.Random()
    due = time.perf_counter() + rng.uniform(0, QUIET_EVERY_S)
    asked: list[asyncio.Task[None]] = []

    async def ask() -> None:
        began = time.perf_counter()
        await engine.query(TINY)
        latencies.append(time.perf_counter() - began)

    while due < until:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.create_task(ask()))
        due += rng.uniform(0.5, 1.5) * QUIET_EVERY_S
    await asyncio.gather(*asked)


def overhead() -> tuple[float, float]:
    """Seconds for each job that does nothing: in the fair queue, and in a pool of threads."""

    def each(crew: Executor) -> float:
        started = time.perf_counter()
        wait([crew.submit(int) for _ in range(JOBS)])
        return (time.perf_counter() - started) / JOBS

    scheduler = FairScheduler(EngineConfig())
    with ThreadPoolExecutor(9) as pool:
        lane = scheduler.lanes("tenant_001").asking
        found = [(each(lane), each(pool)) for _ in range(5)]
    scheduler.close()
    return median([fair for fair, _ in found]), median([plain for _, plain in found])


async def measure() -> Report:
    fair, plain = overhead()
    with a_host(fair=True) as here, a_host(fair=False) as pool:
        hosts = {"here": here, "one pool": pool}
        for host in hosts.values():
            await host.fill()
        for _ in range(ROUNDS):
            for name in WHILE:
                for host in hosts.values():
                    await host.phase(name)
        for host in hosts.values():
            await host.close()
    found = [
        at_most("a job that does nothing, in the fair queue", 1e6 * fair, "µs", 30),
        Measurement("the same in a pool of threads", 1e6 * plain, "µs"),
    ]
    for name in WHILE:
        for system, host in hosts.items():
            seen, alone = host.seen[name], host.seen[ALONE]
            found.append(Measurement(f"quiet query, {name}, {system}: p50", 1e3 * seen.p50, "ms"))
            found.append(Measurement(f"quiet query, {name}, {system}: p99", 1e3 * seen.p99, "ms"))
            if name != ALONE:
                what, ratio = f"quiet query, {name}, {system}: p99 against alone", seen.p99 / alone.p99
                found.append(at_most(what, ratio, "×", 1.5) if host is here else Measurement(what, ratio, "×"))
                found.append(Measurement(f"{name}, {system}: calls done", seen.loud_rate, "1/s"))
    return Report("fairness", tuple(found))


if __name__ == "__main__":
    asyncio.run(measure()).save()
