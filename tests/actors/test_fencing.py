"""A process that owns a tenant is frozen while it writes; another one takes over; thawed, the first commits nothing.

The owners are plain hosts in processes of their own, so that nothing ends the frozen one: in the system it would be
killed, and the fence must hold where that does not reach it (another machine, a network that is cut).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from actors.tenant_host import TenantHost
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import Backing
from tenancy.analytics.errors import StaleOwnerError, UnavailableError
from tenancy.analytics.types import DataSourceType

TENANT, DATASET = "tenant_001", "user_interactions"
ROUNDS = 4
CALLERS = 4
BATCH = 25
BY_NUMBER = {"type": "aggregation", "metrics": ["count"], "dimensions": ["n"], "limit": 1_000_000}


@dataclass(frozen=True, slots=True)
class Call:
    """One batch: its key, its numbers, and whether it was acknowledged."""

    key: str
    numbers: range
    acknowledged: bool

    @property
    def payload(self) -> Payload:
        return Payload.of([{"n": n, "timestamp": "2025-07-15T10:00:00Z"} for n in self.numbers])


def first_owner(config: AnalyticsConfig, pipe: Connection) -> None:
    """Runs in a process of its own: told a first number, it takes the tenant over and collects until it is fenced."""
    asyncio.run(_first_owner(config, pipe))


async def _first_owner(config: AnalyticsConfig, pipe: Connection) -> None:
    host = TenantHost("first", config)
    pipe.send("ready")
    while (start := await asyncio.to_thread(pipe.recv)) is not None:
        epoch = await host.open(TENANT)
        starts = iter(range(start, start + 1_000_000, BATCH))
        calls: list[Call] = []

        async def caller(starts: Iterator[int] = starts, calls: list[Call] = calls) -> None:
            for first in starts:
                call = Call(f"key-{first}", range(first, first + BATCH), acknowledged=True)
                try:
                    receipts = await host.collect(TENANT, DATASET, call.payload, DataSourceType.API, call.key)
                except (StaleOwnerError, UnavailableError):
                    calls.append(Call(call.key, call.numbers, acknowledged=False))
                    return
                assert receipts.counts()["accepted"] == BATCH
                calls.append(call)

        pipe.send(epoch)
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        pipe.send(calls)
    await host.close()


@contextmanager
def another_process(config: AnalyticsConfig) -> Iterator[tuple[int, Connection]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=first_owner, args=(config, theirs), daemon=True)
    process.start()
    assert process.pid is not None
    try:
        assert ours.recv() == "ready"
        yield process.pid, ours
        ours.send(None)
        process.join(20)
        assert process.exitcode == 0
    finally:
        process.kill()  # also one that is frozen


def freeze(pid: int) -> None:
    """Returns when the process stands still: a signal only asks for it."""
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < until


async def take_over(host: TenantHost, pid: int) -> int:
    """The epoch under which `host` owns the tenant now, the first owner frozen meanwhile.

    A process that is frozen in the middle of a transaction of SQLite holds the lock of its file; where that is so,
    it is let go on for a moment. (The system ends such a process, which frees the lock as well.)
    """
    while True:
        try:
            async with asyncio.timeout(3):
                return await host.open(TENANT)
        except (TimeoutError, UnavailableError):
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(0.003)
            freeze(pid)


@pytest.fixture(params=["sqlite", "postgresql"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> AnalyticsConfig:
    storage: dict[str, Any] = {
        "root": str(tmp_path),
        "flush_rows": 200,
        "catalog_url": f"sqlite:///{tmp_path}/catalog.db",
    }
    if request.param == "postgresql":
        storage["catalog_url"] = request.getfixturevalue("postgresql_url")
    config = AnalyticsConfig.load({"storage": storage}, {})
    backing = Backing.open(config)
    backing.register(TENANT, {})
    backing.close()
    return config


def segments_of(config: AnalyticsConfig, epoch: int) -> set[str]:
    """What the catalog has from the owner of `epoch`, by the column that its commits write."""
    assert config.storage.catalog_url is not None
    url = config.storage.catalog_url.get_secret_value().replace("postgresql:", "postgresql+psycopg:")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        rows = connection.execute(text("SELECT url FROM segments WHERE epoch = :epoch"), {"epoch": epoch})
        return {row.url for row in rows}


async def test_an_owner_frozen_while_it_writes_commits_nothing_once_another_took_over(
    config: AnalyticsConfig, tmp_path: Path
) -> None:
    dice, sent, begun = random.Random(7), set[int](), 0
    second = TenantHost("second", config)

    async def collect(call: Call) -> int:
        receipts = await second.collect(TENANT, DATASET, call.payload, DataSourceType.API, call.key)
        sent.update(call.numbers)
        return receipts.counts()["accepted"]

    with another_process(config) as (pid, pipe):
        for round_ in range(ROUNDS):
            start = round_ * 2_000_000
            pipe.send(start)
            old = await asyncio.to_thread(pipe.recv)
            await asyncio.sleep(dice.uniform(0.02, 0.3))  # an arbitrary moment of its writing
            freeze(pid)
            new = await take_over(second, pid)
            assert new > old
            committed = segments_of(config, old)
            mine = Call(f"second-{round_}", range(start + 1_000_000, start + 1_000_000 + BATCH), acknowledged=True)
            assert await collect(mine) == BATCH
            os.kill(pid, signal.SIGCONT)

            calls: list[Call] = await asyncio.to_thread(pipe.recv)
            assert sum(not call.acknowledged for call in calls) == CALLERS  # all were fenced, and know it
            begun += len(calls)
            sent.update(n for call in calls if call.acknowledged for n in call.numbers)
            # What a handle does with calls that failed so: the same key, at the owner of now.
            for call in calls:
                if not call.acknowledged:
                    assert await collect(call) == BATCH
            assert segments_of(config, old) <= committed
            await second.release(TENANT)
    epoch = await second.open(TENANT)
    found = (await second.query(TENANT, BY_NUMBER)).to_arrow()
    await second.close()

    assert epoch == 2 * ROUNDS + 1
    assert begun > ROUNDS * CALLERS * 2
    assert set(found["count"].to_pylist()) == {1}
    assert set(found["n"].to_pylist()) == sent
