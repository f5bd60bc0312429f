"""From a request to a plan: names resolved, values typed, times fixed. Pure; nothing is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from tenancy.analytics.errors import InvalidRequestError, UnknownNameError, near
from tenancy.analytics.query import cursor
from tenancy.analytics.query.conditions import predicate
from tenancy.analytics.query.filters import FilterSpec
from tenancy.analytics.query.model import DatasetModel, SemanticModel
from tenancy.analytics.query.names import Names
from tenancy.analytics.query.plan import (
    EVENTS,
    RESULT,
    Aggregate,
    Bucket,
    Column,
    Fill,
    Group,
    Kind,
    Measure,
    Operand,
    Plan,
    Predicate,
    Scalar,
    Scan,
    SortKey,
    columns_of,
    conjunction,
)
from tenancy.analytics.query.requests import (
    AggregationQuery,
    Order,
    QueryRequest,
    RowsQuery,
    TimeseriesQuery,
    TopKQuery,
)
from tenancy.analytics.query.time_range import Interval, resolve, zone_of
from tenancy.analytics.schema import EVENT_ID, EVENT_TIME, DatasetSchema
from tenancy.analytics.types import DEFAULT_DATASET, DatasetKind


def dataset_of(named: str | None, model: SemanticModel, schemas: Mapping[str, DatasetSchema]) -> str:
    """The dataset a query is about. Raises UnknownNameError with near matches."""
    name = named or model.default
    if name is None:
        events = [schema.name for schema in schemas.values() if schema.kind is DatasetKind.EVENTS]
        name = events[0] if len(events) == 1 else DEFAULT_DATASET
        if name not in schemas:
            remedy = f"name one of {', '.join(map(repr, sorted(events)))}" if events else "collect events first"
            raise UnknownNameError("dataset", name, (), remedy)
    if name not in schemas:
        raise UnknownNameError("dataset", name, near(name, schemas))
    return name


def bind(
    request: QueryRequest,
    schema: DatasetSchema,
    schemas: Mapping[str, DatasetSchema],
    model: SemanticModel,
    now: datetime,
) -> Plan:
    """The plan of `request` over the dataset of `schema`, not yet optimised and without its data.

    Raises UnknownNameError and InvalidRequestError that name what is wrong.
    """
    zone = zone_of(request.time_zone)
    names = Names(schema, schemas, model.datasets.get(schema.name, DatasetModel()), request.time_zone)
    interval = resolve(request.time_range, zone, now)
    filters = tuple(predicate("query.filters", given, names.dimension, request.time_zone) for given in request.filters)
    if isinstance(request, RowsQuery):
        return _rows(request, names, interval, filters)
    if isinstance(request, TimeseriesQuery):
        return _series(request, names, interval, filters)
    if isinstance(request, TopKQuery):
        order: Sequence[Order] = (Order(by=request.metric, direction=request.direction),)
        return _groups(names, interval, filters, (request.metric,), (request.dimension,), (), order, request.k, 0)
    return _aggregation(request, names, interval, filters)


def _aggregation(request: AggregationQuery, names: Names, interval: Interval, filters: tuple[Predicate, ...]) -> Plan:
    return _groups(
        names,
        interval,
        filters,
        request.metrics,
        request.dimensions,
        request.having,
        request.order,
        request.limit,
        request.offset,
    )


def _series(request: TimeseriesQuery, names: Names, interval: Interval, filters: tuple[Predicate, ...]) -> Plan:
    bucket = Bucket(names.columns[EVENT_TIME], request.grain, request.time_zone)
    called = "date" if bucket.kind is Kind.DATE else "time"
    fill: Literal["null", "zero"] | None = None if request.fill == "none" else request.fill
    return _groups(
        names,
        interval,
        filters,
        request.metrics,
        request.dimensions,
        request.having,
        (),
        request.limit,
        0,
        first=(Group(called, bucket),),
        fill=Fill(bucket, fill) if fill else None,
    )


def _groups(
    names: Names,
    interval: Interval,
    filters: tuple[Predicate, ...],
    metrics: Sequence[str],
    dimensions: Sequence[str],
    having: Sequence[FilterSpec],
    order: Sequence[Order],
    limit: int,
    offset: int,
    first: tuple[Group, ...] = (),
    fill: Fill | None = None,
) -> Plan:
    groups = first + tuple(Group(name, names.dimension(name)) for name in dimensions)
    for group in groups:
        if group.of.kind in (Kind.MAP, Kind.STRINGS, Kind.BINARY):
            raise InvalidRequestError("query.dimensions", group.name, f"{group.of.kind.value} cannot be grouped by")
    measures = tuple(Measure(name, names.measure(name)) for name in metrics)
    called = [group.name for group in groups] + [measure.name for measure in measures]
    _distinct("query.metrics and query.dimensions", called)
    results = {measure.name: Column(RESULT, measure.name, measure.of.kind) for measure in measures}

    def result(name: str) -> Operand:
        if name not in results:
            raise UnknownNameError("metric", name, near(name, results), "having speaks of metrics of the query")
        return results[name]

    conditions = tuple(predicate("query.having", given, result, "UTC") for given in having)
    keys = [SortKey(_known(key.by, called), key.direction == "desc") for key in order]
    _distinct("query.order", [key.name for key in keys])
    keys += [SortKey(group.name) for group in groups if group.name not in {key.name for key in keys}]
    return _plan(
        names,
        interval,
        filters,
        groups,
        shape="groups",
        measures=measures,
        having=conjunction(conditions),
        order=tuple(keys),
        limit=limit,
        offset=offset,
        fill=fill,
    )


def _rows(request: RowsQuery, names: Names, interval: Interval, filters: tuple[Predicate, ...]) -> Plan:
    asked = request.columns or tuple(names.columns)
    outputs = tuple(Group(name, names.dimension(name)) for name in asked)
    _distinct("query.columns", asked)
    keys = [SortKey(key.by, key.direction == "desc") for key in request.order]
    _distinct("query.order", [key.name for key in keys])
    # What makes the order total: a dimension table's key, else the time and id of the event, newest first.
    unique = (SortKey(names.schema.key),) if names.schema.key else (SortKey(EVENT_TIME, True), SortKey(EVENT_ID, True))
    keys += [key for key in unique if key.name not in {given.name for given in keys}]
    operands = {key.name: names.dimension(key.name) for key in keys}
    for name, operand in operands.items():
        if operand.kind in (Kind.MAP, Kind.STRINGS, Kind.BINARY):
            raise InvalidRequestError("query.order", name, f"{operand.kind.value} has no order")
    offset, last = request.offset, None
    if request.cursor is not None:
        kinds = [operands[key.name].kind for key in keys]
        last, offset = cursor.decode(request.cursor, keys, names.schema.name, kinds)
    if last is not None:
        filters = (*filters, cursor.from_there_on(keys, operands, last))
    hidden = tuple(Group(name, operand) for name, operand in operands.items() if name not in asked)
    return _plan(
        names,
        interval,
        filters,
        outputs,
        shape="rows",
        hidden=hidden,
        after=last,
        order=tuple(keys),
        limit=request.limit,
        offset=offset,
    )


def _plan(
    names: Names,
    interval: Interval,
    filters: tuple[Predicate, ...],
    outputs: tuple[Group, ...],
    *,
    shape: Literal["groups", "rows"],
    order: tuple[SortKey, ...],
    limit: int,
    offset: int,
    measures: tuple[Measure, ...] = (),
    having: Predicate | None = None,
    hidden: tuple[Group, ...] = (),
    after: tuple[Scalar | None, ...] | None = None,
    fill: Fill | None = None,
) -> Plan:
    read: list[Predicate | Operand | Aggregate] = [*filters]
    read += [output.of for output in (*outputs, *hidden)]
    read += [measure.of for measure in measures]
    sources = frozenset(column.source for part in read for column in columns_of(part))
    scan = Scan(names.schema.name, tuple(names.columns.values()), interval, latest_by=names.schema.key)
    return Plan(
        shape=shape,
        scan=scan,
        joins=names.joins(sources - {EVENTS}),
        outputs=outputs,
        measures=measures,
        where=conjunction(filters),
        having=having,
        order=order,
        limit=limit,
        offset=offset,
        hidden=hidden,
        after=after,
        fill=fill,
    )


def _known(name: str, called: Sequence[str]) -> str:
    if name not in called:
        raise UnknownNameError("order", name, near(name, called), "order by a metric or dimension of the query")
    return name


def _distinct(place: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        # DuckDB's names differ by more than case.
        if name.lower() in seen:
            raise InvalidRequestError(place, name, "name it once")
        seen.add(name.lower())
