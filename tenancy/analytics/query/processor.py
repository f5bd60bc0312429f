"""The door of the query package: a request in, its answer out, on one snapshot of the data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.clock import Clock
from tenancy.analytics.query import cursor, gaps, parts
from tenancy.analytics.query._scan_sql import BUFFER, LATEST, columns_read
from tenancy.analytics.query.binding import bind, dataset_of
from tenancy.analytics.query.cost import CostBook, expected_s
from tenancy.analytics.query.dimensions import DEFAULT_BYTES, DimensionCache
from tenancy.analytics.query.executor import DuckDBExecutor
from tenancy.analytics.query.explain import explain
from tenancy.analytics.query.model import SemanticModel
from tenancy.analytics.query.plan import Bucket, Group, Kind, Plan
from tenancy.analytics.query.requests import QueryRequest, TimeseriesQuery, parse_request
from tenancy.analytics.query.result import QueryResult, QueryStats, ResultField
from tenancy.analytics.query.rules import optimise
from tenancy.analytics.query.sql import cut, lookup, statement
from tenancy.analytics.query.time_range import Interval
from tenancy.analytics.schema import EVENT_TIME, DatasetSchema
from tenancy.analytics.storage.snapshot import Snapshot
from tenancy.analytics.types import QUARANTINE_SUFFIX


class SnapshotSource(Protocol):
    """Where a tenant's data comes from."""

    def datasets(self) -> list[DatasetSchema]:
        """All datasets but quarantines."""
        ...

    def snapshot(self, name: str) -> AbstractContextManager[Snapshot]:
        """The dataset (or quarantine) at one instant, its files kept while the context is open."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class PreparedQuery:
    """A query that is planned, on a snapshot that is held until `close`."""

    asked: QueryRequest
    plan: Plan
    fired: tuple[str, ...]
    sql: str
    tables: Mapping[str, pa.Table]
    segments_total: int
    shape: Hashable
    """The same for queries that differ in their time range and values only."""
    expected_s: float
    """Seconds on one thread, by its size."""
    predicted_s: float
    """The same, corrected by what queries of its shape have taken."""
    started: float
    planned: float
    until: float
    """When its time is over, as `time.perf_counter` counts."""
    held: ExitStack

    def close(self) -> None:
        """Let go of the snapshot."""
        self.held.close()


class QueryProcessor:
    """Answers one tenant's queries.

    `model` is asked anew for each query, so a changed model counts at once.
    """

    def __init__(
        self,
        tenant: str,
        source: SnapshotSource,
        executor: DuckDBExecutor,
        model: Callable[[], SemanticModel],
        clock: Clock,
        dimension_bytes: int = DEFAULT_BYTES,
    ) -> None:
        self.tenant = tenant
        self._source, self._executor, self._model, self._clock = source, executor, model, clock
        self._dimensions = DimensionCache(executor, dimension_bytes)
        self._costs = CostBook()

    @property
    def cached_bytes(self) -> int:
        """Bytes of the dimension tables it keeps in memory."""
        return self._dimensions.bytes

    def evict(self) -> None:
        """Give those tables up."""
        self._dimensions.evict()

    def run(self, request: QueryRequest | Mapping[str, Any], *, timeout_s: float | None = None) -> QueryResult:
        """The answer to `request`.

        Raises InvalidRequestError and UnknownNameError for what is asked wrongly, QueryTimeoutError and
        QueryMemoryError for what takes too much, IntegrityError for damaged files.
        """
        prepared = self.prepare(request, timeout_s=timeout_s)
        try:
            return self.execute(prepared)
        finally:
            prepared.close()

    def prepare(
        self,
        request: QueryRequest | Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        source: SnapshotSource | None = None,
    ) -> PreparedQuery:
        """The plan of `request` on a snapshot of now, to be executed and closed. Raises as `run` does.

        `source` is where this query's data comes from, if it is another one.
        """
        started = time.perf_counter()
        timeout = timeout_s or self._executor.performance.query_timeout_seconds
        with ExitStack() as stack:
            planned = self._planned(parse_request(request), timeout, started, stack, source or self._source)
            return replace(planned, held=stack.pop_all())

    def execute(
        self, prepared: PreparedQuery, executor: DuckDBExecutor | None = None, most_s: float = math.inf
    ) -> QueryResult:
        """The answer of a prepared query, from `executor` or the one of this processor.

        Raises QueryTimeoutError after `most_s` seconds, or once the time of the query is over; it may be executed
        again then.
        """
        running = executor or self._executor
        plan = prepared.plan
        began = time.perf_counter()
        until = min(prepared.until, began + most_s)
        table = running.run_text(
            prepared.sql,
            prepared.tables,
            timeout_s=max(until - began, 0.001),
            files=[segment.url for segment in plan.scan.segments],
        )
        sql = prepared.sql
        if plan.fill:
            table, filling = self._filled(plan, table, until, running)
            sql = f"{sql};\n{filling}"
        executed = time.perf_counter()
        self._costs.learn(prepared.shape, prepared.expected_s, executed - began)
        rows, next_cursor, truncated = _finished(plan, table)
        scan = plan.scan
        stats = QueryStats(
            rows_scanned=scan.buffer_rows + sum(segment.rows for segment in scan.segments),
            bytes_scanned=prepared.tables[BUFFER].nbytes + sum(segment.bytes for segment in scan.segments),
            segments_total=prepared.segments_total,
            segments_pruned=scan.pruned,
            rows_returned=rows.num_rows,
            truncated=truncated,
            plan_ms=(prepared.planned - prepared.started) * 1e3,
            execute_ms=(executed - prepared.planned) * 1e3,
            total_ms=(time.perf_counter() - prepared.started) * 1e3,
        )
        return QueryResult(rows, _schema(prepared.asked, plan), stats, sql, next_cursor)

    def parted(self, request: QueryRequest | Mapping[str, Any]) -> tuple[str, Plan | None]:
        """The dataset `request` is about, and the plan that each shard has a part of; None where it has to be whole."""
        plan = self.plan(request)
        gaps.check(plan)
        return plan.scan.dataset, plan if parts.can_be_parted(plan) else None

    def part(self, plan: Plan, executor: DuckDBExecutor | None = None) -> parts.PartOfAnswer:
        """What this tenant's store has to give to the answer of a plan made elsewhere. Raises as `run` does."""
        running = executor or self._executor
        with self._source.snapshot(plan.scan.dataset) as snapshot:
            held = replace(plan.scan, segments=snapshot.segments, buffer_rows=snapshot.buffer.num_rows)
            bounds = _bounds(replace(plan, scan=held), snapshot)
            return parts.run_part(plan, snapshot, bounds, running, running.performance.query_timeout_seconds)

    def whole(
        self,
        request: QueryRequest | Mapping[str, Any],
        plan: Plan,
        found: Sequence[parts.PartOfAnswer],
        executor: DuckDBExecutor | None = None,
    ) -> QueryResult:
        """The answer to `request` from the parts of all shards."""
        running = executor or self._executor
        started = time.perf_counter()
        until = started + running.performance.query_timeout_seconds
        reading = gaps.unfilled(plan) if plan.fill else plan
        sql = cut(reading, parts.whole(reading), Interval()).sql(dialect="duckdb", copy=False)
        tables = {parts.PARTS: parts.together(found)}
        table = running.run_text(sql, tables, timeout_s=until - started, files=())
        if plan.fill:
            table, filling = self._filled(plan, table, until, running)
            sql = f"{sql};\n{filling}"
        executed = time.perf_counter()
        rows, next_cursor, truncated = _finished(plan, table)
        stats = QueryStats(
            rows_scanned=sum(each.rows_scanned for each in found),
            bytes_scanned=sum(each.bytes_scanned for each in found),
            segments_total=sum(each.segments_total for each in found),
            segments_pruned=sum(each.segments_pruned for each in found),
            rows_returned=rows.num_rows,
            truncated=truncated,
            plan_ms=0.0,
            execute_ms=(executed - started) * 1e3,
            total_ms=(time.perf_counter() - started) * 1e3,
        )
        return QueryResult(rows, _schema(parse_request(request), plan), stats, sql, next_cursor)

    def explain(self, request: QueryRequest | Mapping[str, Any], source: SnapshotSource | None = None) -> str:
        """The plan of `request` as text; it is not executed."""
        with ExitStack() as stack:
            timeout = self._executor.performance.query_timeout_seconds
            started = time.perf_counter()
            prepared = self._planned(parse_request(request), timeout, started, stack, source or self._source)
        return explain(prepared.plan, prepared.fired, prepared.sql)

    def plan(self, request: QueryRequest | Mapping[str, Any]) -> Plan:
        """The plan of `request` before rules and data: its `canonical()` is part of a cache key."""
        asked = parse_request(request)
        schema, schemas, model = self._asked_of(asked)
        return bind(asked, schema, schemas, model, self._clock.now())

    def _asked_of(self, asked: QueryRequest) -> tuple[DatasetSchema, Mapping[str, DatasetSchema], SemanticModel]:
        schemas = {schema.name: schema for schema in self._source.datasets()}
        model = self._model()
        named = asked.dataset
        if named and named.endswith(QUARANTINE_SUFFIX) and named.removesuffix(QUARANTINE_SUFFIX) in schemas:
            with self._source.snapshot(named) as snapshot:
                return snapshot.schema, schemas, model
        return schemas[dataset_of(named, model, schemas)], schemas, model

    def _filled(self, plan: Plan, found: pa.Table, until: float, executor: DuckDBExecutor) -> tuple[pa.Table, str]:
        """The rows of a filled series, made before `time.perf_counter()` is `until`, and the SQL they were made by."""
        tables = {gaps.FOUND: found, gaps.BUCKETS: gaps.buckets(plan, found)}
        sql = gaps.statement(plan).sql(dialect="duckdb", copy=False)
        return executor.run_text(sql, tables, timeout_s=max(until - time.perf_counter(), 0.001), files=()), sql

    def _planned(
        self, asked: QueryRequest, timeout_s: float, started: float, stack: ExitStack, source: SnapshotSource
    ) -> PreparedQuery:
        schema, schemas, model = self._asked_of(asked)
        plan = bind(asked, schema, schemas, model, self._clock.now())
        gaps.check(plan)
        snapshot = stack.enter_context(source.snapshot(plan.scan.dataset))
        tables: dict[str, pa.Table] = {}
        joins = []
        for index, join in enumerate(plan.joins):
            pinned = stack.enter_context(source.snapshot(join.dataset))
            table = self._dimensions.table(pinned, join.key, timeout_s)
            tables[lookup(index)] = table
            joins.append(replace(join, rows=table.num_rows))
        scan = replace(plan.scan, segments=snapshot.segments, buffer_rows=snapshot.buffer.num_rows)
        plan, fired = optimise(replace(plan, scan=scan, joins=tuple(joins)))
        for index, join in enumerate(plan.joins):
            tables[lookup(index)] = tables[lookup(index)].select([column.name for column in join.columns])
        needed = [column.name for column in columns_read(plan.scan)]
        if plan.scan.time != Interval() and EVENT_TIME not in needed:
            needed.append(EVENT_TIME)
        if plan.scan.latest_by is not None:
            latest = self._dimensions.table(snapshot, plan.scan.latest_by, timeout_s)
            tables[LATEST] = latest.select(needed or [plan.scan.latest_by])
        known = [name for name in needed if name in snapshot.buffer.column_names]
        tables[BUFFER] = snapshot.buffer.select(known or [EVENT_TIME])
        reading = gaps.unfilled(plan) if plan.fill else plan
        sql = statement(reading, _bounds(plan, snapshot)).sql(dialect="duckdb", copy=False)
        shape = _shape(plan)
        rows = plan.scan.buffer_rows + sum(segment.rows for segment in plan.scan.segments)
        expected = expected_s(rows, len(needed))
        return PreparedQuery(
            asked,
            plan,
            fired,
            sql,
            tables,
            len(snapshot.segments),
            shape,
            expected,
            self._costs.corrected(shape, expected),
            started,
            time.perf_counter(),
            started + timeout_s,
            ExitStack(),
        )


