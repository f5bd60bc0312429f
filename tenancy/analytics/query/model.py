"""The semantic model: the measures, dimensions and joins a tenant declares over its datasets.

>>> model = SemanticModel.from_yaml('''
... default: plays
... datasets:
...   plays:
...     joins:
...       - {dataset: songs, on: song_id}
...     measures:
...       listens: {type: count, where: {field: action, value: play_song}}
...       typical_listen: {type: p50, column: duration}
...     dimensions:
...       style: {column: songs.genre}
...       weekday: {part: day_of_week}
... ''')
>>> model.datasets["plays"].measures["typical_listen"].quantile
0.5

What is not declared follows the conventions of `tenancy.analytics.query.names`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self, TypeAlias

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tenancy.analytics.errors import InvalidRequestError, near
from tenancy.analytics.query.filters import FilterSpec, check_depth
from tenancy.analytics.query.requests import Grain
from tenancy.analytics.yaml_text import parse_yaml

FUNCTIONS = ("count", "sum", "avg", "min", "max", "distinct")
PARTS = ("minute_of_hour", "hour_of_day", "day_of_week", "day_of_month", "day_of_year", "week_of_year", "month_of_year")
"""Parts of a time in the query's time zone; days of the week count from 1, Monday, as in ISO 8601."""

Part: TypeAlias = Literal[
    "minute_of_hour", "hour_of_day", "day_of_week", "day_of_month", "day_of_year", "week_of_year", "month_of_year"
]

_QUANTILE = re.compile(r"p([1-9][0-9]?)")


def quantile_of(function: str) -> float | None:
    """The quantile that `p50`, `p99`, … mean; None for anything else.

    >>> quantile_of("p95")
    0.95
    """
    found = _QUANTILE.fullmatch(function)
    return int(found[1]) / 100 if found else None


def _function(name: str) -> str:
    if name in FUNCTIONS or quantile_of(name) is not None:
        return name
    close = near(name, FUNCTIONS) or (*FUNCTIONS, "p50", "p95")
    raise ValueError(f"give {' or '.join(map(repr, close))}")


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class MeasureSpec(_Declared):
    """What is aggregated, and how."""

    type: Annotated[str, AfterValidator(_function)]
    """count, sum, avg, min, max, distinct, or an exact quantile p1 … p99."""
    column: str | None = None
    """Left out for a count of events; a count with a column counts where it is not null."""
    where: FilterSpec | None = None
    """Only these events."""

    @property
    def quantile(self) -> float | None:
        return quantile_of(self.type)

    @model_validator(mode="after")
    def _has_column(self) -> Self:
        if self.column is None and self.type != "count":
            raise ValueError(f"a measure of type {self.type!r} names its column")
        return self


class DimensionSpec(_Declared):
    """What is grouped by: a column, or a bucket (`grain`) or a part (`part`) of a time column."""

    column: str | None = None
    """A column of the dataset, or `<join>.<column>`; the event time where a grain or part is given alone."""
    grain: Grain | None = None
    part: Part | None = None

    @model_validator(mode="after")
    def _is_something(self) -> Self:
        if self.grain is not None and self.part is not None:
            raise ValueError("give a grain or a part, not both")
        if self.column is None and self.grain is None and self.part is None:
            raise ValueError("give a column, a grain or a part")
        return self


class JoinSpec(_Declared):
    """A dimension table that belongs to each event: the row whose `key` equals the event's `on`."""

    dataset: str
    on: str
    key: str | None = None
    """The key of the dimension table where none is named."""
    name: str | None = None
    """Tells two joins of one table apart, as in `origin.city` and `destination.city`; the table's name otherwise."""

    @property
    def alias(self) -> str:
        return self.name or self.dataset


class DatasetModel(_Declared):
    """What is declared over one dataset."""

    measures: Mapping[str, MeasureSpec] = Field(default_factory=dict)
    dimensions: Mapping[str, DimensionSpec] = Field(default_factory=dict)
    joins: tuple[JoinSpec, ...] = ()

    @model_validator(mode="after")
    def _joins_differ(self) -> Self:
        names = [join.alias for join in self.joins]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two joins are called {name!r}; give one of them another name")
        return self


class SemanticModel(_Declared):
    """All that a tenant declares. The empty model is a model: conventions do the rest."""

    default: str | None = None
    """The dataset asked when a query names none."""
    datasets: Mapping[str, DatasetModel] = Field(default_factory=dict)

    @classmethod
    def from_yaml(cls, text: str) -> SemanticModel:
        """The model in this YAML (or JSON) text.

        Raises InvalidRequestError that names the place: a line of the text, or the path of a key.
        """
        return cls.of(parse_yaml(text, "model"))

    @classmethod
    def of(cls, given: object) -> SemanticModel:
        """The model in this mapping; None is the empty model. Raises InvalidRequestError that names the key."""
        if given is None:
            return cls()
        if isinstance(given, cls):
            return given
        if not isinstance(given, Mapping):
            raise InvalidRequestError("model", given, "give a mapping with 'datasets'")
        _check_filters(given)
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise _explained(error) from None

    def to_yaml(self) -> str:
        """The text that `from_yaml` reads back as this model."""
        return yaml.safe_dump(self.model_dump(mode="json", by_alias=True, exclude_defaults=True), sort_keys=False)


def _check_filters(given: Mapping[str, object]) -> None:
    datasets = given.get("datasets")
    for dataset, declared in datasets.items() if isinstance(datasets, Mapping) else ():
        measures = declared.get("measures") if isinstance(declared, Mapping) else None
        for name, measure in measures.items() if isinstance(measures, Mapping) else ():
            if isinstance(measure, Mapping):
                check_depth(f"model.datasets.{dataset}.measures.{name}.where", measure.get("where"))


_KINDS: Mapping[str, type[BaseModel]] = {
    "measures": MeasureSpec,
    "dimensions": DimensionSpec,
    "joins": JoinSpec,
    "datasets": DatasetModel,
}


def _explained(error: ValidationError) -> InvalidRequestError:
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    place = ".".join(["model", *map(str, location)])
    if first["type"] == "missing":
        return InvalidRequestError(place, None, "it must be given")
    if first["type"] != "extra_forbidden":
        message = first["msg"].removeprefix("Value error, ")
        return InvalidRequestError(place, first["input"], message[0].lower() + message[1:])
    kind = next((_KINDS[part] for part in reversed(location[:-1]) if isinstance(part, str) and part in _KINDS), None)
    known = (kind or SemanticModel).model_fields
    close = near(str(location[-1]), known) or tuple(known)
    return InvalidRequestError(place, first["input"], f"did you mean {' or '.join(map(repr, close))}?")
