"""What an engine accounts for is what was done, to the event and the byte, across hand-overs and failures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources, TenantConfig
from tenancy.analytics.errors import LimitExceededError, StaleOwnerError, UnavailableError
from tenancy.analytics.storage.catalog import TenantCatalog, UsageAddition
from tenancy.analytics.testing import ManualClock

EVENTS = "user_interactions"
COUNT = {"type": "aggregation", "metrics": ["count"]}
Open = Callable[[], AnalyticsEngine]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    storage: dict[str, Any] = {"root": str(tmp_path)}
    if request.param == "postgresql":
        storage["catalog_url"] = request.getfixturevalue("postgresql_url")
    return {"storage": storage}


@pytest.fixture
async def opened(settings: dict[str, Any], clock: ManualClock) -> AsyncIterator[Open]:
    """Opens `tenant_001` as a process of its own would."""
    held: list[HostResources] = []

    def open_engine() -> AnalyticsEngine:
        resources = HostResources.open(AnalyticsConfig.load(settings, {}), clock)
        held.append(resources)
        limits = TenantConfig.load({"limits": {"queries_per_second": 3}}).settings()
        resources.backing.register("tenant_001", limits)
        return AnalyticsEngine.open("tenant_001", resources)

    yield open_engine
    for resources in held:
        await asyncio.to_thread(resources.close)


def used(engine: AnalyticsEngine, clock: ManualClock) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in engine._rows.usage(clock.now() - timedelta(days=1), clock.now() + timedelta(days=1)):
        total[row.what] += row.amount
    return total


def stored(root: str) -> int:
    """Bytes of the tenant's files on the disk."""
    return sum(file.stat().st_size for file in Path(root, "tenants", "tenant_001").rglob("*") if file.is_file())


async def test_the_accounts_say_what_was_done(opened: Open, clock: ManualClock, settings: dict[str, Any]) -> None:
    engine = opened()
    bodies = [Payload.of([{"n": n, "batch": batch} for n in range(7 + batch)]) for batch in range(5)]
    for index, body in enumerate(bodies):
        await engine.collect(EVENTS, body, idempotency_key=f"k{index}")
    assert (await engine.collect(EVENTS, bodies[0], idempotency_key="k0")).replayed
    on_disk = stored(settings["storage"]["root"])  # nothing was deleted yet
    answers = [await engine.query(COUNT) for _ in range(3)]
    for _ in range(2):
        with pytest.raises(LimitExceededError):
            await engine.query(COUNT)
    await engine.settle_usage()

    found = used(engine, clock)
    assert found["events"] == sum(7 + batch for batch in range(5)), "what is replayed counts once"
    assert found["bytes_received"] == sum(body.nbytes for body in bodies) + bodies[0].nbytes
    assert found["bytes_written"] == on_disk
    assert found["queries"] == 3
    assert found["bytes_scanned"] == sum(answer.stats.bytes_scanned for answer in answers)
    assert found["refused.queries_per_second"] == 2
    assert found["stored_bytes"] == 0
    assert 0 < found["cpu_microseconds"] < 60e6


async def test_across_a_hand_over_nothing_is_lost_or_counted_twice(opened: Open, clock: ManualClock) -> None:
    body = Payload.of([{"n": n} for n in range(10)])
    engine = opened()
    for _ in range(4):
        await engine.collect(EVENTS, body)
        await engine.close()
        engine = opened()
    await engine.settle_usage()
    found = used(engine, clock)
    assert (found["events"], found["bytes_received"]) == (40, 4 * body.nbytes)
    assert found["stored_bytes"] == engine._store.stored_bytes == engine._rows.stored_bytes() > 0