def _shape(plan: Plan) -> Hashable:
    """What queries have in common that take as long for as many rows."""
    measures = tuple((measure.name, measure.of) for measure in plan.measures)
    return plan.shape, plan.scan.dataset, plan.outputs, measures, tuple(join.dataset for join in plan.joins), plan.fill


def _bounds(plan: Plan, snapshot: Snapshot) -> Interval:
    """Between which instants the scanned event times are; open where that is not known."""
    if plan.scan.latest_by is not None:
        return Interval()
    lows = [segment.min_time for segment in plan.scan.segments]
    highs = [segment.max_time for segment in plan.scan.segments]
    if plan.scan.buffer_rows and EVENT_TIME in snapshot.buffer.column_names:
        found = pc.min_max(snapshot.buffer.column(EVENT_TIME)).as_py()
        lows.append(found["min"])
        highs.append(found["max"])
    known_lows, known_highs = [x for x in lows if x is not None], [x for x in highs if x is not None]
    if len(known_lows) < len(lows) or len(known_highs) < len(highs) or not lows:
        return Interval()
    low, high = min(known_lows).astimezone(UTC), max(known_highs).astimezone(UTC)
    return Interval(max(low, plan.scan.time.start or low), min(high, plan.scan.time.end or high))


def _finished(plan: Plan, table: pa.Table) -> tuple[pa.Table, str | None, bool]:
    """The rows in their final types, without the one beyond the limit and the hidden keys, and the next cursor."""
    truncated = table.num_rows > plan.limit
    table = _typed(plan, table.slice(0, plan.limit))
    if plan.shape == "rows":
        following = _next_cursor(plan, table) if truncated else None
        return table.select([output.name for output in plan.outputs]), following, truncated
    return table, None, truncated


