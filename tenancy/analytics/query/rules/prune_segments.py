"""Leaves out segments that cannot hold a matching row, by their times and by what is known of their columns.

Statistics only ever say that a value cannot be there. A segment without them is read.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tenancy.analytics.query.plan import (
    And,
    Column,
    Compare,
    Comparison,
    Kind,
    Not,
    Or,
    Plan,
    Predicate,
    Scalar,
    conjuncts,
)
from tenancy.analytics.query.time_range import Interval
from tenancy.analytics.schema import EVENT_TIME, SYSTEM_COLUMNS
from tenancy.analytics.storage.snapshot import ColumnStats, Segment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def prune_segments(plan: Plan) -> Plan:
    """Keeps the segments that may hold a row within the scan's time and filters."""
    if plan.scan.latest_by is not None:
        return plan  # a row of a dimension table counts or not by whether a later one replaces it
    kept = tuple(
        segment
        for segment in plan.scan.segments
        if segment.rows
        and _overlaps(segment, plan.scan.time)
        and all(_may_hold(segment, part) for part in conjuncts(plan.scan.where))
    )
    cut = len(plan.scan.segments) - len(kept)
    return replace(plan, scan=replace(plan.scan, segments=kept, pruned=plan.scan.pruned + cut)) if cut else plan


def _overlaps(segment: Segment, time: Interval) -> bool:
    if time.start is not None and segment.max_time is not None and segment.max_time < time.start:
        return False
    return time.end is None or segment.min_time is None or segment.min_time < time.end


def _may_hold(segment: Segment, predicate: Predicate) -> bool:
    if isinstance(predicate, And):
        return all(_may_hold(segment, part) for part in predicate.parts)
    if isinstance(predicate, Or):
        return any(_may_hold(segment, part) for part in predicate.parts)
    if isinstance(predicate, Not):
        return _may_hold_not(segment, predicate.part)
    column = predicate.operand
    if not isinstance(column, Column):
        return True
    if column.name not in SYSTEM_COLUMNS and column.name not in segment.columns:
        return predicate.by is Comparison.IS_NULL
    stats = _stats(segment, column)
    if stats is None:
        return True
    if predicate.by is Comparison.IS_NULL:
        return stats.nulls > 0 or column.name == EVENT_TIME
    if stats.minimum is None or stats.maximum is None:
        return stats.nulls < segment.rows
    return _may_compare(predicate, column.kind, stats)


def _may_hold_not(segment: Segment, part: Predicate) -> bool:
    """Only `is not null` is decided; a null satisfies every other negation."""
    if not (isinstance(part, Compare) and part.by is Comparison.IS_NULL and isinstance(part.operand, Column)):
        return True
    name = part.operand.name
    if name in SYSTEM_COLUMNS:
        return True
    stats = segment.stats.get(name)
    return name in segment.columns and (stats is None or stats.nulls < segment.rows)


def _stats(segment: Segment, column: Column) -> ColumnStats | None:
    if column.name == EVENT_TIME and segment.min_time is not None and segment.max_time is not None:
        return ColumnStats(0, _comparable(segment.min_time), _comparable(segment.max_time))
    return segment.stats.get(column.name)


def _may_compare(predicate: Compare, kind: Kind, stats: ColumnStats) -> bool:
    low, high = stats.minimum, stats.maximum
    values = [_comparable(value) for value in predicate.values]
    if {_family(low), _family(high), *map(_family, values)} not in ({"text"}, {"number"}):
        return True
    match predicate.by:
        case Comparison.EQ | Comparison.IN:
            return any(low <= value <= high or value != value for value in values)  # type: ignore[operator]
        case Comparison.LT:
            return low < values[0]  # type: ignore[operator]
        case Comparison.LE:
            return low <= values[0]  # type: ignore[operator]
        # DuckDB holds NaN to be greater than every number, and statistics leave NaN out.
        case Comparison.GT:
            return kind is Kind.FLOAT or high > values[0]  # type: ignore[operator]
        case Comparison.GE:
            return kind is Kind.FLOAT or high >= values[0]  # type: ignore[operator]
        case Comparison.BETWEEN:
            return low <= values[1] and high >= values[0]  # type: ignore[operator]
        case Comparison.STARTS_WITH:
            prefix = str(values[0])
            return str(high) >= prefix and str(low)[: len(prefix)] <= prefix
        case _:
            return True


def _comparable(value: Scalar) -> str | int | float | bool:
    if isinstance(value, datetime):
        return (value - _EPOCH) // timedelta(microseconds=1)
    return value if isinstance(value, str | int | float | bool) else value.isoformat()


def _family(value: object) -> str:
    return "text" if isinstance(value, str) else "number"
