"""Statistics never exclude a row that is there."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.schema import TIMESTAMP
from tenancy.analytics.storage.snapshot import ColumnStats
from tenancy.analytics.storage.statistics import TEXT_LENGTH, column_stats, merged, table_stats

texts = st.text(st.characters(codec="utf-8"), max_size=100) | st.text("\U0010ffff", min_size=60, max_size=70)
values = (
    st.tuples(st.just(pa.string()), st.lists(st.none() | texts, max_size=20))
    | st.tuples(st.just(pa.int64()), st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=20))
    | st.tuples(st.just(pa.float64()), st.lists(st.none() | st.floats(), max_size=20))
    | st.tuples(st.just(pa.bool_()), st.lists(st.none() | st.booleans(), max_size=20))
)


def covers(stats: ColumnStats, column: list[Any]) -> bool:
    known = [value for value in column if value is not None]
    low, high = stats.minimum, stats.maximum
    return (
        stats.nulls == len(column) - len(known)
        and (low is None or all(low <= value for value in known))
        and (high is None or all(high >= value for value in known))
    )


@given(values)
def test_every_value_is_within_the_bounds(given_values: tuple[pa.DataType, list[Any]]) -> None:
    kind, column = given_values
    stats = column_stats(pa.chunked_array([pa.array(column, kind)]))
    assert covers(stats, column)
    assert all(not isinstance(b, str) or len(b) <= TEXT_LENGTH for b in (stats.minimum, stats.maximum))


@given(values, st.integers(1, 5))
def test_merged_parts_equal_the_whole(given_values: tuple[pa.DataType, list[Any]], parts: int) -> None:
    kind, column = given_values
    pieces = [column[index::parts] for index in range(parts)]
    tables = [pa.table({"c": pa.array(piece, kind)}) for piece in pieces]
    whole = pa.concat_tables(tables)
    assert merged((table.num_rows, table_stats(table)) for table in tables) == table_stats(whole)


def test_a_part_without_the_column_counts_as_nulls() -> None:
    parts = [(3, {"c": ColumnStats(1, "a", "b")}), (2, {})]
    assert merged(parts) == {"c": ColumnStats(3, "a", "b")}


def test_a_part_with_unknown_bounds_makes_the_whole_unknown() -> None:
    parts = [(3, {"c": ColumnStats(0, 1.0, 2.0)}), (2, {"c": ColumnStats(0)})]
    assert merged(parts) == {"c": ColumnStats(0)}


def test_nan_makes_the_bounds_unknown_because_engines_sort_it_differently() -> None:
    assert column_stats(pa.chunked_array([[1.0, math.nan]])) == ColumnStats(0)


def test_the_maximum_of_a_long_string_is_rounded_up() -> None:
    stats = column_stats(pa.chunked_array([["b" * 100]]))
    assert stats == ColumnStats(0, "b" * 64, "b" * 63 + "c")


@pytest.mark.parametrize(
    ("long", "ceiling"),
    [("a" * 63 + "\ud7ffx", "a" * 63 + "\ue000"), ("a" + "\U0010ffff" * 80, "b"), ("\U0010ffff" * 80, None)],
)
def test_rounding_up_stays_within_unicode(long: str, ceiling: str | None) -> None:
    assert column_stats(pa.chunked_array([[long]])).maximum == ceiling


def test_times_are_given_in_microseconds() -> None:
    assert column_stats(pa.chunked_array([pa.array([5, 7], TIMESTAMP)])) == ColumnStats(0, 5, 7)