def _typed(plan: Plan, table: pa.Table) -> pa.Table:
    kinds = [group.of.kind for group in (*plan.outputs, *plan.hidden)]
    kinds += [measure.of.kind for measure in plan.measures]
    columns = []
    names = [group.name for group in (*plan.outputs, *plan.hidden)] + [measure.name for measure in plan.measures]
    for index, kind in enumerate(kinds):
        column = table.column(index)
        if kind is Kind.TIMESTAMP:
            column = column.cast(pa.timestamp("us")).cast(pa.timestamp("us", _zone(plan, index)))
        elif kind is Kind.INTEGER and column.type != pa.int64():
            column = column.cast(pa.int64())
        columns.append(column)
    return pa.table(columns, names=names)


def _zone(plan: Plan, index: int) -> str:
    of = plan.outputs[index].of if index < len(plan.outputs) else None
    return of.zone if isinstance(of, Bucket) else "UTC"


def _next_cursor(plan: Plan, table: pa.Table) -> str:
    keys = [table.column(key.name).to_pylist() for key in plan.order]
    return cursor.following(plan, list(zip(*keys, strict=True)))


def _schema(asked: QueryRequest, plan: Plan) -> tuple[ResultField, ...]:
    def field(group: Group, index: int) -> ResultField:
        if plan.shape == "rows":
            return ResultField(group.name, group.of.kind.value, "column")
        is_time = isinstance(asked, TimeseriesQuery) and index == 0
        return ResultField(group.name, group.of.kind.value, "time" if is_time else "dimension")

    groups = tuple(field(group, index) for index, group in enumerate(plan.outputs))
    return groups + tuple(ResultField(m.name, m.of.kind.value, "metric") for m in plan.measures)
