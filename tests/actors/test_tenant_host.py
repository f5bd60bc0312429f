"""The host as a plain class: opened once, served from, let go; no Ray."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from actors.placement import HostCondition
from actors.tenant_host import TenantHost
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, Backing, HostResources
from tenancy.analytics.errors import LimitExceededError, StaleOwnerError, UnavailableError, UnknownNameError
from tenancy.analytics.testing import ManualClock
from tenancy.analytics.types import DataSourceType, Receipts

TENANT = "tenant_001"
COUNT = {"type": "aggregation", "metrics": ["count"]}


class Gate:
    def __init__(self) -> None:
        self.reached, self.free = threading.Event(), threading.Event()


@pytest.fixture
def config(tmp_path: Path) -> AnalyticsConfig:
    config = AnalyticsConfig.load({"storage": {"root": str(tmp_path)}}, {})
    backing = Backing.open(config)
    backing.register("tenant_001", {})
    backing.close()
    return config


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def host(config: AnalyticsConfig, clock: ManualClock) -> AsyncIterator[TenantHost]:
    made = TenantHost("shared-0", config, clock)
    yield made
    await made.close()


async def collect(host: TenantHost) -> Receipts:
    return await host.collect(TENANT, "user_interactions", Payload.of({"n": 1}), DataSourceType.API, None)


async def test_a_tenant_is_not_answered_for_before_it_is_open(host: TenantHost) -> None:
    with pytest.raises(UnavailableError, match="'shared-0' does not serve it"):
        await host.query(TENANT, COUNT)
    assert await host.serves(TENANT) is None


async def test_however_often_it_is_asked_to_a_host_opens_once(host: TenantHost) -> None:
    assert set(await asyncio.gather(*(host.open(TENANT) for _ in range(5)))) == {1}
    assert await host.open(TENANT) == 1


async def test_a_host_that_could_not_open_tries_again_when_asked_again(config: AnalyticsConfig) -> None:
    host = TenantHost("shared-0", config)
    with pytest.raises(UnknownNameError):
        await host.open("tenant_002")
    backing = Backing.open(config)
    backing.register("tenant_002", {})

    assert await host.open("tenant_002") == 1

    await host.close()
    backing.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Openings wait before it."""
    gate = Gate()
    real = AnalyticsEngine.open

    def slow(tenant: str, resources: HostResources, host: str) -> AnalyticsEngine:
        gate.reached.set()
        assert gate.free.wait(10)
        return real(tenant, resources, host)

    monkeypatch.setattr(AnalyticsEngine, "open", slow)
    return gate


async def test_an_opening_whose_caller_gave_up_serves_the_next_caller(host: TenantHost, gate: Gate) -> None:
    first = asyncio.create_task(host.open(TENANT))
    await asyncio.to_thread(gate.reached.wait, 10)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(host.open(TENANT))
    await asyncio.sleep(0)
    gate.free.set()

    assert await second == 1  # a second engine would have raised the epoch
    assert (await collect(host)).counts()["accepted"] == 1


async def test_a_host_closed_while_it_opens_releases_what_was_opened(host: TenantHost, gate: Gate) -> None:
    opening = asyncio.create_task(host.open(TENANT))
    await asyncio.to_thread(gate.reached.wait, 10)
    closing = asyncio.create_task(host.close())
    await asyncio.sleep(0)
    gate.free.set()
    await closing

    with pytest.raises(UnavailableError, match="it is being drained"):
        await opening
    sight = (await host.status()).sight
    assert (sight.condition, sight.tenants) == (HostCondition.DRAINING, ())


async def test_a_tenant_with_a_recent_call_does_not_go_cold(host: TenantHost, clock: ManualClock) -> None:
    await host.open(TENANT)
    clock.advance(timedelta(seconds=59))
    await collect(host)
    clock.advance(timedelta(seconds=59))

    assert await host.retire(60.0) == []
    assert [seen.idle_s for seen in (await host.status()).sight.tenants] == [59.0]
    assert (await host.query(TENANT, COUNT)).data == [{"count": 1}]


async def test_a_tenant_that_went_cold_is_written_out_and_refused(
    host: TenantHost, clock: ManualClock, config: AnalyticsConfig
) -> None:
    await host.open(TENANT)
    await collect(host)
    clock.advance(timedelta(seconds=60))

    assert await host.retire(60.0) == [TENANT]

    with pytest.raises(UnavailableError, match="does not serve it"):
        await host.query(TENANT, COUNT)
    following = TenantHost("shared-1", config)
    assert await following.open(TENANT) == 2
    answer = await following.query(TENANT, COUNT)
    assert (answer.data, answer.stats.segments_total) == ([{"count": 1}], 1)
    await following.close()


async def test_asking_how_a_host_is_keeps_no_tenant_warm(host: TenantHost, clock: ManualClock) -> None:
    await host.open(TENANT)
    clock.advance(timedelta(seconds=60))
    await host.status()

    assert await host.retire(60.0) == [TENANT]


