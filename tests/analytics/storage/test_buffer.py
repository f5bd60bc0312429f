"""The buffer: rows in order, few chunks, and readers that keep what they saw."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.storage.buffer import FAN_IN, Buffer

SCHEMA = pa.schema({"n": pa.int64()})
NOW = datetime(2025, 7, 15, tzinfo=UTC)


@given(st.lists(st.integers(0, 3), max_size=60))
def test_consolidating_changes_no_row_and_no_order(sizes: list[int]) -> None:
    buffer = Buffer(SCHEMA)
    expected: list[int] = []
    for size in sizes:
        new = list(range(len(expected), len(expected) + size))
        expected += new
        buffer = buffer.plus(pa.table({"n": pa.array(new, pa.int64())}), NOW).consolidated()
    assert buffer.table["n"].to_pylist() == expected
    assert buffer.rows == len(expected)


def test_many_appends_leave_few_chunks() -> None:
    buffer = Buffer(SCHEMA)
    for n in range(1_000):
        buffer = buffer.plus(pa.table({"n": [n]}), NOW).consolidated()
    assert len(buffer.chunks) <= 3 * (FAN_IN - 1)
    assert buffer.table["n"].to_pylist() == list(range(1_000))


def test_a_buffer_that_was_read_stays_as_it_was() -> None:
    before = Buffer(SCHEMA).plus(pa.table({"n": [1]}), NOW)
    before.plus(pa.table({"n": [2]}), NOW)
    assert before.table["n"].to_pylist() == [1]


def test_rows_from_before_a_column_was_added_are_null_in_it() -> None:
    grown = pa.schema({"n": pa.int64(), "s": pa.string()})
    buffer = Buffer(SCHEMA).plus(pa.table({"n": [1]}), NOW).of(grown)
    buffer = buffer.plus(pa.table({"n": [2], "s": ["b"]}), NOW)
    assert buffer.table.schema == grown
    assert buffer.table.to_pylist() == [{"n": 1, "s": None}, {"n": 2, "s": "b"}]


def test_the_age_is_that_of_the_oldest_row() -> None:
    later = NOW + timedelta(minutes=1)
    old = Buffer(SCHEMA).plus(pa.table({"n": [1]}), NOW)
    new = Buffer(SCHEMA).plus(pa.table({"n": [2]}), later)
    assert old.plus(pa.table({"n": [2]}), later).since == NOW
    assert old.before(new).since == NOW
    assert old.before(new).table["n"].to_pylist() == [1, 2]
