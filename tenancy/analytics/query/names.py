"""What names mean: declared measures and dimensions first, then columns, then conventions.

Metrics by convention: `count`, `avg_x`, `sum_x`, `min_x`, `max_x`, `distinct_x` and `p1_x` … `p99_x` of any column x,
and `<verb>_count`, the events whose `action` is that verb or begins with it (`play_count` counts `play` and
`play_song`); where the schema lists the actions, the verb must be one of theirs. Dimensions by convention: any
column, a column of a dimension table whose key the dataset has as well (`<table>.<column>` where several have it),
the time's declared name, `date`, and units and parts of the event's time (`week`, `month`, `hour_of_day`,
`day_of_week`, …).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import get_args

from tenancy.analytics.errors import InvalidRequestError, UnknownNameError, near
from tenancy.analytics.query.conditions import predicate
from tenancy.analytics.query.model import FUNCTIONS, PARTS, DatasetModel, JoinSpec, quantile_of
from tenancy.analytics.query.plan import (
    EVENTS,
    Aggregate,
    Bucket,
    Column,
    Compare,
    Comparison,
    Join,
    Kind,
    Operand,
    Or,
    Predicate,
    TimePart,
)
from tenancy.analytics.query.requests import Grain
from tenancy.analytics.schema import EVENT_TIME, OVERFLOW, SYSTEM_COLUMNS, DatasetSchema
from tenancy.analytics.types import DatasetKind

ACTION = "action"
"""The column whose verbs `<verb>_count` counts."""

_VERB = re.compile(r"[\w.:-]{1,100}")
_VERB_COUNT = re.compile(rf"({_VERB.pattern})_count")
_GRAINS: tuple[str, ...] = get_args(Grain)


def columns(schema: DatasetSchema, source: str = EVENTS) -> dict[str, Column]:
    """The columns of a dataset by name, the system's first."""
    system = {name: Kind.STRING if name == "event_id" else Kind.TIMESTAMP for name in SYSTEM_COLUMNS}
    system[OVERFLOW] = Kind.MAP
    kinds = system | {name: Kind(spec.type.value) for name, spec in schema.fields.items()}
    return {name: Column(source, name, kind) for name, kind in kinds.items()}


