"""Processes are killed at random moments of a load; at the end every acknowledged event is there exactly once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

from actors.directory_handle import DirectoryHandle
from actors.tenant_handle import TenantHandle
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig

CALLERS = 6
ABANDONED_SHARE = 0.05


@dataclass
class Load:
    """What callers know: which events were acknowledged, and which they stopped waiting for."""

    events: int
    acknowledged: set[int] = field(default_factory=set)
    abandoned: set[int] = field(default_factory=set)

    @property
    def through(self) -> int:
        return len(self.acknowledged) + len(self.abandoned)

    async def call(self, tenant: TenantHandle, batches: Iterable[range], dice: random.Random) -> None:
        """One caller: batch after batch, each of its own numbers. Some calls are given up half way."""
        for batch in batches:
            payload = Payload.of([{"n": n, "timestamp": "2025-07-15T10:00:00Z"} for n in batch])
            patience = dice.uniform(0.0, 0.02) if dice.random() < ABANDONED_SHARE else None
            try:
                receipts = await asyncio.wait_for(tenant.collect("user_interactions", payload), patience)
            except TimeoutError:
                self.abandoned.update(batch)
            else:
                assert receipts.counts()["accepted"] == len(batch)
                self.acknowledged.update(batch)


async def kill(
    tenant: TenantHandle, directory: DirectoryHandle, load: Load, moments: list[int], dice: random.Random
) -> None:
    """Kills the tenant's process whenever so many events are through, every fourth time the directory's as well."""
    epochs = set()
    for number, moment in enumerate(moments):
        while load.through < moment:
            await asyncio.sleep(0.001)
        status = await tenant.status()
        await asyncio.sleep(dice.uniform(0.0, 0.01))
        if number % 4 == 3:
            os.kill(await directory.process_id(), signal.SIGKILL)
        os.kill(status.pid, signal.SIGKILL)
        assert load.through < load.events, "the load was over before it was killed"
        epochs.add(status.sight.epoch)
    assert len(epochs) == len(moments), "one process was killed twice"


async def everything_is_there_once(
    config: AnalyticsConfig, directory: DirectoryHandle, events: int, batch: int, kills: int, seed: int
) -> None:
    await directory.register("tenant_001")
    tenant = TenantHandle("tenant_001", config, directory)
    load = Load(events)
    dice = random.Random(seed)
    batches = [range(start, min(start + batch, events)) for start in range(0, events, batch)]
    callers = [load.call(tenant, batches[caller::CALLERS], random.Random(dice.random())) for caller in range(CALLERS)]
    moments = sorted(dice.sample(range(int(0.9 * events)), kills))
    await asyncio.gather(kill(tenant, directory, load, moments, dice), *callers)

    asked = {"type": "aggregation", "metrics": ["count"], "dimensions": ["n"], "limit": 1_000_000}
    result = await tenant.query(asked)
    found = result.to_arrow()

    assert set(found["count"].to_pylist()) == {1}
    stored = set(found["n"].to_pylist())
    assert load.acknowledged <= stored <= load.acknowledged | load.abandoned
    assert load.through == events
    assert len(load.acknowledged) > 0.8 * events


async def test_ten_kills_lose_and_repeat_nothing(config: AnalyticsConfig, directory: DirectoryHandle) -> None:
    await everything_is_there_once(config, directory, events=20_000, batch=50, kills=10, seed=1)


@pytest.mark.slow
async def test_fifty_kills_lose_and_repeat_nothing(config: AnalyticsConfig, directory: DirectoryHandle) -> None:
    await everything_is_there_once(config, directory, events=200_000, batch=100, kills=50, seed=2)
