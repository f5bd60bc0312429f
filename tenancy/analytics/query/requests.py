"""What callers may ask: four types of query, checked on arrival.

>>> request = parse_request({"type": "aggregation", "metrics": ["play_count"], "dimensions": ["genre"]})
>>> request.limit
10000
>>> parse_request({"type": "aggregation", "metrics": ["count"], "dimension": ["genre"]})
Traceback (most recent call last):
tenancy.analytics.errors.InvalidRequestError: query.dimension: "['genre']" is not valid; did you mean 'dimensions'?
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from tenancy.analytics.errors import InvalidRequestError, near
from tenancy.analytics.query.filters import Condition, FilterSpec, check_depth
from tenancy.analytics.query.time_range import TimeRange

MAX_LIMIT = 1_000_000
"""Rows of one result; page through more with `rows`."""

Grain = Literal["second", "minute", "hour", "day", "week", "month", "quarter", "year"]
Direction = Literal["asc", "desc"]


def _listed(given: object) -> object:
    return [given] if isinstance(given, str | Mapping | BaseModel) else given


class Order(BaseModel):
    """One key of an order: a name of the result, ascending unless said otherwise. Nulls come last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    direction: Direction = "asc"


def _ordered(given: object) -> object:
    """`"-count"` means `count` descending."""
    listed = _listed(given)
    if not isinstance(listed, list | tuple):
        return listed
    return [
        {"by": key.removeprefix("-"), "direction": "desc" if key.startswith("-") else "asc"}
        if isinstance(key, str)
        else key
        for key in listed
    ]


Names: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(max_length=200)]
Filters: TypeAlias = Annotated[tuple[FilterSpec, ...], BeforeValidator(_listed), Field(max_length=1_000)]
Conditions: TypeAlias = Annotated[tuple[FilterSpec, ...], BeforeValidator(_listed), Field(max_length=200)]
Orders: TypeAlias = Annotated[tuple[Order, ...], BeforeValidator(_ordered), Field(max_length=200)]
Limit: TypeAlias = Annotated[int, Field(ge=1, le=MAX_LIMIT, strict=True)]


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    dataset: str | None = None
    """What to ask; the model's default where none is named, else `user_interactions`, else the only one of events."""
    time_range: TimeRange | str | None = None
    """`{"start": …, "end": …}`, half-open, or a relative range such as `last_7_days`."""
    time_zone: str = "UTC"
    """The IANA time zone of days, of buckets, and of times given without an offset."""
    filters: Filters = ()
    """All of these must hold."""


class AggregationQuery(_Request):
    """Metrics by dimensions."""

    type: Literal["aggregation"] = "aggregation"
    metrics: Annotated[Names, Field(min_length=1)]
    dimensions: Names = ()
    having: Conditions = ()
    """Filters on metrics of the query, with and, or and not as elsewhere; all must hold."""
    order: Orders = ()
    """By metrics and dimensions; ties, and everything where no order is given, by the dimensions as listed."""
    limit: Limit = 10_000
    offset: Annotated[int, Field(ge=0, strict=True)] = 0


class TimeseriesQuery(_Request):
    """Metrics in buckets of time, by dimensions.

    The bucket's column is `date` for grains of a day and more (the first day of the bucket), `time` for finer ones
    (the instant the bucket begins). The order is by time, then by the dimensions.
    """

    type: Literal["timeseries"] = "timeseries"
    metrics: Annotated[Names, Field(min_length=1)]
    grain: Grain = "day"
    dimensions: Annotated[Names, Field(alias="group_by")] = ()
    """Also written `group_by`."""
    having: Conditions = ()
    """Filters on metrics of the query, asked after gaps are filled."""
    fill: Literal["none", "null", "zero"] = "none"
    """What stands in a bucket without events: no row, null metrics, or zero."""
    limit: Limit = 100_000

    model_config = ConfigDict(populate_by_name=True)


class TopKQuery(_Request):
    """The `k` values of a dimension with the greatest metric (the least, with `direction` asc)."""

    type: Literal["topk"] = "topk"
    metric: str
    dimension: str
    k: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 10
    direction: Direction = "desc"


