"""Compaction: the merged segment is the whole, in bounded memory, beside readers and writers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.errors import StaleOwnerError, StorageFullError
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.storage import compaction
from tenancy.analytics.storage.append import Append, conform
from tenancy.analytics.storage.compaction import LEAST_INPUTS, MOST_INPUTS, merge, merge_by_time, pick
from tenancy.analytics.storage.segments import read_rows, write_segment
from tenancy.analytics.storage.snapshot import Segment
from tenancy.analytics.storage.statistics import table_stats
from tenancy.analytics.types import DatasetKind

FOLDER = "tenancy://tenant_001/plays/segments"
TIME = datetime(2025, 7, 15, tzinfo=UTC)
SCHEMA = DatasetSchema(
    name="plays", fields={"a": FieldSpec(type=FieldType.STRING), "b": FieldSpec(type=FieldType.FLOAT)}
)
PLACES = DatasetSchema(name="plays", kind=DatasetKind.DIMENSION, key="a", fields=SCHEMA.fields)


def sized(*sizes: int) -> list[Segment]:
    return [Segment(str(n), str(n), 1, size, None, None, {}) for n, size in enumerate(sizes)]


@given(st.lists(st.integers(1, 200), max_size=40), st.integers(1, 500))
def test_what_is_picked_are_neighbours_within_the_target(sizes: list[int], target: int) -> None:
    segments = sized(*sizes)
    picked = pick(segments, target)
    if picked:
        at = segments.index(picked[0])
        assert list(picked) == segments[at : at + len(picked)]
        assert LEAST_INPUTS <= len(picked) <= MOST_INPUTS
        assert sum(segment.bytes for segment in picked) <= target
        assert 2 * max(segment.bytes for segment in picked) <= sum(segment.bytes for segment in picked)


@given(st.lists(st.integers(1, 100), max_size=60))
def test_merging_comes_to_an_end_and_leaves_few_small_segments(sizes: list[int]) -> None:
    segments, rewritten = sized(*sizes), 0
    while picked := pick(segments, 1_000):
        at = segments.index(picked[0])
        total = sum(segment.bytes for segment in picked)
        segments[at : at + len(picked)] = [Segment(picked[-1].id + "m", "", 1, total, None, None, {})]
        rewritten += total
    assert rewritten <= 8 * sum(sizes)  # a row is rewritten once for every doubling


def test_large_segments_are_left_alone() -> None:
    assert pick(sized(600, 600, 600, 600), 1_000) == ()
    assert [segment.id for segment in pick(sized(900, 1, 1, 1, 1, 900), 1_000)] == ["1", "2", "3", "4"]


rows = st.lists(st.tuples(st.integers(0, 9), st.none() | st.text(max_size=3), st.none() | st.floats(0, 1)), max_size=30)
parts = st.lists(st.tuples(rows, st.sets(st.sampled_from(["a", "b"]))), min_size=1, max_size=5)


def part_table(part: list[tuple[int, str | None, float | None]], columns: set[str], first: int) -> pa.Table:
    """Rows with only some of the dataset's columns, as older segments have."""
    table = pa.table(
        {
            "event_id": [f"{first + n:05d}" for n in range(len(part))],
            "event_time": pa.array([TIME + timedelta(minutes=m) for m, _, _ in part], pa.timestamp("us", "UTC")),
            "a": pa.array([a for _, a, _ in part], pa.string()),
            "b": pa.array([b for _, _, b in part], pa.float64()),
        }
    )
    fields = [f for f in SCHEMA.arrow() if f.name not in {"a", "b"} - columns]
    return conform(table.drop_columns(sorted({"a", "b"} - columns)), pa.schema(fields))


