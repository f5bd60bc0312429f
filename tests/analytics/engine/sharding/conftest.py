"""A sharded tenant in one process, for the tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources
from tenancy.analytics.engine.sharding.resharding import reshard
from tenancy.analytics.engine.sharding.sharded import ShardedTenant
from tenancy.analytics.storage.catalog import ShardLayout
from tenancy.analytics.testing import ManualClock
from tenancy.analytics.types import DataSourceType, Receipts, shard_name

EVENTS = "user_interactions"
API = DataSourceType.API


class Cluster:
    """One tenant, its shards all in this process; opened anew after each change of the layout, as hosts do."""

    def __init__(self, root: Path, clock: ManualClock) -> None:
        sections = {"storage": {"root": str(root)}, "data_collection": {"anomaly_detection_enabled": False}}
        self.config = AnalyticsConfig.load(sections, {})
        self.clock = clock
        self.resources = HostResources.open(self.config, clock)
        self.backing = self.resources.backing
        self.backing.register("big", {})
        self.engines: dict[str, AnalyticsEngine] = {}

    def tenant(self) -> ShardedTenant:
        layouts = self.backing.catalog.layouts("big")

        def member(index: int) -> AnalyticsEngine:
            name = shard_name("big", index)
            if name not in self.engines:
                self.engines[name] = AnalyticsEngine.open(name, self.resources)
            return self.engines[name]

        return ShardedTenant("big", layouts, member, self.config, self.clock)

    async def reshard(self, shards: int, **more: Any) -> ShardLayout:
        for engine in self.engines.values():
            await engine.close()
        self.engines.clear()
        return await asyncio.to_thread(reshard, self.backing, self.config, self.clock, "big", shards, **more)

    async def collect(self, rows: list[dict[str, Any]] | Payload, key: str, dataset: str = EVENTS) -> Receipts:
        return await self.tenant().collect(dataset, Payload.of(rows), API, key, chosen=True)

    async def count(self) -> int:
        result = await self.tenant().query({"type": "aggregation", "metrics": ["count"]})
        found: int = result.data[0]["count"]
        return found

    async def close(self) -> None:
        for engine in self.engines.values():
            await engine.close()
        self.engines.clear()
        await asyncio.to_thread(self.resources.close)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2025, 7, 15, tzinfo=UTC))


@pytest.fixture
async def cluster(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path, clock)
    yield made
    await made.close()
