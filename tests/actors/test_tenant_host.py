"""The host as a plain class: opened once, served from, let go; no Ray."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from actors.placement import Condition
from actors.tenant_host import TenantHost
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, Backing, HostResources
from tenancy.analytics.errors import StaleOwnerError, UnavailableError, UnknownNameError
from tenancy.analytics.testing import ManualClock
from tenancy.analytics.types import DataSourceType, Receipts

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
    made = TenantHost("tenant_001", config, clock)
    yield made
    await made.close()


async def collect(host: TenantHost) -> Receipts:
    return await host.collect("user_interactions", Payload.of({"n": 1}), DataSourceType.API, None)


async def test_a_host_answers_nothing_before_it_is_open(host: TenantHost) -> None:
    with pytest.raises(UnavailableError, match="it is new"):
        await host.query(COUNT)
    assert (await host.status()).sight.condition is Condition.NEW


async def test_however_often_it_is_asked_to_a_host_opens_once(host: TenantHost) -> None:
    assert set(await asyncio.gather(*(host.open() for _ in range(5)))) == {1}
    assert await host.open() == 1


async def test_a_host_that_could_not_open_tries_again_when_asked_again(config: AnalyticsConfig) -> None:
    host = TenantHost("tenant_002", config)
    with pytest.raises(UnknownNameError):
        await host.open()
    backing = Backing.open(config)
    backing.register("tenant_002", {})

    assert await host.open() == 1

    await host.close()
    backing.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Openings wait before it."""
    gate = Gate()
    real = AnalyticsEngine.open

    def slow(tenant: str, resources: HostResources) -> AnalyticsEngine:
        gate.reached.set()
        assert gate.free.wait(10)
        return real(tenant, resources)

    monkeypatch.setattr(AnalyticsEngine, "open", slow)
    return gate


async def test_an_opening_whose_caller_gave_up_serves_the_next_caller(host: TenantHost, gate: Gate) -> None:
    first = asyncio.create_task(host.open())
    await asyncio.to_thread(gate.reached.wait, 10)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.create_task(host.open())
    await asyncio.sleep(0)
    gate.free.set()

    assert await second == 1  # a second engine would have raised the epoch
    assert (await collect(host)).counts()["accepted"] == 1


async def test_a_host_closed_while_it_opens_releases_what_was_opened(host: TenantHost, gate: Gate) -> None:
    opening = asyncio.create_task(host.open())
    await asyncio.to_thread(gate.reached.wait, 10)
    closing = asyncio.create_task(host.close())
    await asyncio.sleep(0)
    gate.free.set()
    await closing

    with pytest.raises(UnavailableError, match="it is retired"):
        await opening
    status = await host.status()
    assert (status.sight.condition, status.engine) == (Condition.RETIRED, None)


async def test_a_host_that_worked_lately_does_not_retire(host: TenantHost, clock: ManualClock) -> None:
    await host.open()
    clock.advance(timedelta(seconds=59))
    await collect(host)
    clock.advance(timedelta(seconds=59))

    assert not await host.retire(60.0)
    assert (await host.status()).sight.idle_s == 59.0
    assert (await host.query(COUNT)).data == [{"count": 1}]


async def test_a_host_that_retired_wrote_everything_out_and_refuses_calls(
    host: TenantHost, clock: ManualClock, config: AnalyticsConfig
) -> None:
    await host.open()
    await collect(host)
    clock.advance(timedelta(seconds=60))

    assert await host.retire(60.0)

    with pytest.raises(UnavailableError, match="it is retired"):
        await host.query(COUNT)
    following = TenantHost("tenant_001", config)
    assert await following.open() == 2
    answer = await following.query(COUNT)
    assert (answer.data, answer.stats.segments_total) == ([{"count": 1}], 1)
    await following.close()


async def test_asking_how_a_host_is_does_not_keep_it_warm(host: TenantHost, clock: ManualClock) -> None:
    await host.open()
    clock.advance(timedelta(seconds=60))
    await host.status()

    assert await host.retire(60.0)


async def test_a_host_that_was_fenced_off_knows_it_after_the_next_call(
    host: TenantHost, config: AnalyticsConfig
) -> None:
    await host.open()
    following = TenantHost("tenant_001", config)
    await following.open()

    with pytest.raises(StaleOwnerError):
        await host.query(COUNT)

    assert (await host.status()).sight.condition is Condition.FENCED
    await following.close()


async def test_a_host_may_be_called_from_several_event_loops(host: TenantHost) -> None:
    await host.open()

    await asyncio.gather(*(asyncio.to_thread(lambda: asyncio.run(collect(host))) for _ in range(8)))

    assert (await host.query(COUNT)).data == [{"count": 8}]
