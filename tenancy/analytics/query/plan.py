"""The plan of a query: immutable values, made by `binding`, rewritten by `rules`, turned into SQL by `sql`.

A plan says what is read (`Scan`), what is looked up (`Join`), which rows count (`where`), what is grouped by and
measured, and how the result is cut. `canonical()` is the same text for the same question, whatever segments there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Literal, TypeAlias

from tenancy.analytics.query.time_range import Interval
from tenancy.analytics.storage.snapshot import Segment


class Kind(StrEnum):
    """The types of values in plans and results."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    STRINGS = "strings"
    DATE = "date"
    MAP = "map"
    BINARY = "binary"

    @property
    def is_number(self) -> bool:
        return self in (Kind.INTEGER, Kind.FLOAT)


Scalar: TypeAlias = str | int | float | bool | datetime | date

EVENTS = "events"
"""The alias of the scanned dataset; joins have aliases of their own, and `RESULT` holds what was made of both."""
RESULT = "result"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the scan, of a join, or of the result."""

    source: str
    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Bucket:
    """The unit of local time a moment is in: a date for units of a day and more, else the instant it begins."""

    of: Column
    unit: str
    zone: str

    @property
    def kind(self) -> Kind:
        return Kind.TIMESTAMP if self.unit in ("second", "minute", "hour") else Kind.DATE


@dataclass(frozen=True, slots=True)
class TimePart:
    """A number read off the local clock or calendar, such as the hour of the day."""

    of: Column
    part: str
    zone: str

    @property
    def kind(self) -> Kind:
        return Kind.INTEGER


Operand: TypeAlias = Column | Bucket | TimePart


class Comparison(StrEnum):
    """What `Compare` may do; the other operators of filters are made of these and `Not`."""

    EQ = "eq"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    IS_NULL = "is_null"
    BETWEEN = "between"


@dataclass(frozen=True, slots=True)
class Compare:
    """True where the operand is not null and compares so (for `is_null`: where it is null); false elsewhere."""

    operand: Operand
    by: Comparison
    values: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some part holds."""

    parts: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Predicate


Predicate: TypeAlias = Compare | And | Or | Not


@dataclass(frozen=True, slots=True)
class Aggregate:
    """count, sum, avg, min, max, distinct or quantile of an operand, over the rows where `where` holds."""

    function: Literal["count", "sum", "avg", "min", "max", "distinct", "quantile"]
    of: Operand | None = None
    quantile: float | None = None
    where: Predicate | None = None

    @property
    def kind(self) -> Kind:
        if self.function in ("count", "distinct"):
            return Kind.INTEGER
        if self.function in ("avg", "quantile"):
            return Kind.FLOAT
        assert self.of is not None
        if self.function == "sum":
            return Kind.FLOAT if self.of.kind is Kind.FLOAT else Kind.INTEGER
        return self.of.kind


@dataclass(frozen=True, slots=True)
class Group:
    """A named thing the rows are grouped by; in a plan of rows, a named column."""

    name: str
    of: Operand


@dataclass(frozen=True, slots=True)
class Measure:
    """A named aggregate."""

    name: str
    of: Aggregate


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of the order; nulls come last either way."""

    name: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Scan:
    """What is read of one dataset."""

    dataset: str
    columns: tuple[Column, ...]
    time: Interval
    where: Predicate | None = None
    latest_by: str | None = None
    """For dimension tables: the key of which only the last row counts."""
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    buffer_rows: int = field(default=0, repr=False)
    pruned: int = field(default=0, repr=False)


@dataclass(frozen=True, slots=True)
class Join:
    """A left join of the dimension table `dataset` on its unique `key`."""

    alias: str
    dataset: str
    on: Column
    key: str
    columns: tuple[Column, ...]
    rows: int | None = field(default=None, repr=False)
    """At most so many rows; None where it is not known."""


@dataclass(frozen=True, slots=True)
class Fill:
    """Which buckets a time series must have."""

    bucket: Bucket
    value: Literal["null", "zero"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One query, whole."""

    shape: Literal["groups", "rows"]
    scan: Scan
    joins: tuple[Join, ...]
    outputs: tuple[Group, ...]
    measures: tuple[Measure, ...] = ()
    where: Predicate | None = None
    """Over the scan and the joins; what the scan can decide alone is moved into it by a rule."""
    having: Predicate | None = None
    order: tuple[SortKey, ...] = ()
    limit: int = 10_000
    offset: int = 0
    hidden: tuple[Group, ...] = ()
    """In plans of rows: keys of the order that are not among the columns asked for."""
    after: tuple[Scalar | None, ...] | None = None
    """In plans of rows: the keys of the last row of the page before."""
    fill: Fill | None = None
    aggregate_early: bool = field(default=False, repr=False)
    """Aggregate by the joins' keys first, join the few groups, then aggregate again."""

    def canonical(self) -> str:
        """The same text for the same question: part of a cache key, together with the data's version."""
        return repr(self)


def conjuncts(predicate: Predicate | None) -> tuple[Predicate, ...]:
    """The parts that must all hold."""
    if predicate is None:
        return ()
    if isinstance(predicate, And):
        return tuple(inner for part in predicate.parts for inner in conjuncts(part))
    return (predicate,)


def conjunction(parts: tuple[Predicate, ...]) -> Predicate | None:
    """One predicate that holds where all parts do; None where there are none."""
    return And(parts) if len(parts) > 1 else parts[0] if parts else None


def is_of_events(part: Predicate | Operand | Aggregate | None) -> bool:
    """Whether `part` can be told from the events alone, before any table is joined."""
    return all(column.source == EVENTS for column in columns_of(part))


def columns_of(part: Predicate | Operand | Aggregate | None) -> Iterator[Column]:
    """Every column that `part` reads."""
    if isinstance(part, Column):
        yield part
    elif isinstance(part, Bucket | TimePart):
        yield part.of
    elif isinstance(part, Compare):
        yield from columns_of(part.operand)
    elif isinstance(part, Not):
        yield from columns_of(part.part)
    elif isinstance(part, And | Or):
        for inner in part.parts:
            yield from columns_of(inner)
    elif isinstance(part, Aggregate):
        yield from columns_of(part.of)
        yield from columns_of(part.where)
