"""The catalog's PostgreSQL is stopped or hangs: reads go on, writes wait, and everything recovers by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources
from tenancy.analytics.errors import CatalogUnavailableError
from tenancy.analytics.types import Receipts

COUNT = {"type": "aggregation", "metrics": ["count"]}


class Tenant:
    def __init__(self, postgresql: Any, root: Path, **storage: Any) -> None:
        url = f"{postgresql.server}/postgres"
        sections = {"storage": {"root": str(root), "catalog_url": url, **storage}}
        self.resources = HostResources.open(AnalyticsConfig.load(sections, {}))
        self.resources.backing.register("tenant_001", {})
        self.engine = AnalyticsEngine.open("tenant_001", self.resources)

    async def collect(self, key: str, rows: int = 10) -> Receipts:
        payload = Payload.of([{"key": key, "n": n} for n in range(rows)])
        return await self.engine.collect("user_interactions", payload, idempotency_key=key)

    async def count(self) -> int:
        found: int = (await self.engine.query(COUNT)).data[0]["count"]
        return found

    async def back(self) -> None:
        """Returns once the catalog is known to be back."""
        async with asyncio.timeout(20):
            while True:
                try:
                    await self.engine.check_owner()
                    await asyncio.to_thread(self.resources.backing.catalog.tenants, limit=1)
                    return
                except CatalogUnavailableError:
                    await asyncio.sleep(0.1)


@pytest.fixture
async def tenants(postgresql: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Tenant]]:
    made: list[Tenant] = []

    def make(**storage: Any) -> Tenant:
        made.append(Tenant(postgresql, tmp_path, **storage))
        return made[-1]

    yield make
    for tenant in made:
        await tenant.back()
        await tenant.engine.close()
        await asyncio.to_thread(tenant.resources.close)


@pytest.mark.parametrize("fault", ["stopped", "frozen"])
async def test_writes_wait_for_a_catalog_that_comes_back_and_reads_go_on(
    tenants: Callable[..., Tenant], postgresql: Any, fault: str
) -> None:
    tenant = tenants()
    await tenant.collect("before")
    assert await tenant.count() == 10
    await asyncio.to_thread(postgresql.stop if fault == "stopped" else postgresql.freeze)

    waiting = [asyncio.create_task(tenant.collect(f"during-{n}")) for n in range(5)]
    for _ in range(5):
        assert await tenant.count() == 10  # acknowledged, and no more than that
    assert not any(call.done() for call in waiting)
    await asyncio.to_thread(postgresql.start if fault == "stopped" else postgresql.thaw)

    assert [(await call).counts()["accepted"] for call in waiting] == [10] * 5
    assert await tenant.count() == 60


async def test_a_write_that_waited_long_enough_is_refused_and_counts_once_when_repeated(
    tenants: Callable[..., Tenant], postgresql: Any
) -> None:
    tenant = tenants(catalog_patience_seconds=0.5)
    await tenant.collect("before")
    await asyncio.to_thread(postgresql.stop)

    with pytest.raises(CatalogUnavailableError) as refused:
        await tenant.collect("during")

    assert refused.value.retry_after_s > 0
    assert await tenant.count() == 10
    await asyncio.to_thread(postgresql.start)
    await tenant.back()
    assert (await tenant.collect("during")).counts()["accepted"] == 10
    assert (await tenant.collect("during")).counts()["accepted"] == 10
    assert await tenant.count() == 20


async def test_answers_without_a_catalog_end_with_the_grace(tenants: Callable[..., Tenant], postgresql: Any) -> None:
    tenant = tenants(catalog_grace_seconds=0)
    await tenant.collect("before")
    await asyncio.to_thread(postgresql.stop)

    with pytest.raises(CatalogUnavailableError):
        await tenant.count()

    await asyncio.to_thread(postgresql.start)


async def test_flushes_that_fail_meanwhile_lose_nothing(tenants: Callable[..., Tenant], postgresql: Any) -> None:
    tenant = tenants(catalog_patience_seconds=0.5)
    await tenant.collect("before")
    await asyncio.to_thread(postgresql.stop)
    with pytest.raises(CatalogUnavailableError):
        await tenant.engine.flush()
    await tenant.engine.keep_up()
    assert await tenant.count() == 10
    await asyncio.to_thread(postgresql.start)

    await tenant.back()

    await tenant.engine.flush()

    answer = await tenant.engine.query(COUNT)
    assert (answer.stats.segments_total, answer.data) == (1, [{"count": 10}])


async def test_a_hanging_catalog_is_found_out_by_one_and_told_to_the_others(
    tenants: Callable[..., Tenant], postgresql: Any
) -> None:
    tenant = tenants(catalog_grace_seconds=0, catalog_patience_seconds=0)
    await tenant.collect("before")
    await asyncio.to_thread(postgresql.freeze)
    began = time.monotonic()
    with pytest.raises(CatalogUnavailableError, match="no answer for 3 s"):
        await tenant.count()
    found_out = time.monotonic() - began

    began = time.monotonic()
    outcomes = await asyncio.gather(*(tenant.count() for _ in range(200)), return_exceptions=True)
    told = time.monotonic() - began

    await asyncio.to_thread(postgresql.thaw)
    assert {type(outcome) for outcome in outcomes} == {CatalogUnavailableError}
    assert told < 2 * found_out


@pytest.mark.slow
async def test_thirty_seconds_without_a_catalog_lose_and_repeat_nothing(
    tenants: Callable[..., Tenant], postgresql: Any
) -> None:
    tenant = tenants()
    stop = asyncio.Event()
    refused = 0

    async def caller(name: int) -> int:
        nonlocal refused
        sent = 0
        while not stop.is_set():
            while True:
                try:
                    receipts = await tenant.collect(f"{name}-{sent}")
                    break
                except CatalogUnavailableError as error:
                    refused += 1
                    await asyncio.sleep(error.retry_after_s)
            assert receipts.counts()["accepted"] == 10
            sent += 1
        return sent

    callers = [asyncio.create_task(caller(name)) for name in range(8)]
    await asyncio.sleep(2)
    await asyncio.to_thread(postgresql.stop)
    for _ in range(30):
        await tenant.count()
        await asyncio.sleep(1)
    await asyncio.to_thread(postgresql.start)
    await asyncio.sleep(5)
    stop.set()

    sent = sum([await each for each in callers])
    assert await tenant.count() == 10 * sent
    assert refused > 0
