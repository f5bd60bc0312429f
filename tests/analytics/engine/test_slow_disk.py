"""A disk that does not answer keeps waiting who writes to it, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources
from tenancy.analytics.errors import BackpressureError
from tenancy.analytics.types import Receipts, ReceiptStatus

COUNT = {"type": "aggregation", "metrics": ["count"]}


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[HostResources]:
    sections = {"storage": {"root": str(tmp_path)}, "data_collection": {"buffer_size": 500}}
    held = HostResources.open(AnalyticsConfig.load(sections, {}))
    yield held
    held.close()


def open_tenant(resources: HostResources, name: str) -> AnalyticsEngine:
    resources.backing.register(name, {})
    return AnalyticsEngine.open(name, resources)


async def collect(engine: AnalyticsEngine, key: str, rows: int = 10) -> Receipts:
    payload = Payload.of([{"event_id": f"{key}-{n}"} for n in range(rows)])
    return await engine.collect("user_interactions", payload, idempotency_key=key)


async def count(engine: AnalyticsEngine) -> int:
    found: int = (await engine.query(COUNT)).data[0]["count"]
    return found


async def test_queries_and_other_tenants_go_on_while_the_disk_keeps_one_waiting(
    resources: HostResources, faulty_disk: Any, held: Any
) -> None:
    slow, other = open_tenant(resources, "slow"), open_tenant(resources, "other")
    await collect(slow, "before")
    stuck = faulty_disk.fault = held("fsync", part="/slow/")
    waiting = [asyncio.create_task(collect(slow, f"during {n}")) for n in range(10)]
    assert await asyncio.to_thread(stuck.reached.wait, 30)

    async with asyncio.timeout(30):
        for n in range(20):
            assert await count(slow) == 10
            assert (await collect(other, f"call {n}")).count(ReceiptStatus.ACCEPTED) == 10
            assert await count(other) == 10 * (n + 1)
    assert not any(call.done() for call in waiting)
    stuck.let_go()

    for call in waiting:
        assert (await call).count(ReceiptStatus.ACCEPTED) == 10
    assert await count(slow) == 110


async def test_a_disk_that_keeps_everybody_waiting_keeps_no_query_waiting(
    resources: HostResources, faulty_disk: Any, held: Any
) -> None:
    tenants = [open_tenant(resources, f"tenant-{n}") for n in range(12)]
    for tenant in tenants:
        await collect(tenant, "before")
    stuck = faulty_disk.fault = held("fsync")
    waiting = [asyncio.create_task(collect(tenant, "during")) for tenant in tenants]
    assert await asyncio.to_thread(stuck.reached.wait, 30)

    async with asyncio.timeout(30):
        assert [await count(tenant) for tenant in tenants] == [10] * len(tenants)
    stuck.let_go()

    await asyncio.gather(*waiting)
    assert [await count(tenant) for tenant in tenants] == [20] * len(tenants)


async def test_batches_that_a_stuck_disk_has_no_room_for_are_refused_at_once_and_counted_once_when_repeated(
    resources: HostResources, faulty_disk: Any, held: Any
) -> None:
    engine = open_tenant(resources, "tenant_001")
    await collect(engine, "before")
    stuck = faulty_disk.fault = held("fsync")
    calls = {n: asyncio.create_task(collect(engine, f"call {n}", rows=100)) for n in range(12)}
    async with asyncio.timeout(30):
        while sum(call.done() for call in calls.values()) < 7:
            await asyncio.sleep(0.01)
    refused = [n for n, call in calls.items() if call.done()]
    assert len(refused) == 7, "500 rows are let in"
    for n in refused:
        error = calls[n].exception()
        assert isinstance(error, BackpressureError)
        assert error.retry_after_s > 0
    assert await count(engine) == 10
    stuck.let_go()

    for n, call in calls.items():
        if n not in refused:
            assert (await call).count(ReceiptStatus.ACCEPTED) == 100
    for n in calls:
        assert (await collect(engine, f"call {n}", rows=100)).count(ReceiptStatus.ACCEPTED) == 100
    assert await count(engine) == 1210