async def test_what_is_read_back_is_counted_as_it_is_stored(opened: Open, clock: ManualClock) -> None:
    engine = opened()
    await engine.collect(EVENTS, Payload.of([{"n": n} for n in range(1000)]))
    await engine.flush()
    await engine.settle_usage()
    before = used(engine, clock)["bytes_read"]
    await engine.query(COUNT | {"metrics": ["sum_n"]})
    await engine.settle_usage()
    (segment,) = engine._rows.segments(EVENTS)
    read = used(engine, clock)["bytes_read"] - before
    assert 0 < read <= 2 * (segment.bytes + 1024), "a small file is read whole, once, or its end twice"


async def test_an_addition_whose_outcome_is_not_known_is_repeated_and_counts_once(
    opened: Open, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened()
    add = TenantCatalog.add_usage

    def lost_answer(rows: TenantCatalog, addition: UsageAddition, epoch: int | None = None) -> None:
        add(rows, addition, epoch)
        raise UnavailableError("catalog", "the connection was lost while committing")

    await engine.collect(EVENTS, Payload.of({"n": 1}))
    with monkeypatch.context() as broken:
        broken.setattr(TenantCatalog, "add_usage", lost_answer)
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await engine.settle_usage()
    await engine.collect(EVENTS, Payload.of({"n": 2}))
    await engine.settle_usage()
    assert used(engine, clock)["events"] == 2


async def test_an_owner_that_is_over_accounts_for_nothing_any_more(opened: Open, clock: ManualClock) -> None:
    old = opened()
    await old.collect(EVENTS, Payload.of({"n": 1}))
    new = opened()
    with pytest.raises(StaleOwnerError):
        await old.settle_usage()
    await new.settle_usage()
    assert used(new, clock)["events"] == 0


async def test_maintenance_writes_what_changed_and_rests_where_nothing_does(opened: Open, clock: ManualClock) -> None:
    engine = opened()
    await engine.maintain()
    await engine.collect(EVENTS, Payload.of({"n": 1}))
    assert not engine.due()
    clock.advance(timedelta(seconds=30))
    assert engine.due()
    await engine.maintain()
    assert used(engine, clock)["events"] == 1
    clock.advance(timedelta(seconds=30))
    assert not engine._accounts.due()  # the store is: its row has waited a minute


async def test_memory_is_counted_for_as_long_as_it_is_held(opened: Open, clock: ManualClock) -> None:
    engine = opened()
    await engine.collect(EVENTS, Payload.of([{"n": n} for n in range(1000)]))
    held = engine._store.bytes
    clock.advance(timedelta(seconds=2))
    await engine.settle_usage()
    assert used(engine, clock)["memory_byte_milliseconds"] == held * 2000


async def test_an_hour_has_what_was_used_in_it(opened: Open, clock: ManualClock) -> None:
    engine = opened()
    start = clock.now()
    for _ in range(3):
        await engine.collect(EVENTS, Payload.of({"n": 1}))
        clock.advance(timedelta(hours=1))
    await engine.settle_usage()
    found = [row for row in engine._rows.usage(start, clock.now()) if row.what == "events"]
    assert [(row.hour - start, row.amount) for row in found] == [(timedelta(hours=hour), 1) for hour in range(3)]


async def test_a_weight_that_was_changed_holds_at_once_and_for_later_owners(opened: Open) -> None:
    def weight(engine: AnalyticsEngine) -> float:
        return engine._resources.scheduler._queue._accounts["tenant_001"].weight

    engine = opened()
    assert weight(engine) == 1.0
    engine._rows.set_limits({"weight": 3.0})
    await engine.read_limits()
    assert (weight(engine), weight(opened())) == (3.0, 3.0)


async def test_limits_that_change_in_the_catalog_hold_at_once(opened: Open) -> None:
    engine = opened()
    engine._rows.set_limits({"events_per_second": 1})
    await engine.read_limits()
    await engine.collect(EVENTS, Payload.of({"n": 1}))
    with pytest.raises(LimitExceededError, match="events_per_second=1"):
        await engine.collect(EVENTS, Payload.of({"n": 1}))
    assert [standing.limit for standing in engine.standings()] == ["events_per_second"]
