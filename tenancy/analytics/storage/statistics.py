"""What the catalog knows of a segment's columns, so that queries can pass over whole segments.

A statistic never claims too much: where the bounds are not certain they are None, and a segment is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.storage.snapshot import ColumnStats

TEXT_LENGTH = 64
"""Characters kept of a string's bounds."""

_LAST_CHARACTER = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)

Bound = str | int | float | bool


def table_stats(table: pa.Table) -> dict[str, ColumnStats]:
    """The statistics of every column of `table` that has bounds or nulls to speak of.

    >>> table_stats(pa.table({"genre": ["jazz", None, "blues"]}))
    {'genre': ColumnStats(nulls=1, minimum='blues', maximum='jazz')}
    """
    return {name: column_stats(table.column(name)) for name in table.column_names if name != "event_id"}


def column_stats(column: pa.ChunkedArray) -> ColumnStats:
    """The statistics of one column."""
    nulls = column.null_count
    kind = column.type
    if nulls == len(column) or not _ordered(kind):
        return ColumnStats(nulls)
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.int64())
    elif pa.types.is_floating(kind) and pc.any(pc.is_nan(column)).as_py():
        # SQL engines sort NaN above every number, Arrow passes over it: only "not known" is right for both.
        return ColumnStats(nulls)
    bounds = pc.min_max(column).as_py()
    return ColumnStats(nulls, _floor(bounds["min"]), _ceiling(bounds["max"]))


def merged(parts: Iterable[tuple[int, Mapping[str, ColumnStats]]]) -> dict[str, ColumnStats]:
    """The statistics of the whole, from the rows and statistics of its parts: 'merged = whole'.

    A column that a part does not have is null in all its rows.
    """
    known = list(parts)
    names = dict.fromkeys(name for _, stats in known for name in stats)
    return {
        name: reduce(_joined, ((rows, stats.get(name, ColumnStats(rows))) for rows, stats in known))[1]
        for name in names
    }


def _joined(a: tuple[int, ColumnStats], b: tuple[int, ColumnStats]) -> tuple[int, ColumnStats]:
    rows, nulls = a[0] + b[0], a[1].nulls + b[1].nulls
    valued = [stats for count, stats in (a, b) if stats.nulls < count]
    return rows, ColumnStats(nulls, _least([s.minimum for s in valued]), _greatest([s.maximum for s in valued]))


def _least(bounds: list[Bound | None]) -> Bound | None:
    known = [bound for bound in bounds if bound is not None]
    return min(known) if known and len(known) == len(bounds) else None


def _greatest(bounds: list[Bound | None]) -> Bound | None:
    known = [bound for bound in bounds if bound is not None]
    return max(known) if known and len(known) == len(bounds) else None


def _ordered(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_timestamp(kind)
    )


def _floor(value: Bound) -> Bound:
    return value[:TEXT_LENGTH] if isinstance(value, str) else value


def _ceiling(value: Bound) -> Bound | None:
    """`value`, or for a long string a short one that no string beginning with the same characters exceeds."""
    if not isinstance(value, str) or len(value) <= TEXT_LENGTH:
        return value
    for last in reversed(range(TEXT_LENGTH)):
        raised = ord(value[last]) + 1
        if raised <= _LAST_CHARACTER:
            return value[:last] + chr(_SURROGATES.stop if raised in _SURROGATES else raised)
    return None
