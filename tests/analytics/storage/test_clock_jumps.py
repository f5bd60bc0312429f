"""The wall clock is set forward or back, by NTP or by hand: nothing is lost, stored twice, or waits for it."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.clock import SystemClock
from tenancy.analytics.storage._ids import made_at
from tenancy.analytics.storage.append import Append
from tenancy.analytics.storage.catalog import IdempotencyRecord
from tenancy.analytics.storage.store import DatasetStore
from tenancy.analytics.types import made_key

WINDOW = timedelta(hours=24)
JUMPS = pytest.mark.parametrize("jump", [timedelta(days=days) for days in (-400, -1, 1, 400)], ids=str)


def store_one(place: Any, store: DatasetStore, name: str) -> None:
    assert not store.claim([name])[0]
    record = IdempotencyRecord(name, b"fingerprint", b"receipts", place.clock.now())
    store.append(Append(place.events([name]), own_ids=(name,), idempotency=record)).result()


def is_known(store: DatasetStore, name: str) -> bool:
    (duplicate,) = store.claim([name])
    if not duplicate:
        store.release([name])
    recalled = store.recall(name) is not None
    assert recalled == bool(duplicate), "the id and the answer are remembered equally long"
    return recalled


@JUMPS
@pytest.mark.parametrize("flushed", [True, False])
def test_ids_and_answers_are_remembered_for_the_window_and_no_longer(
    place: Any, jump: timedelta, flushed: bool
) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    store_one(place, store, "before")
    if flushed:
        store.flush()
    place.clock.jump(jump)
    owner.maintain()
    store_one(place, store, "after")
    assert is_known(store, "before")
    place.clock.advance(WINDOW - timedelta(seconds=1))
    owner.maintain()
    assert is_known(store, "before")
    assert is_known(store, "after")
    place.clock.advance(timedelta(seconds=2))
    owner.maintain()
    assert not is_known(store, "before")
    assert not is_known(store, "after")


@JUMPS
def test_a_key_that_a_machine_with_another_time_made_is_remembered_for_its_hour(place: Any, jump: timedelta) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    key = made_key(place.clock.now() + jump)
    store.append(
        Append(place.events(["a"]), idempotency=IdempotencyRecord(key, b"", b"", place.clock.now() + jump))
    ).result()
    store.flush()
    place.clock.advance(timedelta(minutes=59))
    owner.maintain()
    assert store.recall(key) is not None


def test_an_owner_that_begins_while_the_clock_is_behind_goes_on_from_what_is_stored(place: Any) -> None:
    store = place.plays()
    store_one(place, store, "flushed")
    store.flush()
    store_one(place, store, "logged")
    place.clock.jump(timedelta(days=-3))
    place.clock.restart()
    behind = place.take_over()
    store_one(place, behind.dataset("plays"), "behind")
    behind.dataset("plays").flush()
    behind.maintain()
    assert all(is_known(behind.dataset("plays"), name) for name in ("flushed", "logged", "behind"))

    place.clock.jump(timedelta(days=3))
    place.clock.restart()
    right = place.take_over()
    right.maintain()

    assert all(is_known(right.dataset("plays"), name) for name in ("flushed", "logged", "behind"))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("jump"), st.integers(-72, 72)),
            st.tuples(st.just("pass"), st.integers(1, 12)),
            st.sampled_from([("store", 0), ("flush", 0), ("maintain", 0), ("restart", 0)]),
        ),
        min_size=3,
        max_size=12,
    )
)
def test_whatever_is_done_to_the_clock_nothing_is_forgotten_within_the_window(
    new_place: Any, steps: list[tuple[str, int]]
) -> None:
    place = new_place()
    owner = place.take_over()
    owner.create(place.schema)
    stored: dict[str, float] = {}
    for number, (step, hours) in enumerate(steps):
        store = owner.dataset("plays")
        match step:
            case "jump":
                place.clock.jump(timedelta(hours=hours))
            case "pass":
                place.clock.advance(timedelta(hours=hours))
            case "store":
                store_one(place, store, f"id {number}")
                stored[f"id {number}"] = place.clock.monotonic()
            case "flush":
                store.flush()
            case "maintain":
                owner.maintain()
            case _ if place.clock.now() <= place.clock.steady():  # ahead is a later day, for all that anybody knows
                place.clock.restart()
                owner = place.take_over()
        young = [id for id, at in stored.items() if place.clock.monotonic() - at <= WINDOW.total_seconds()]
        assert all(is_known(owner.dataset("plays"), id) for id in young)
    assert sorted(place.ids(owner.dataset("plays"))) == sorted(stored)


@JUMPS
def test_rows_are_flushed_at_their_age(place: Any, jump: timedelta) -> None:
    owner = place.take_over(flush_age_seconds=60)
    store = owner.create(place.schema)
    owner.maintain()
    store_one(place, store, "a")
    place.clock.jump(jump)
    assert not owner.due()
    place.clock.advance(timedelta(seconds=60))
    assert owner.due()
    owner.maintain()
    assert len(place.files("segments")) == 1


def test_segments_are_named_in_the_order_they_were_made(place: Any) -> None:
    store = place.plays()
    names: list[str] = []
    for number, days in enumerate((1, -2, 30, -30, 0)):
        place.clock.jump(timedelta(days=days))
        store_one(place, store, str(number))
        store.flush()
        with store.snapshot() as snapshot:
            names.append(snapshot.segments[-1].id)
    assert names == sorted(names)
    assert place.ids(store) == [str(number) for number in range(5)]
    assert abs(made_at(names[-1]) - place.clock.steady()) < timedelta(seconds=1)


@JUMPS
def test_files_that_were_replaced_are_kept_for_their_time(place: Any, jump: timedelta) -> None:
    owner = place.take_over(dead_file_seconds=120)
    store = owner.create(place.schema)
    for number in range(20):
        store_one(place, store, str(number))
        store.flush()
    assert store.compact() > 0
    before = place.files("segments")
    place.clock.jump(jump)
    owner.maintain()
    assert place.files("segments") == before
    place.clock.advance(timedelta(seconds=120))
    owner.maintain()
    assert len(place.files("segments")) < len(before)


def test_the_clock_of_a_process_is_steady_and_its_own() -> None:
    clock = SystemClock()
    assert abs(clock.steady() - datetime.now(UTC)) < timedelta(seconds=5)
    clock._began += timedelta(days=1)  # as if made on a machine that began at another moment
    assert abs(pickle.loads(pickle.dumps(clock)).steady() - datetime.now(UTC)) < timedelta(seconds=5)
