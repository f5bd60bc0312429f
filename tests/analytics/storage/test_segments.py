"""Segments: sorted, small, read by every reader, written in little memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.errors import StorageFullError
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType, quarantine_schema
from tenancy.analytics.storage._ids import SegmentIds, after
from tenancy.analytics.storage.append import conform
from tenancy.analytics.storage.segments import ROW_GROUP_ROWS, regrouped, write_segment, write_stream
from tenancy.analytics.testing import ManualClock
from tenancy.analytics.types import DatasetKind

URL = "tenancy://tenant_001/plays/segments/1.parquet"
TIME = datetime(2025, 7, 15, tzinfo=UTC)
EVERY_TYPE = DatasetSchema(name="plays", fields={kind.value: FieldSpec(type=kind) for kind in FieldType})


def events(times: list[datetime | None], **columns: Any) -> pa.Table:
    ids = [f"0198a3f0-7c00-7000-8000-{n:012x}" for n in range(len(times))]
    table = pa.table({"event_id": ids, "event_time": pa.array(times, pa.timestamp("us", "UTC")), **columns})
    return conform(table, EVERY_TYPE.arrow())


def minutes(*numbers: int) -> list[datetime | None]:
    return [TIME + timedelta(minutes=n) for n in numbers]


def test_every_type_is_read_back_by_pyarrow_and_by_duckdb(place: Any) -> None:
    rows = events(
        minutes(1, 2),
        overflow=pa.array([[("a", "1")], None], pa.map_(pa.string(), pa.string())),
        string=["x", None],
        integer=[1, None],
        float=[0.5, None],
        boolean=[True, None],
        timestamp=pa.array([TIME, None], pa.timestamp("us", "UTC")),
        strings=[["a", "b"], None],
        binary=[b"\0\xff", None],
    )
    segment = write_segment(place.fs, "1", URL, rows, EVERY_TYPE)
    with place.fs.open(URL) as file:
        assert pq.read_table(file).equals(rows)
    with duckdb.connect() as connection:
        connection.register_filesystem(place.fs)
        found = connection.sql("SELECT * FROM read_parquet(?)", params=[URL]).to_arrow_table()
    assert found.cast(rows.schema).to_pylist() == rows.to_pylist()
    assert (segment.rows, segment.bytes) == (2, place.fs.info(URL)["size"])
    assert dict(segment.columns) == {kind.value: kind.value for kind in FieldType}
    assert (segment.min_time, segment.max_time) == (TIME + timedelta(minutes=1), TIME + timedelta(minutes=2))


def test_events_are_sorted_by_time_and_rows_of_one_time_keep_their_order(place: Any) -> None:
    rows = events(minutes(2, 1, 2, 1, 0), integer=[0, 1, 2, 3, 4])
    write_segment(place.fs, "1", URL, rows, EVERY_TYPE)
    with place.fs.open(URL) as file:
        assert pq.read_table(file)["integer"].to_pylist() == [4, 1, 3, 0, 2]


@pytest.mark.parametrize("kind", [DatasetKind.DIMENSION, DatasetKind.QUARANTINE])
def test_other_datasets_keep_the_order_of_arrival(place: Any, kind: DatasetKind) -> None:
    if kind is DatasetKind.QUARANTINE:
        schema, rows = quarantine_schema(DatasetSchema(name="plays")), events([TIME, None, TIME - timedelta(1)])
    else:
        schema, rows = EVERY_TYPE.model_copy(update={"kind": kind, "key": "string"}), events(minutes(2, 1, 3))
    segment = write_segment(place.fs, "1", URL, rows, schema)
    with place.fs.open(URL) as file:
        assert pq.read_table(file)["event_id"].to_pylist() == rows["event_id"].to_pylist()
    assert segment.max_time == max(time for time in rows["event_time"].to_pylist() if time is not None)


def test_ids_that_count_up_take_next_to_no_space(place: Any) -> None:
    segment = write_segment(place.fs, "1", URL, events(minutes(*range(10_000))), EVERY_TYPE)
    with place.fs.open(URL) as file:
        metadata = pq.ParquetFile(file).metadata.row_group(0)
    columns = {metadata.column(n).path_in_schema: metadata.column(n) for n in range(metadata.num_columns)}
    assert "DELTA_BYTE_ARRAY" in columns["event_id"].encodings
    assert columns["event_id"].total_compressed_size < 10_000
    assert columns["event_time"].statistics.has_min_max
    assert segment.bytes < 50_000


def test_row_groups_have_the_size_duckdb_gives_to_a_thread(place: Any) -> None:
    count = 2 * ROW_GROUP_ROWS + 1
    table = pa.table({"n": pa.array(range(count), pa.int64())})
    parts = [table.slice(at, 50_000) for at in range(0, count, 50_000)]
    segment = write_stream(place.fs, "1", URL, parts, EVERY_TYPE, table.schema, {})
    with place.fs.open(URL) as file:
        metadata = pq.ParquetFile(file).metadata
    assert [metadata.row_group(n).num_rows for n in range(3)] == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, 1]
    assert segment.rows == count


@given(st.lists(st.integers(0, 30), max_size=20), st.integers(1, 20))
def test_regrouping_changes_no_row(sizes: list[int], rows: int) -> None:
    whole = pa.table({"n": pa.array(range(sum(sizes)), pa.int64())})
    parts, at = [], 0
    for size in sizes:
        parts.append(whole.slice(at, size))
        at += size
    groups = list(regrouped(parts, rows))
    assert [n for group in groups for n in group["n"].to_pylist()] == whole["n"].to_pylist()
    assert all(group.num_rows % rows == 0 for group in groups[:-1])


def test_a_segment_that_fails_leaves_nothing(place: Any) -> None:
    def rows() -> Any:
        yield events(minutes(1))
        raise StorageFullError("disk")

    with pytest.raises(StorageFullError):
        write_stream(place.fs, "1", URL, rows(), EVERY_TYPE, EVERY_TYPE.arrow(), {})
    assert place.files("segments") == []
    assert [path for path in place.root.rglob("*") if path.name.startswith(".partial")] == []


def test_ids_sort_in_the_order_they_were_made_while_the_clock_stands_still() -> None:
    ids = SegmentIds(ManualClock())
    made = [ids.next() for _ in range(100)]
    assert made == sorted(made)
    assert SegmentIds(ManualClock(), made[-1]).next() > made[-1]


def test_a_merged_segment_takes_the_place_of_its_last_part() -> None:
    ids = SegmentIds(ManualClock())
    first, second = ids.next(), ids.next()
    place = first
    for _ in range(50):
        assert (place := after(place)) < second
    assert place > first
