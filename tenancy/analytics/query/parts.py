"""A query over several shards: partial aggregates of each, and the answer that they merge to.

Done where every measure can be merged exactly: counts, sums, averages (as sum and count), least and greatest. Gray et
al., "Data Cube" (1997), call these distributive and algebraic. All else is asked once over all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from sqlglot import exp

from tenancy.analytics.query._measures_sql import merge, partials
from tenancy.analytics.query._scan_sql import BUFFER, columns_read, scan
from tenancy.analytics.query._values_sql import Values, column_of, identifier, named
from tenancy.analytics.query.executor import DuckDBExecutor
from tenancy.analytics.query.plan import Aggregate, Column, Kind, Plan
from tenancy.analytics.query.rules import optimise
from tenancy.analytics.query.time_range import Interval
from tenancy.analytics.schema import EVENT_TIME, SYSTEM_COLUMNS, FieldType
from tenancy.analytics.storage.snapshot import Snapshot

PARTS = "parts"
"""The name that the partial aggregates of all shards are registered by."""

_MERGEABLE = ("count", "sum", "avg", "min", "max")
_WHOLE_NUMBER = exp.DataType.build("DECIMAL(38, 0)", dialect="duckdb")
"""Sums of whole numbers are of 128 bits, for which Arrow has no other type."""


@dataclass(frozen=True, slots=True, eq=False)
class PartOfAnswer:
    """What one shard gives, and what it read for it."""

    table: pa.Table
    rows_scanned: int
    bytes_scanned: int
    segments_total: int
    segments_pruned: int


def can_be_parted(plan: Plan) -> bool:
    """Whether partial aggregates of the shards merge to the plan's answer."""
    mergeable = all(measure.of.function in _MERGEABLE for measure in plan.measures)
    return plan.shape == "groups" and mergeable and not plan.joins and plan.scan.latest_by is None


def part(plan: Plan, snapshot: Snapshot, bounds: Interval) -> tuple[Plan, str, dict[str, pa.Table]]:
    """The plan over one shard's snapshot, its SQL, and the tables that it reads."""
    held = replace(plan.scan, segments=snapshot.segments, buffer_rows=snapshot.buffer.num_rows)
    here, _ = optimise(replace(plan, scan=held))
    sql = _partial(here, bounds).sql(dialect="duckdb", copy=False)
    return here, sql, {BUFFER: _buffer(here, snapshot.buffer)}


def run_part(
    plan: Plan, snapshot: Snapshot, bounds: Interval, executor: DuckDBExecutor, timeout_s: float
) -> PartOfAnswer:
    """The partial aggregates of one shard. Raises what `DuckDBExecutor.run` raises."""
    here, sql, tables = part(plan, snapshot, bounds)
    files = [segment.url for segment in here.scan.segments]
    table = executor.run_text(sql, tables, timeout_s=timeout_s, files=files)
    return PartOfAnswer(
        table,
        here.scan.buffer_rows + sum(segment.rows for segment in here.scan.segments),
        tables[BUFFER].nbytes + sum(segment.bytes for segment in here.scan.segments),
        len(snapshot.segments),
        here.scan.pruned,
    )


def whole(plan: Plan) -> exp.Select:
    """The select of groups and measures from `PARTS`."""
    groups = [named(column_of(PARTS, f"group_{index}"), group.name) for index, group in enumerate(plan.outputs)]
    measures = []
    for index, measure in enumerate(plan.measures):
        columns = [column_of(PARTS, name) for name in _names(index, measure.of)]
        measures.append(named(merge(measure.of, [*columns]), measure.name))
    select = exp.Select(expressions=[*groups, *measures])
    select.set("from_", exp.From(this=exp.Table(this=identifier(PARTS))))
    return _grouped(select, len(groups))


def together(parts: Sequence[PartOfAnswer]) -> pa.Table:
    """The partial aggregates of all shards as one table."""
    return pa.concat_tables([found.table for found in parts], promote_options="permissive")


def _partial(plan: Plan, bounds: Interval) -> exp.Select:
    values = Values(lambda column: column_of(column.source, column.name), bounds)
    chosen = [named(values.operand(group.of), f"group_{index}") for index, group in enumerate(plan.outputs)]
    for index, measure in enumerate(plan.measures):
        for name, found in zip(_names(index, measure.of), partials(measure.of, values), strict=True):
            chosen.append(named(_shipped(found, measure.of) if name.endswith("_0") else found, name))
    select = exp.Select(expressions=chosen)
    select.set("from_", exp.From(this=scan(plan.scan, bounds)))
    if plan.where is not None:
        select.set("where", exp.Where(this=values.predicate(plan.where)))
    return _grouped(select, len(plan.outputs))


def _grouped(select: exp.Select, groups: int) -> exp.Select:
    if groups:
        positions = [exp.Literal.number(position) for position in range(1, groups + 1)]
        select.set("group", exp.Group(expressions=positions))
    return select


def _names(index: int, measure: Aggregate) -> list[str]:
    return [f"part_{index}_{number}" for number in range(2 if measure.function == "avg" else 1)]


def _shipped(found: exp.Expression, measure: Aggregate) -> exp.Expression:
    whole_number = measure.of is not None and measure.of.kind in (Kind.INTEGER, Kind.BOOLEAN)
    if measure.function in ("sum", "avg") and whole_number:
        return exp.Cast(this=found, to=_WHOLE_NUMBER.copy())
    return found


def _buffer(plan: Plan, buffer: pa.Table) -> pa.Table:
    """The columns that are read; a column that this shard has not heard of yet is null."""
    needed = {column.name: column for column in columns_read(plan.scan)}
    if plan.scan.time != Interval():
        needed.setdefault(EVENT_TIME, Column("", EVENT_TIME, Kind.TIMESTAMP))
    if not needed:
        return buffer.select([EVENT_TIME])
    there = set(buffer.column_names)
    columns = {
        name: buffer.column(name) if name in there else pa.nulls(buffer.num_rows, _arrow(column))
        for name, column in needed.items()
    }
    return pa.table(columns)


def _arrow(column: Column) -> pa.DataType:
    known = SYSTEM_COLUMNS.get(column.name)
    return FieldType(column.kind.value).arrow if known is None else known