@pytest.mark.parametrize("schema", [SCHEMA, PLACES], ids=["events", "dimension"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_parts=parts, batch=st.integers(1, 8))
def test_merged_equals_whole(
    place: Any, schema: DatasetSchema, given_parts: list[tuple[Any, set[str]]], batch: int
) -> None:
    tables = [part_table(part, columns, 100 * n) for n, (part, columns) in enumerate(given_parts)]
    ids = [f"0198a3f0-7c00-7000-8000-{n:012x}" for n in range(len(tables))]
    segments = [
        write_segment(place.fs, id, f"{FOLDER}/{id}.parquet", table, schema)
        for id, table in zip(ids, tables, strict=True)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "BATCH_ROWS", batch)
        whole = merge(place.fs, FOLDER, segments, schema)
    before, after = (read_rows(place.fs, some, schema) for some in (segments, [whole]))
    assert whole.rows == before.num_rows
    if schema is PLACES:
        assert after.to_pylist() == before.to_pylist()
    else:
        assert sorted(after.to_pylist(), key=str) == sorted(before.to_pylist(), key=str)
        assert after["event_time"].to_pylist() == sorted(before["event_time"].to_pylist())
    assert set(whole.columns) == {name for segment in segments for name in segment.columns}
    stats = table_stats(before)
    assert {name: whole.stats[name] for name in whole.columns} == {name: stats[name] for name in whole.columns}
    assert (whole.min_time, whole.max_time) == (
        min((s.min_time for s in segments if s.min_time), default=None),
        max((s.max_time for s in segments if s.max_time), default=None),
    )


def test_streams_are_merged_a_table_at_a_time() -> None:
    in_hand = 0

    def stream(first: int) -> Any:
        nonlocal in_hand
        for n in range(first, 1_000, 10):
            in_hand += 1
            yield pa.table({"event_time": pa.array([n, n + 5], pa.timestamp("us", "UTC"))})

    taken = 0
    times: list[int] = []
    for table in merge_by_time([stream(0), stream(3), stream(7)]):
        taken += table.num_rows
        times += table["event_time"].cast(pa.int64()).to_pylist()
        assert 2 * in_hand - taken <= 6
    assert times == sorted(times)
    assert len(times) == 600


def filled(place: Any, store: Any, segments: int = LEAST_INPUTS) -> list[str]:
    ids = []
    for n in range(segments):
        store.append(Append(place.events([f"{n}-a", f"{n}-b"], minutes=[segments - n, n]))).result()
        store.flush()
        ids += [f"{n}-a", f"{n}-b"]
    return sorted(ids)


def test_a_snapshot_keeps_its_files_until_it_is_released(place: Any) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    ids = filled(place, store)
    with store.snapshot() as snapshot:
        assert store.compact() == LEAST_INPUTS
        owner.maintain()
        assert sorted(read_rows(place.fs, snapshot.segments, snapshot.schema)["event_id"].to_pylist()) == ids
        assert len(place.files("segments")) == LEAST_INPUTS + 1
    owner.maintain()
    assert len(place.files("segments")) == 1
    assert sorted(place.ids(store)) == ids


def test_a_later_snapshot_does_not_keep_files_it_never_saw(place: Any) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    filled(place, store)
    store.compact()
    with store.snapshot():
        owner.maintain()
        assert len(place.files("segments")) == 1


def test_dead_files_are_deleted_after_a_crash(place: Any) -> None:
    store = place.plays()
    ids = filled(place, store)
    store.compact()
    assert len(place.files("segments")) == LEAST_INPUTS + 1
    owner = place.take_over()
    owner.maintain()
    assert len(place.files("segments")) == 1
    assert sorted(place.ids(owner.dataset("plays"))) == ids


def test_an_owner_that_is_over_deletes_no_file_that_a_query_of_the_new_one_reads(place: Any) -> None:
    old = place.take_over()
    old.create(place.schema)
    new = place.take_over()
    store = new.dataset("plays")
    ids = filled(place, store)
    with store.snapshot() as snapshot:
        store.compact()
        with pytest.raises(StaleOwnerError):
            old.maintain()
        assert sorted(read_rows(place.fs, snapshot.segments, snapshot.schema)["event_id"].to_pylist()) == ids
    new.maintain()
    assert len(place.files("segments")) == 1


def test_a_query_of_an_owner_from_before_finishes_on_files_that_were_replaced_meanwhile(place: Any) -> None:
    old = place.take_over()
    ids = filled(place, old.create(place.schema))
    with old.snapshot("plays") as snapshot:
        new = place.take_over(dead_file_seconds=120)
        new.dataset("plays").compact()
        new.maintain()
        assert sorted(read_rows(place.fs, snapshot.segments, snapshot.schema)["event_id"].to_pylist()) == ids
    place.clock.advance(timedelta(seconds=121))
    new.maintain()
    assert len(place.files("segments")) == 1


def test_the_version_stays_while_the_rows_do(place: Any) -> None:
    store = place.plays()
    filled(place, store)

    def version() -> str:
        with store.snapshot() as snapshot:
            return str(snapshot.version)

    before = version()
    store.compact()
    store.flush()
    assert version() == before
    store.append(Append(place.events(["new"]))).result()
    assert version() != before


def test_a_dimension_table_keeps_its_order_through_compaction_and_restart(place: Any) -> None:
    place.schema = DatasetSchema(name="plays", kind=DatasetKind.DIMENSION, key="song", fields={**place.schema.fields})
    store = place.plays()
    expected = []
    for n in range(LEAST_INPUTS + 2):
        if n == LEAST_INPUTS:
            assert store.compact() == LEAST_INPUTS
        store.append(Append(place.events([f"{n}-a", f"{n}-b"], minutes=[9, 0]))).result()
        store.flush()
        expected += [f"{n}-a", f"{n}-b"]
    assert place.ids(store) == expected
    assert place.ids(place.take_over().dataset("plays")) == expected


def test_a_full_disk_stops_compaction_and_nothing_else(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.plays()
    ids = filled(place, store)
    monkeypatch.setattr(compaction, "write_stream", full)
    with pytest.raises(StorageFullError):
        store.compact()
    assert sorted(place.ids(store)) == ids
    monkeypatch.undo()
    assert store.compact() == LEAST_INPUTS
    assert sorted(place.ids(store)) == ids


def full(*_: Any) -> Any:
    raise StorageFullError("disk")


def test_readers_and_writers_go_on_during_compaction(place: Any) -> None:
    owner = place.take_over(flush_rows=4)
    store = owner.create(place.schema)
    done = threading.Event()
    acknowledged = 0

    def write() -> None:
        nonlocal acknowledged
        for n in range(120):
            store.append(Append(place.events([f"{n}"]))).result(10)
            acknowledged = n + 1
        done.set()

    def read() -> int:
        count = 0
        while not done.is_set():
            least = acknowledged
            with store.snapshot() as snapshot:
                assert snapshot.rows >= least
            ids = place.ids(store)
            assert len(ids) == len(set(ids)) >= least
            count += 1
        return count

    def tend() -> None:
        while not done.is_set():
            owner.maintain()

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(job) for job in (write, read, read, tend)]
        for job in jobs:
            job.result(60)
    owner.maintain()
    assert sorted(place.ids(store), key=int) == [str(n) for n in range(120)]
    with store.snapshot() as snapshot:
        assert len(snapshot.segments) < 12
    store.close()