class Names:
    """The names one query may use, over one dataset."""

    def __init__(
        self, schema: DatasetSchema, schemas: Mapping[str, DatasetSchema], declared: DatasetModel, zone: str
    ) -> None:
        self.schema = schema
        self.columns = columns(schema)
        self._schemas, self._declared, self._zone = schemas, declared, zone

    def dimension(self, name: str) -> Operand:
        """What to group or filter by. Raises UnknownNameError with near matches, InvalidRequestError if ambiguous."""
        if spec := self._declared.dimensions.get(name):
            column = self._time if spec.column is None else self._column(spec.column)
            if column is None:
                raise UnknownNameError(
                    "column", str(spec.column), self._near(str(spec.column)), f"{name!r} is made of it"
                )
            if (spec.grain or spec.part) and column.kind is not Kind.TIMESTAMP:
                raise InvalidRequestError(
                    f"dimension {name}", spec.grain or spec.part, f"{column.name!r} is not a time"
                )
            if spec.grain:
                return Bucket(column, spec.grain, self._zone)
            return TimePart(column, spec.part, self._zone) if spec.part else column
        if found := self.columns.get(name) or self._dotted(name):
            return found
        if name == self.schema.time_field:
            return self._time
        if name == "date":
            return Bucket(self._time, "day", self._zone)
        if found := self._looked_up(name):
            return found
        if name in PARTS:
            return TimePart(self._time, name, self._zone)
        if name in _GRAINS:
            return Bucket(self._time, name, self._zone)
        raise UnknownNameError("dimension", name, self._near(name))

    def measure(self, name: str) -> Aggregate:
        """What to measure. Raises UnknownNameError with near matches, those of conventions too."""
        if spec := self._declared.measures.get(name):
            place = f"model.measures.{name}"
            where = predicate(f"{place}.where", spec.where, self.dimension, self._zone) if spec.where else None
            return self._aggregate(place, spec.type, spec.column, where)
        if name == "count":
            return Aggregate("count")
        function, _, rest = name.partition("_")
        if rest and function != "count" and (function in FUNCTIONS or quantile_of(function)) and self._is_known(rest):
            return self._aggregate(f"metric {name}", function, rest, None)
        if verb := _VERB_COUNT.fullmatch(name):
            action = self.columns.get(ACTION)
            if action is not None and action.kind is Kind.STRING and self._is_verb(verb[1]):
                is_verb = Compare(action, Comparison.EQ, (verb[1],))
                return Aggregate(
                    "count", where=Or((is_verb, Compare(action, Comparison.STARTS_WITH, (f"{verb[1]}_",))))
                )
        raise UnknownNameError("metric", name, near(name, self._known_measures()))

    def joins(self, sources: frozenset[str]) -> tuple[Join, ...]:
        """The joins behind the columns that a query uses. Raises InvalidRequestError where one cannot be made."""
        used = [(spec, table) for spec, table in self._joins if spec.alias in sources]
        return tuple(self._join(spec, table) for spec, table in used)

    def _aggregate(self, place: str, function: str, column: str | None, where: Predicate | None) -> Aggregate:
        if column is None:
            return Aggregate("count", where=where)
        operand = self.dimension(column)
        if function == "count":
            return Aggregate("count", operand, where=where)
        quantile = quantile_of(function)
        if function in ("sum", "avg") or quantile is not None:
            if not (operand.kind.is_number or operand.kind is Kind.BOOLEAN):
                raise InvalidRequestError(
                    place, column, f"{function} needs numbers, and {column!r} is {operand.kind.value}"
                )
        elif operand.kind in (Kind.MAP, Kind.BINARY) or (operand.kind is Kind.STRINGS and function != "distinct"):
            raise InvalidRequestError(place, column, f"{column!r} is {operand.kind.value}, which has no {function}")
        if quantile is not None:
            return Aggregate("quantile", operand, quantile, where)
        for known in ("sum", "avg", "min", "max", "distinct"):
            if function == known:
                return Aggregate(known, operand, where=where)
        raise UnknownNameError("function", function, near(function, FUNCTIONS))

    @property
    def _time(self) -> Column:
        return self.columns[EVENT_TIME]

    @cached_property
    def _joins(self) -> tuple[tuple[JoinSpec, DatasetSchema], ...]:
        if self._declared.joins:
            return tuple((j, self._schemas[j.dataset]) for j in self._declared.joins if j.dataset in self._schemas)
        return tuple(self._conventional_joins())

    def _conventional_joins(self) -> Iterator[tuple[JoinSpec, DatasetSchema]]:
        for name, table in sorted(self._schemas.items()):
            if table.kind is not DatasetKind.DIMENSION or table.key is None or name == self.schema.name:
                continue
            key, ours = columns(table).get(table.key), self.columns.get(table.key)
            if key and ours and key.kind is ours.kind:
                yield JoinSpec(dataset=name, on=table.key), table

    def _join(self, spec: JoinSpec, table: DatasetSchema) -> Join:
        place = f"model.datasets.{self.schema.name}.joins.{spec.alias}"
        on, theirs = self.columns.get(spec.on), columns(table, spec.alias)
        if on is None:
            raise UnknownNameError("column", spec.on, near(spec.on, self.columns), f"{place}.on names it")
        key = theirs.get(spec.key or table.key or "")
        if key is None:
            wanted = spec.key or ""
            raise UnknownNameError("column", wanted, near(wanted, theirs), f"{place} needs a key of {spec.dataset!r}")
        if on.kind is not key.kind and not (on.kind.is_number and key.kind.is_number):
            remedy = f"it is {on.kind.value}, and the key {key.name!r} of {spec.dataset!r} is {key.kind.value}"
            raise InvalidRequestError(f"{place}.on", spec.on, remedy)
        return Join(spec.alias, spec.dataset, on, key.name, tuple(theirs.values()))

    def _column(self, name: str) -> Column | None:
        return self.columns.get(name) or self._dotted(name) or self._looked_up(name) or self._time_by_name(name)

    def _time_by_name(self, name: str) -> Column | None:
        return self._time if name == self.schema.time_field else None

    def _dotted(self, name: str) -> Column | None:
        alias, dot, column = name.partition(".")
        if not dot:
            return None
        for spec, table in self._joins:
            if spec.alias == alias:
                return columns(table, alias).get(column)
        return None

    def _looked_up(self, name: str) -> Column | None:
        holders = [spec.alias for spec, table in self._joins if name in table.fields]
        if len(holders) > 1:
            choices = " or ".join(repr(f"{holder}.{name}") for holder in holders)
            raise InvalidRequestError(f"dimension {name}", name, f"several tables have it: say {choices}")
        return self._dotted(f"{holders[0]}.{name}") if holders else None

    @property
    def _actions(self) -> tuple[str, ...] | None:
        """The actions there may be; None where the schema does not list them."""
        spec = self.schema.fields.get(ACTION)
        return spec.enum if spec else None

    def _is_verb(self, verb: str) -> bool:
        actions = self._actions
        return actions is None or any(action == verb or action.startswith(f"{verb}_") for action in actions)

    def _is_known(self, name: str) -> bool:
        try:
            self.dimension(name)
        except UnknownNameError:
            return False
        return True

    def _known_dimensions(self) -> Iterator[str]:
        yield from self._declared.dimensions
        yield from self.columns
        yield from (self.schema.time_field, "date", *PARTS, *_GRAINS)
        for spec, table in self._joins:
            yield from table.fields
            yield from (f"{spec.alias}.{field}" for field in table.fields)

    def _near(self, name: str) -> tuple[str, ...]:
        return near(name, set(self._known_dimensions()))

    def _known_measures(self) -> set[str]:
        known = {"count", *self._declared.measures}
        for action in self._actions or ():
            # `play_song` is counted by `play_song_count`, and with all that begin alike by `play_count`.
            known |= {f"{verb}_count" for verb in (action, action.partition("_")[0]) if _VERB.fullmatch(verb)}
        named = [(name, column.kind) for name, column in self.columns.items()]
        named += [(name, Kind(spec.type.value)) for _, table in self._joins for name, spec in table.fields.items()]
        for name, kind in named:
            known.add(f"distinct_{name}")
            if kind.is_number:
                known |= {f"{function}_{name}" for function in ("avg", "sum", "min", "max", "p50", "p95", "p99")}
        return known
