"""A host under more load than its memory holds, as a program: prints what happened as JSON.

    python driven_host.py FOLDER BUDGET_MB PUSHED_MB TENANTS

Many callers push bodies at once, most of them for a few tenants; others ask queries that group by many values and
join tables of dimensions. Whoever is refused comes back when it was told to.
"""

# ruff: noqa: E402 - what pyarrow allocates with is settled before it is loaded
from __future__ import annotations

from actors.lean_process import give_back_memory

give_back_memory()  # as in the process of a host

import asyncio
import json
import random
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson
import pyarrow as pa

from actors.tenant_host import TenantHost
from tenancy.analytics.clock import SystemClock
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import HostResources
from tenancy.analytics.engine.memory.process import resident_bytes
from tenancy.analytics.errors import AnalyticsError, BackpressureError, MemoryPressureError, QueryMemoryError
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.types import DatasetKind, DataSourceType

T = TypeVar("T")

MEGABYTE = 1_000_000
CALLERS, ASKERS = 48, 6
SONGS = 20_000
COUNT = {"type": "aggregation", "metrics": ["count"], "dataset": "user_interactions"}
HEAVY = (
    {"type": "aggregation", "metrics": ["count"], "dimensions": ["user_id", "song_id"], "limit": 100_000},
    {"type": "topk", "metric": "count", "dimension": "user_id", "k": 100},
    {"type": "aggregation", "dataset": "user_interactions", "metrics": ["count"], "dimensions": ["genre"]},
)


def body(rows: int, seed: int, *, dirty: bool, ids: bool) -> bytes:
    """Plays as NDJSON, about 200 bytes each; with a row that must go to quarantine, or with ids of their own."""
    rng = np.random.default_rng(seed)
    start = datetime.now(UTC) - timedelta(hours=3)
    users, songs, seconds = rng.integers(0, 1_000_000, rows), rng.integers(0, SONGS, rows), rng.integers(0, 9_000, rows)
    lines = [
        {
            "user_id": f"user_{users[i]}",
            "action": "play_song",
            "song_id": f"song_{songs[i]}",
            "timestamp": (start + timedelta(seconds=int(seconds[i]))).isoformat(),
            "duration": int(seconds[i]),
            "country": "DE",
            "note": f"{users[i] * 7919:x}" * 3,
            **({"event_id": f"{seed}-{i}-@@@@@@@@@@@@"} if ids else {}),
        }
        for i in range(rows)
    ]
    if dirty:
        lines[rows // 2]["duration"] = "unreadable"
    return b"\n".join(map(orjson.dumps, lines))


@dataclass
class Outcome:
    """What callers saw."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    pushed: int = 0
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    longest_wait_s: float = 0.0


class Driver:
    def __init__(self, host: TenantHost, tenants: list[str], push_bytes: int, outcome: Outcome) -> None:
        self.host, self.tenants, self.outcome = host, tenants, outcome
        self._left = push_bytes
        self._random = random.Random(7)
        self._bodies = [
            body(20_000 if kind == 0 else 5_000, kind, dirty=kind == 1, ids=kind in (2, 3)) for kind in range(8)
        ]
        self._number = 0

    async def push(self) -> None:
        """One caller: bodies one after the other until all are pushed."""
        while self._left > 0:
            loud = self._random.random() < 0.7
            tenant = self._random.choice(self.tenants[:3] if loud else self.tenants)
            template = self._random.choice(self._bodies)
            self._left -= len(template)
            self._number += 1
            key = f"{self._number:012}"
            # A copy for every attempt, as each would come over the network.
            receipts = await self._insist(partial(self._collect, tenant, template, key))
            if receipts is not None:
                self.outcome.acknowledged[tenant] += receipts
                self.outcome.pushed += len(template)

    async def _collect(self, tenant: str, template: bytes, key: str) -> int:
        payload = Payload.from_http(template.replace(b"@@@@@@@@@@@@", key.encode()) + b"\n", "application/x-ndjson")
        receipts = await self.host.collect(tenant, "user_interactions", payload, DataSourceType.API, key)
        return receipts.counts().get("accepted", 0) + receipts.counts().get("late", 0)

    async def ask(self) -> None:
        while self._left > 0:
            tenant = self._random.choice(self.tenants)
            question = self._random.choice(HEAVY)
            if await self._insist(partial(self.host.query, tenant, question), patience=1) is not None:
                self.outcome.answered += 1
            await asyncio.sleep(0.02)

    async def _insist(self, call: Callable[[], Awaitable[T]], patience: int = 1_000) -> T | None:
        began = time.monotonic()
        for _ in range(patience):
            try:
                result = await call()
            except (MemoryPressureError, BackpressureError, QueryMemoryError) as error:
                self.outcome.refused[type(error).__name__ + getattr(error, "part", "")] += 1
                wait = error.retry_after_s or 0.1
            except AnalyticsError as error:
                self.outcome.unexpected.append(repr(error))
                return None
            else:
                self.outcome.longest_wait_s = max(self.outcome.longest_wait_s, time.monotonic() - began)
                return result
            await asyncio.sleep(wait * (1 + self._random.random()))
        return None


class Watch(threading.Thread):
    """Looks at the resident memory, about 200 times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.history: list[int] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.005):
            self.history.append(resident_bytes())
            self.peak = max(self.peak, self.history[-1])