class RowsQuery(_Request):
    """Rows as they are stored, newest first unless ordered otherwise, in pages.

    A page that is not the last has a `next_cursor`; the next page is the same query with it as `cursor`. Pages
    neither repeat nor skip rows, also while new events arrive.
    """

    type: Literal["rows"] = "rows"
    columns: Names = ()
    """All columns of the dataset where none is named."""
    order: Orders = ()
    limit: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 100
    offset: Annotated[int, Field(ge=0, strict=True)] = 0
    cursor: str | None = None


QueryRequest: TypeAlias = AggregationQuery | TimeseriesQuery | TopKQuery | RowsQuery

_TYPES: Mapping[str, type[QueryRequest]] = {
    "aggregation": AggregationQuery,
    "timeseries": TimeseriesQuery,
    "topk": TopKQuery,
    "rows": RowsQuery,
}

_REMEDIES: Mapping[tuple[type[BaseModel], str], str] = {
    (TopKQuery, "limit"): "say 'k'",
    (TopKQuery, "order"): "say 'direction', 'desc' or 'asc'; the order is by the metric",
    (TopKQuery, "having"): "filter metrics by 'having' of an aggregation",
    (TimeseriesQuery, "order"): "a time series is in order of time, then of its dimensions; leave it out",
    (TimeseriesQuery, "offset"): "page through a time series by its 'time_range'",
    (RowsQuery, "having"): "rows have no metrics; say 'filters'",
    (RowsQuery, "metrics"): "rows have no metrics; say 'columns', or ask an aggregation",
}
"""What to do instead of a key that another type of query has."""


def parse_request(given: QueryRequest | Mapping[str, Any]) -> QueryRequest:
    """The request that `given` is. Raises InvalidRequestError that names the place and what would be right."""
    if isinstance(given, AggregationQuery | TimeseriesQuery | TopKQuery | RowsQuery):
        return given
    if not isinstance(given, Mapping):
        raise InvalidRequestError(
            "query", given, "give an object such as {'type': 'aggregation', 'metrics': ['count']}"
        )
    kind = given.get("type")
    model = _TYPES.get(kind) if isinstance(kind, str) else None
    if model is None:
        close = (near(kind, _TYPES) if isinstance(kind, str) else ()) or tuple(_TYPES)
        raise InvalidRequestError("query.type", kind, f"give one of {', '.join(map(repr, close))}")
    for key in ("filters", "having"):
        check_depth(f"query.{key}", given.get(key))
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise explained("query", model, error) from None


def explained(root: str, model: type[BaseModel], error: ValidationError) -> InvalidRequestError:
    """The first of pydantic's complaints as an error of ours, with the place and the nearest known key."""
    first = error.errors(include_url=False)[0]
    path = _untagged(first["loc"])
    place = ".".join([root, *path])
    if first["type"] == "missing":
        return InvalidRequestError(place, None, "it must be given")
    if first["type"] != "extra_forbidden":
        return InvalidRequestError(place, first["input"], first["msg"][0].lower() + first["msg"][1:])
    known = _keys(model, first["loc"][:-1])
    remedy = _REMEDIES.get((model, place.removeprefix(f"{root}.")))
    if remedy is None and (close := near(path[-1], known)):
        remedy = f"did you mean {' or '.join(map(repr, close))}?"
    return InvalidRequestError(place, first["input"], remedy or f"the keys here are {', '.join(map(repr, known))}")


def _untagged(path: tuple[int | str, ...]) -> list[str]:
    """Pydantic's path without the tag of the union of filters before each filter, which the caller never wrote."""
    kept: list[str] = []
    is_filter = False
    for part in path:
        if is_filter and part in ("field", "and", "or", "not"):
            is_filter = False
            continue
        kept.append(str(part))
        is_filter = path[0] in ("filters", "having") and (isinstance(part, int) or part == "not")
    return kept


def _keys(model: type[BaseModel], path: tuple[int | str, ...]) -> tuple[str, ...]:
    if not path:
        return tuple(model.model_fields)
    inner: Mapping[str, type[BaseModel]] = {
        "order": Order,
        "time_range": TimeRange,
        "having": Condition,
        "filters": Condition,
    }
    found = next((inner[part] for part in reversed(path) if isinstance(part, str) and part in inner), None)
    return tuple(found.model_fields) if found else ()
