"""Deduplication is exact: within the window, across restarts, whatever place an id is in."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.storage import dedup, id_runs
from tenancy.analytics.storage._wal_format import micros
from tenancy.analytics.storage.append import Append
from tenancy.analytics.storage.catalog import DedupRun
from tenancy.analytics.storage.dedup import DedupIndex, mergeable
from tenancy.analytics.storage.id_runs import Digests, IdFilter, IdRun, digest, read_filter, read_run
from tenancy.analytics.testing import ManualClock

WINDOW = timedelta(hours=24)
URL = "tenancy://tenant_001/plays/ids/{}.ids"


def digests_of(ids: list[str]) -> Digests:
    return Digests.of(b"".join(map(digest, ids)))


def times_of(*times: int) -> Any:
    return np.array(times, dtype=np.int64)


@given(st.sets(st.text(max_size=5), max_size=50), st.sets(st.text(max_size=5), max_size=50))
def test_a_run_knows_its_ids_and_no_others(held: set[str], asked: set[str]) -> None:
    run = IdRun.of([(digests_of(sorted(held)), np.full(len(held), 10, dtype=np.int64))], since=0)
    ids = sorted(asked | held)
    assert run.seen(digests_of(ids), since=10).tolist() == [id in held for id in ids]
    assert not run.seen(digests_of(ids), since=11).any()


@given(st.sets(st.text(max_size=5), min_size=1, max_size=200))
def test_the_filter_denies_no_id_that_is_there(held: set[str]) -> None:
    assert IdFilter.of(digests_of(sorted(held))).may_hold(digests_of(sorted(held))).all()


def test_the_filter_lets_hardly_any_other_id_pass() -> None:
    held = IdFilter.of(digests_of([f"held {n}" for n in range(20_000)]))
    passed = held.may_hold(digests_of([f"other {n}" for n in range(200_000)])).sum()
    assert passed <= 10  # 0.6 are expected: 3 in a million
    assert held.words.nbytes == 4 * 20_000


def test_ids_that_share_half_their_digest_are_told_apart() -> None:
    same = np.full(3, 7, dtype=np.uint64)
    run = IdRun.of([(Digests(same, np.array([1, 2, 3], dtype=np.uint64)), times_of(10, 10, 10))], since=0)
    asked = Digests(np.full(3, 7, dtype=np.uint64), np.array([3, 4, 1], dtype=np.uint64))
    assert run.seen(asked, since=0).tolist() == [True, False, True]


def test_merging_runs_keeps_the_latest_time_and_drops_what_is_past_the_window() -> None:
    parts = [(digests_of(["a", "b"]), times_of(1, 5)), (digests_of(["c", "b"]), times_of(6, 9))]
    run = IdRun.of(parts, since=5)
    assert len(run.times) == 2
    assert run.seen(digests_of(["a", "b", "c"]), since=6).tolist() == [False, True, True]
    assert run.seen(digests_of(["b", "c"]), since=7).tolist() == [True, False]


def test_a_run_is_read_as_it_was_written(place: Any) -> None:
    run = IdRun.of([(digests_of(["a", "b", "c"]), times_of(1, 2, 3))], since=0)
    place.fs.write_durable(URL.format("1"), run.encode())
    found = read_run(place.fs, URL.format("1"))
    assert found.times.tolist() == run.times.tolist()
    assert found.seen(digests_of(["a", "d"]), since=0).tolist() == [True, False]
    assert read_filter(place.fs, URL.format("1")).may_hold(digests_of(["a", "b", "c"])).all()


@given(st.lists(st.integers(1, 5_000), max_size=200))
def test_there_are_never_many_runs(sizes: list[int]) -> None:
    runs: list[DedupRun] = []
    now = ManualClock().now()
    for index, size in enumerate(sizes):
        replaced = mergeable(runs, size)
        runs = [run for run in runs if run not in replaced]
        runs.append(DedupRun(str(index), "", size + sum(run.rows for run in replaced), now, now))
    assert sum(run.rows for run in runs) == sum(sizes)
    assert len(runs) <= 3 * 10


def index_of(place: Any, runs: tuple[DedupRun, ...] = ()) -> DedupIndex:
    return DedupIndex(place.fs, WINDOW, place.clock, runs, lambda: None)


def store_ids(index: DedupIndex, ids: list[str], at: Any) -> None:
    index.keep(ids, index.digests(ids), at)


def test_of_equal_ids_in_one_call_the_first_wins(place: Any) -> None:
    claimed = index_of(place).claim(pa.array(["a", None, "b", "a", None, "a"]))
    assert claimed.tolist() == [False, False, False, True, False, True]


def test_an_id_is_known_while_a_flush_moves_it_into_a_run(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    index = index_of(place)
    index.claim(["a"])
    store_ids(index, ["a"], place.clock.now())
    index.freeze()
    new = index.new_run()
    assert new is not None
    place.fs.write_durable(URL.format("1"), new.run.encode())
    reserve = index._reserve

    def reserve_and_flush(digests: dict[str, bytes]) -> None:
        reserve(digests)
        index.fold([DedupRun("1", URL.format("1"), 1, *new.span)], new.replaced)

    monkeypatch.setattr(index, "_reserve", reserve_and_flush)
    assert index.claim(["a", "b"]).tolist() == [True, False]


def test_a_released_id_can_be_claimed_again(place: Any) -> None:
    index = index_of(place)
    index.claim(["a"])
    index.release(["a"])
    assert index.claim(["a"]).tolist() == [False]


def test_an_id_past_the_window_is_new_again_to_the_microsecond(place: Any) -> None:
    index = index_of(place)
    index.claim(["a"])
    store_ids(index, ["a"], place.clock.now())
    place.clock.advance(WINDOW)
    assert index.claim(["a"]).tolist() == [True]
    place.clock.advance(timedelta(microseconds=1))
    assert index.claim(["a"]).tolist() == [False]


def test_a_claim_waits_for_the_batch_that_has_its_id_in_flight(place: Any) -> None:
    index = index_of(place)
    index.claim(["a", "b"])
    with ThreadPoolExecutor(2) as pool:
        stored, failed = pool.submit(index.claim, ["x", "a"]), pool.submit(index.claim, ["b"])
        time.sleep(0.05)
        assert not stored.done()
        assert not failed.done()
        assert index.claim(["x"]).tolist() == [False]  # one that waits holds nothing
        index.release(["x"])
        store_ids(index, ["a"], place.clock.now())
        assert stored.result(10).tolist() == [False, True]
        index.release(["b"])
        assert failed.result(10).tolist() == [False]


def test_of_many_concurrent_claims_of_one_id_exactly_one_wins(place: Any) -> None:
    index = index_of(place)
    start = threading.Barrier(8)

    def claim(_: int) -> bool:
        start.wait(10)
        won = not index.claim(["a"])[0]
        if won:
            store_ids(index, ["a"], place.clock.now())
        return won

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(8))) == 1


operations = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), st.lists(st.integers(0, 12), min_size=1, max_size=6)),
        st.tuples(st.just("fail"), st.lists(st.integers(0, 12), min_size=1, max_size=6)),
        st.tuples(st.just("flush"), st.just([])),
        st.tuples(st.just("restart"), st.just([])),
        st.tuples(st.just("maintain"), st.just([])),
        st.tuples(st.just("wait"), st.lists(st.integers(1, 20), min_size=1, max_size=1)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations)
def test_every_answer_is_that_of_a_plain_dictionary(new_place: Any, steps: list[tuple[str, list[int]]]) -> None:
    place = new_place()
    owner = place.take_over()
    store = owner.create(place.schema)
    model: dict[str, Any] = {}
    for step, numbers in steps:
        if step == "wait":
            place.clock.advance(timedelta(hours=numbers[0]))
        elif step == "flush":
            store.flush()
        elif step == "maintain":
            owner.maintain()
        elif step == "restart":
            owner = place.take_over()
            store = owner.dataset("plays")
        else:
            ids = [str(number) for number in numbers]
            now = place.clock.now()
            expected, new = [], []
            for id in ids:
                seen = id in new or (id in model and model[id] >= now - WINDOW)
                expected.append(seen)
                if not seen:
                    new.append(id)
            assert store.claim(pa.array(ids)).tolist() == expected
            if step == "fail":
                store.release(new)
            elif new:
                store.append(Append(place.events(new), own_ids=pa.array(new))).result(10)
                model.update(dict.fromkeys(new, now))
    place.executor.shutdown()
    place.catalog.close()


def test_runs_are_merged_and_their_files_deleted(place: Any) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    for n in range(30):
        store.claim([str(n)])
        store.append(Append(place.events([str(n)]), own_ids=(str(n),))).result()
        store.flush()
        place.clock.advance(timedelta(seconds=1))
    owner.maintain()
    assert len(place.files("ids")) <= 6
    assert store.claim([str(n) for n in range(31)]).tolist() == [True] * 30 + [False]
    store.release(["30"])
    store = place.take_over().dataset("plays")
    assert store.claim([str(n) for n in range(31)]).tolist() == [True] * 30 + [False]


def test_expired_runs_are_dropped(place: Any) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    store.claim(["a"])
    store.append(Append(place.events(["a"]), own_ids=("a",))).result()
    store.flush()
    assert len(place.files("ids")) == 1
    place.clock.advance(WINDOW + timedelta(seconds=1))
    owner.maintain()
    assert place.files("ids") == []
    assert store.claim(["a"]).tolist() == [False]


def test_runs_are_kept_in_memory_only_as_far_as_they_fit(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dedup, "CACHE_BYTES", 100)
    read: list[str] = []
    real = id_runs.read_run

    def reading(fs: Any, url: str) -> IdRun:
        read.append(url)
        return real(fs, url)

    monkeypatch.setattr(dedup, "read_run", reading)
    now = place.clock.now()
    runs = []
    for name in ("1", "2"):
        ids = [f"{name} {n}" for n in range(4)]
        run = IdRun.of([(digests_of(ids), np.full(4, micros(now), dtype=np.int64))], since=0)
        place.fs.write_durable(URL.format(name), run.encode())
        runs.append(DedupRun(name, URL.format(name), 4, now, now))
    index = index_of(place, tuple(runs))
    for id in ("1 0", "1 1", "2 0", "1 0"):
        assert index.claim([id]).tolist() == [True]
    assert [url[-5] for url in read] == ["1", "2", "1"]