async def counted(host: TenantHost, tenant: str) -> int:
    while True:
        try:
            found = (await host.query(tenant, COUNT)).data
        except MemoryPressureError as error:
            await asyncio.sleep(error.retry_after_s)
        else:
            return int(found[0]["count"]) if found else 0


async def recovered_within(host: TenantHost, tenants: list[str], seconds: float) -> float | None:
    """Seconds until every tenant's call is let in at the first attempt; None where that takes too long."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        refused = 0
        for tenant in tenants:
            try:
                await host.collect(tenant, "pings", Payload.of({"ping": 1}), DataSourceType.API, None)
                await host.query(tenant, COUNT)
            except MemoryPressureError:
                refused += 1
        if not refused:
            return time.monotonic() - began
        await asyncio.sleep(0.25)
    return None


async def drive(folder: str, budget_mb: int, push_mb: int, count: int) -> dict[str, Any]:
    config = AnalyticsConfig.load(
        {
            "storage": {"root": folder},
            "performance": {"host_memory_mb": budget_mb},
            "data_collection": {"buffer_size": 1_000_000, "max_in_flight_bytes": 256 * MEGABYTE},
        },
        {},
    )
    tenants = [f"tenant_{number:03}" for number in range(count)]
    registering = HostResources.open(config, SystemClock())
    for tenant in tenants:
        registering.backing.register(tenant, {})
    registering.close()
    outcome, watch = Outcome(), Watch()
    host = TenantHost("shared-0", config)
    songs = pa.table(
        {"song_id": [f"song_{i}" for i in range(SONGS)], "genre": [f"genre_{i % 25}" for i in range(SONGS)]}
    )
    for tenant in tenants:
        await host.open(tenant)
        await host.declare(tenant, DatasetSchema(name="songs", kind=DatasetKind.DIMENSION, key="song_id"))
        await host.declare(tenant, DatasetSchema(name="pings"))
        await host.collect(tenant, "songs", Payload.of(songs), DataSourceType.API, None)
        first = Payload.of({"user_id": "user_1", "song_id": "song_1"})
        await host.collect(tenant, "user_interactions", first, DataSourceType.API, None)
        outcome.acknowledged[tenant] += 1
    await host.query(tenants[0], COUNT)
    driver = Driver(host, tenants, push_mb * MEGABYTE, outcome)
    before = resident_bytes()
    watch.start()
    began = time.monotonic()
    await asyncio.gather(*(driver.push() for _ in range(CALLERS)), *(driver.ask() for _ in range(ASKERS)))
    took = time.monotonic() - began
    recovered = await recovered_within(host, tenants, 60)
    peak_of_system = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    watch.over.set()
    watch.join()
    stored = {tenant: await counted(host, tenant) for tenant in tenants}
    await host.close()
    return {
        "before": before,
        "peak": watch.peak,
        "peak_of_system": peak_of_system,
        "after": resident_bytes(),
        "budget": budget_mb * 1024 * 1024,
        "pushed": outcome.pushed,
        "seconds": took,
        "longest_wait_s": outcome.longest_wait_s,
        "acknowledged": dict(sorted(outcome.acknowledged.items())),
        "stored": {tenant: rows for tenant, rows in stored.items() if rows or outcome.acknowledged[tenant]},
        "answered": outcome.answered,
        "refused": dict(outcome.refused),
        "unexpected": outcome.unexpected[:20],
        "recovered_s": recovered,
    }


if __name__ == "__main__":
    result = asyncio.run(drive(sys.argv[1], *map(int, sys.argv[2:])))
    Path(sys.argv[1], "outcome.json").write_text(json.dumps(result))
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
