"""The scan of a plan as SQL: live segments and the buffer, united by column name and brought to one type.

Segments that hold the needed columns in the same types are read by one `read_parquet`; where a segment lacks a column
the column is null there, and where it is narrower (a column that was whole numbers and became fractions) it is cast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from tenancy.analytics.query._values_sql import Values, cast, column_of, identifier, literal, named
from tenancy.analytics.query.plan import EVENTS, Column, Scan, columns_of
from tenancy.analytics.query.time_range import Interval
from tenancy.analytics.schema import EVENT_TIME, SYSTEM_COLUMNS

BUFFER = "buffer"
"""The name the buffer's Arrow table is registered by."""
LATEST = "latest"
"""The name of the scanned dimension table, once only the last row of each key is left."""

_PART = "part"


def scan(plan: Scan, bounds: Interval) -> exp.Expression:
    """A subquery with the scan's columns and rows, called `EVENTS`."""
    parts: list[exp.Select] = []
    if plan.latest_by is not None:
        parts.append(_part(plan, exp.Table(this=identifier(LATEST)), {}, bounds))
    else:
        for held, urls in segment_groups(plan):
            source = exp.Anonymous(this="read_parquet", expressions=[exp.Array(expressions=[literal(u) for u in urls])])
            parts.append(_part(plan, source, held, bounds))
        if plan.buffer_rows or not parts:
            parts.append(_part(plan, exp.Table(this=identifier(BUFFER)), {}, bounds))
    union: exp.Expression = parts[0]
    for part in parts[1:]:
        union = exp.Union(this=union, expression=part, distinct=False)
    return exp.Subquery(this=union, alias=exp.TableAlias(this=identifier(EVENTS)))


def columns_read(plan: Scan) -> tuple[Column, ...]:
    """The columns the scan opens: those it hands on and those it filters by."""
    needed = dict.fromkeys([*plan.columns, *columns_of(plan.where)])
    if plan.time != Interval():
        needed |= {column: None for column in needed if column.name == EVENT_TIME}
    return tuple(needed)


def segment_groups(plan: Scan) -> Sequence[tuple[Mapping[str, str | None], Sequence[str]]]:
    """The segments' urls, grouped by the types in which they hold the needed columns (None: not at all)."""
    needed = [column.name for column in columns_read(plan) if column.name not in SYSTEM_COLUMNS]
    groups: dict[tuple[str | None, ...], list[str]] = {}
    for segment in plan.segments:
        groups.setdefault(tuple(segment.columns.get(name) for name in needed), []).append(segment.url)
    return [(dict(zip(needed, held, strict=True)), urls) for held, urls in groups.items()]


def _part(plan: Scan, source: exp.Expression, held: Mapping[str, str | None], bounds: Interval) -> exp.Select:
    def column(wanted: Column) -> exp.Expression:
        there = held.get(wanted.name, wanted.kind.value)
        if there is None:
            return cast(exp.Null(), wanted.kind)
        found = column_of(_PART, wanted.name)
        return found if there == wanted.kind.value else cast(found, wanted.kind)

    conditions: list[exp.Expression] = []
    time = column_of(_PART, EVENT_TIME)
    if plan.time.start is not None:
        conditions.append(exp.GTE(this=time.copy(), expression=literal(plan.time.start)))
    if plan.time.end is not None:
        conditions.append(exp.LT(this=time.copy(), expression=literal(plan.time.end)))
    if plan.where is not None:
        conditions.append(Values(column, bounds).predicate(plan.where))
    chosen = [named(column(wanted), wanted.name) for wanted in plan.columns]
    select = exp.Select(expressions=chosen or [named(exp.Literal.number(1), "one")])
    aliased: exp.Expression
    if isinstance(source, exp.Table):
        source.set("alias", exp.TableAlias(this=identifier(_PART)))
        aliased = source
    else:
        aliased = exp.Table(this=source, alias=exp.TableAlias(this=identifier(_PART)))
    select.set("from_", exp.From(this=aliased))
    if conditions:
        select.set("where", exp.Where(this=exp.and_(*conditions, copy=False)))
    return select
