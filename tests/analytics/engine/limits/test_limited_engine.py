"""An engine under limits: refused before any work is done, whatever key or replica the calls come by."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources, TenantConfig
from tenancy.analytics.errors import LimitExceededError
from tenancy.analytics.testing import ManualClock

Open = Callable[..., AnalyticsEngine]
COUNT = {"type": "aggregation", "metrics": ["count"]}
EVENTS = "user_interactions"


def rows(count: int) -> Payload:
    return Payload.of([{"n": number, "text": "x" * 20} for number in range(count)])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def opened(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Open]:
    """Opens `tenant_001` under these limits of its own."""
    held: list[HostResources] = []

    def open_engine(limits: dict[str, Any], defaults: dict[str, Any] | None = None) -> AnalyticsEngine:
        sections = {"storage": {"root": str(tmp_path)}, "limits": defaults or {}}
        resources = HostResources.open(AnalyticsConfig.load(sections, {}), clock)
        held.append(resources)
        resources.backing.register("tenant_001", TenantConfig.load({"limits": limits}).settings())
        return AnalyticsEngine.open("tenant_001", resources)

    yield open_engine
    for resources in held:
        await asyncio.to_thread(resources.close)


async def count(engine: AnalyticsEngine) -> int:
    (row,) = (await engine.query(COUNT)).data
    found: int = row["count"]
    return found


async def test_over_the_limit_nothing_of_a_call_is_kept_and_after_the_wait_all_of_it(
    opened: Open, clock: ManualClock
) -> None:
    engine = opened({"events_per_second": 100})
    await engine.collect(EVENTS, rows(150))
    with pytest.raises(LimitExceededError) as refused:
        await engine.collect(EVENTS, rows(1))
    assert await count(engine) == 150
    clock.advance(timedelta(seconds=refused.value.wait_s or 0.0))
    await engine.collect(EVENTS, rows(1))
    assert await count(engine) == 151


async def test_an_array_of_objects_in_objects_counts_as_the_events_in_it(opened: Open) -> None:
    engine = opened({"events_per_second": 100})
    nested = Payload.from_http(b'[{"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}]', "application/json")
    for _ in range(50):
        await engine.collect(EVENTS, nested)
    with pytest.raises(LimitExceededError, match=r"events_per_second=100 \(100 used\)"):
        await engine.collect(EVENTS, nested)


async def test_a_call_that_is_repeated_under_its_key_counts_its_events_once(opened: Open) -> None:
    engine = opened({"events_per_second": 100})
    for _ in range(20):
        receipts = await engine.collect(EVENTS, rows(50), idempotency_key="k")
    assert receipts.replayed
    await engine.collect(EVENTS, rows(49))


async def test_queries_beyond_the_limit_are_refused_and_those_that_run_are_finished(
    opened: Open, clock: ManualClock
) -> None:
    engine = opened({"concurrent_queries": 1, "queries_per_second": 3})
    await engine.collect(EVENTS, rows(10))
    first = asyncio.create_task(count(engine))
    await asyncio.sleep(0)
    with pytest.raises(LimitExceededError, match="concurrent_queries=1"):
        await count(engine)
    assert await first == 10
    assert await count(engine) == 10
    await engine.explain(COUNT)
    with pytest.raises(LimitExceededError, match="queries_per_second=3"):
        await engine.quarantine(EVENTS)
    clock.advance(timedelta(seconds=1))
    await engine.quarantine(EVENTS)


async def test_a_store_that_is_full_for_its_tenant_takes_no_events_and_answers(
    opened: Open, clock: ManualClock
) -> None:
    engine = opened({"stored_bytes": 100})
    await engine.collect(EVENTS, rows(100))
    await engine.flush()
    clock.advance(timedelta(seconds=1))
    with pytest.raises(LimitExceededError, match="stored_bytes"):
        await engine.collect(EVENTS, rows(1))
    assert await count(engine) == 100


async def test_what_the_settings_say_holds_for_tenants_that_say_nothing(opened: Open) -> None:
    engine = opened({"bytes_per_second": None}, defaults={"bytes_per_second": 1, "events_per_second": 10})
    await engine.collect(EVENTS, rows(10))
    with pytest.raises(LimitExceededError, match="events_per_second=10"):
        await engine.collect(EVENTS, rows(1))
