"""Filters as callers write them: conditions on fields, joined by and, or and not.

Every condition is either true or false, never unknown: a null satisfies `ne`, `not_in` and `is_null` and nothing
else, so a filter and its `not` always divide the rows between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from tenancy.analytics.errors import InvalidRequestError

MAX_DEPTH = 32
"""Levels of and, or and not; more is a mistake or an attack."""
MAX_VALUES = 10_000
"""Values of one `in` or `not_in`."""


class Operator(StrEnum):
    """How a field is compared with a value."""

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"
    NOT_IN = "not_in"
    CONTAINS = "contains"
    """Text that has the value within it, or a list that has it as an element."""
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    IS_NULL = "is_null"
    """`value` true (the default): the field is null; false: it is not."""
    BETWEEN = "between"
    """`value` is `[low, high]`, both included."""


class _Filter(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Condition(_Filter):
    """One comparison: `{"field": "genre", "op": "eq", "value": "rock"}`."""

    field: str
    op: Operator = Operator.EQ
    value: Any = None


class AllOf(_Filter):
    """`{"and": [...]}`: every part holds."""

    parts: tuple[FilterSpec, ...] = Field(alias="and", min_length=1)


class AnyOf(_Filter):
    """`{"or": [...]}`: at least one part holds."""

    parts: tuple[FilterSpec, ...] = Field(alias="or", min_length=1)


class NoneOf(_Filter):
    """`{"not": ...}`: the part does not hold."""

    part: FilterSpec = Field(alias="not")


_TAGS: Mapping[type, str] = {Condition: "field", AllOf: "and", AnyOf: "or", NoneOf: "not"}


def _tag(value: object) -> str:
    if isinstance(value, Mapping):
        return next((tag for tag in ("and", "or", "not") if tag in value), "field")
    return _TAGS.get(type(value), "field")


FilterSpec: TypeAlias = Annotated[
    Annotated[Condition, Tag("field")]
    | Annotated[AllOf, Tag("and")]
    | Annotated[AnyOf, Tag("or")]
    | Annotated[NoneOf, Tag("not")],
    Discriminator(_tag),
]

for _model in (AllOf, AnyOf, NoneOf):
    _model.model_rebuild()


def check_depth(place: str, given: object) -> None:
    """Raises InvalidRequestError when filters are nested deeper than `MAX_DEPTH`, before anything recurses."""
    level: list[object] = [given]
    for _ in range(MAX_DEPTH + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise InvalidRequestError(place, "…", f"nest and, or and not at most {MAX_DEPTH} levels deep")


def _inside(given: object) -> Iterable[object]:
    if isinstance(given, Mapping):
        return [given[key] for key in ("and", "or", "not") if key in given]
    return list(given) if isinstance(given, list | tuple) else ()