async def test_a_host_that_was_fenced_off_knows_it_after_the_next_call(
    host: TenantHost, config: AnalyticsConfig
) -> None:
    await host.open(TENANT)
    following = TenantHost("shared-1", config)
    await following.open(TENANT)

    with pytest.raises(StaleOwnerError):
        await host.query(TENANT, COUNT)

    assert [seen.fenced for seen in (await host.status()).sight.tenants] == [True]
    assert await host.serves(TENANT) is None
    await following.close()


async def test_a_host_that_was_fenced_off_may_take_the_tenant_over_again(
    host: TenantHost, config: AnalyticsConfig
) -> None:
    await host.open(TENANT)
    following = TenantHost("shared-1", config)
    await following.open(TENANT)
    await collect(following)

    assert await host.open(TENANT) == 3

    assert (await host.query(TENANT, COUNT)).data == [{"count": 1}]
    with pytest.raises(StaleOwnerError):
        await collect(following)
    await following.close()


async def test_a_host_may_be_called_from_several_event_loops(host: TenantHost) -> None:
    await host.open(TENANT)

    await asyncio.gather(*(asyncio.to_thread(lambda: asyncio.run(collect(host))) for _ in range(8)))

    assert (await host.query(TENANT, COUNT)).data == [{"count": 8}]


async def test_tenants_of_one_host_see_their_own_events_only(host: TenantHost, config: AnalyticsConfig) -> None:
    backing = Backing.open(config)
    names = [f"tenant_{number:03d}" for number in range(2, 12)]
    for name in names:
        backing.register(name, {})
    await asyncio.gather(*(host.open(name) for name in names))

    for number, name in enumerate(names):
        rows = [{"owner": name}] * (number + 1)
        await host.collect(name, "user_interactions", Payload.of(rows), DataSourceType.API, None)

    asked = {"type": "aggregation", "metrics": ["count"], "dimensions": ["owner"]}
    answers = await asyncio.gather(*(host.query(name, asked) for name in names))
    assert [answer.data for answer in answers] == [
        [{"owner": name, "count": number + 1}] for number, name in enumerate(names)
    ]
    backing.close()


async def test_a_tenant_that_is_released_finishes_its_calls_and_takes_no_more(
    host: TenantHost, config: AnalyticsConfig
) -> None:
    await host.open(TENANT)
    calls = [asyncio.create_task(collect(host)) for _ in range(20)]
    await asyncio.sleep(0)

    await host.release(TENANT)

    assert [(await call).counts()["accepted"] for call in calls] == [1] * 20
    with pytest.raises(UnavailableError):
        await collect(host)
    following = TenantHost("shared-1", config)
    await following.open(TENANT)
    assert (await following.query(TENANT, COUNT)).data == [{"count": 20}]
    await following.close()


async def test_a_drained_host_takes_no_tenant_any_more(host: TenantHost) -> None:
    await host.open(TENANT)

    assert not await host.drain_if_empty()
    assert await host.drain() == [TENANT]
    assert await host.drain_if_empty()

    with pytest.raises(UnavailableError, match="it is being drained"):
        await host.open(TENANT)


async def test_old_buffers_are_written_out_without_a_call(
    host: TenantHost, clock: ManualClock, config: AnalyticsConfig
) -> None:
    await host.open(TENANT)
    await collect(host)
    clock.advance(timedelta(seconds=config.storage.flush_age_seconds + 1))

    async with asyncio.timeout(10):
        while (await host.tenant_status(TENANT)).engine.buffered_bytes:
            await asyncio.sleep(0.05)

    assert (await host.query(TENANT, COUNT)).stats.segments_total == 1


async def test_limits_in_the_catalog_hold_once_the_host_is_told(host: TenantHost, config: AnalyticsConfig) -> None:
    await host.read_limits(TENANT)
    assert await host.standings(TENANT) is None, "which is said of a tenant that is served elsewhere"
    await host.open(TENANT)
    assert await host.standings(TENANT) == ()
    backing = Backing.open(config)
    backing.catalog.tenant(TENANT).set_limits({"events_per_second": 1})
    await host.read_limits(TENANT)
    await collect(host)

    with pytest.raises(LimitExceededError, match="events_per_second=1"):
        await collect(host)

    found = await host.standings(TENANT)
    assert found is not None
    assert [(standing.limit, standing.used) for standing in found] == [("events_per_second", 1)]
    used = backing.catalog.tenant(TENANT).usage(ManualClock().now(), ManualClock().now() + timedelta(hours=1))
    backing.close()
    assert {row.what: row.amount for row in used}["refused.events_per_second"] == 1


async def test_of_a_tenant_that_is_leaving_the_limits_are_those_of_nobody_here(host: TenantHost) -> None:
    await host.open(TENANT)
    engine = host._seats[TENANT].engine
    assert engine is not None
    await engine.close()  # as leaving does, before the seat is empty

    await host.read_limits(TENANT)
    assert await host.standings(TENANT) is None
