"""One event, field by field: what belongs where, what is new, what is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tenancy.analytics.collection import refusals
from tenancy.analytics.collection.fields import Fields, Path, Role, column_name, may_name_a_column
from tenancy.analytics.collection.payload import json_line
from tenancy.analytics.schema import EVENT_TIME, FieldSpec, FieldType
from tenancy.analytics.types import Refusal

_WORDS: Mapping[FieldType, str] = {
    FieldType.STRING: "text",
    FieldType.INTEGER: "a whole number",
    FieldType.FLOAT: "a number",
    FieldType.BOOLEAN: "true or false",
    FieldType.TIMESTAMP: "a time",
    FieldType.STRINGS: "a list of texts",
    FieldType.BINARY: "bytes, in an Arrow table",
}
_NUMBER = (int, float)


@dataclass(slots=True)
class RowFound:
    """What was found in one row. `values` has columns by name, and the time and the id under their fields."""

    values: dict[str, Any] = field(default_factory=dict)
    overflow: dict[str, str] = field(default_factory=dict)
    grown: dict[str, FieldSpec] = field(default_factory=dict)
    refusal: Refusal | None = None

    def refuse(self, refusal: Refusal) -> None:
        """The first reason is the one that is told."""
        if self.refusal is None:
            self.refusal = refusal


class RowReader:
    """Reads rows one at a time, remembering the columns that earlier rows of the batch brought."""

    def __init__(self, fields: Fields, max_depth: int) -> None:
        self._fields = fields
        self._schema = fields.schema
        self._max_depth = max_depth
        self._folded: set[str] = set()
        self.grown: dict[str, FieldSpec] = {}
        """Columns that accepted rows brought."""

    def read(self, row: Mapping[str, Any], doubtful: bool) -> RowFound:
        """`doubtful` rows may hold NaN and broken text, which strict JSON would not have let through."""
        found = RowFound()
        level: list[tuple[Path, object]] = [((name,), value) for name, value in row.items()]
        depth = 1
        while level:  # by depth, so that the shallower of two fields has the column
            below: list[tuple[Path, object]] = []
            for path, value in level:
                if isinstance(value, dict):
                    below += [((*path, name), inner) for name, inner in value.items()]
                elif value is not None:
                    self._field(found, path, value, depth, doubtful)
            if below and depth >= self._max_depth:
                found.refuse(refusals.too_deep(refusals.shown(below[0][0][0]), self._max_depth))
                break
            level, depth = below, depth + 1
        return found

    def drop(self, found: RowFound) -> None:
        """The row is refused: what it would have brought is not a column, so it has no values for it."""
        for name in found.grown:
            found.values.pop(name, None)

    def keep(self, found: RowFound) -> None:
        """The row is accepted: what it brought is known from now on."""
        if found.grown:
            self.grown.update(found.grown)
            self._folded.update(name.lower() for name in found.grown)

    def _field(self, found: RowFound, path: Path, value: Any, depth: int, doubtful: bool) -> None:
        place = refusals.shown(".".join(path))
        if isinstance(value, list) and depth + _list_depth(value, self._max_depth) > self._max_depth:
            return found.refuse(refusals.too_deep(place, self._max_depth))
        if doubtful and _broken_text([*path, value]):
            return found.refuse(refusals.invalid_utf8(place, value))
        role, name = self._fields.role(path), column_name(path)
        if role is Role.TIME_FALLBACK:
            if found.values.get(self._schema.time_field) is not None:
                return self._keep_aside(found, path, value)
            return self._time(found, place, value)
        if role is Role.TIME:
            displaced = found.values.get(self._schema.time_field)
            if displaced is not None:  # the fallback came first
                self._keep_aside(found, (EVENT_TIME,), displaced)
            return self._time(found, place, value)
        if role is Role.ID:
            return self._id(found, place, value)
        if role is Role.RESERVED:
            return self._keep_aside(found, path, value)
        if name in found.values:
            return self._keep_aside(found, path, value)
        spec = self._schema.fields.get(name) or found.grown.get(name) or self.grown.get(name)
        if spec is not None:
            return self._value(found, place, name, value, spec)
        return self._new(found, path, name, value)

    def _time(self, found: RowFound, place: str, value: Any) -> None:
        name = self._schema.time_field
        spec = self._schema.fields.get(name)
        if isinstance(value, float) and not math.isfinite(value):
            return found.refuse(refusals.not_finite(place, value))
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return found.refuse(refusals.invalid_time(place, value))
        if spec is not None and spec.type is not FieldType.TIMESTAMP:
            return self._value(found, place, name, value, spec)
        found.values[name] = value
        return None

    def _id(self, found: RowFound, place: str, value: Any) -> None:
        name = self._schema.id_field
        spec = self._schema.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int):
            return found.refuse(refusals.type_conflict(place, value, "text or a whole number"))
        if spec is not None:
            return self._value(found, place, name, value, spec)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return found.refuse(refusals.integer_overflow(place, value))
        found.values[name] = value
        return None

    def _value(self, found: RowFound, place: str, name: str, value: Any, spec: FieldSpec) -> None:
        kind = spec.type
        if isinstance(value, float) and not math.isfinite(value) and kind is not FieldType.FLOAT:
            return found.refuse(refusals.not_finite(place, value))
        fits = False
        match kind:
            case FieldType.STRING:
                fits = isinstance(value, str)
            case FieldType.BOOLEAN:
                fits = isinstance(value, bool)
            case FieldType.INTEGER if isinstance(value, _NUMBER) and not isinstance(value, bool):
                # The smallest integer as a float may have been any of the thousand around it, so it is none.
                if not -(2**63) <= value < 2**63 or (value == -(2.0**63) and isinstance(value, float)):
                    return found.refuse(refusals.integer_overflow(place, value))
                fits = value == int(value)
                if fits:
                    value = int(value)
                elif name not in self._schema.fields:
                    # New in this very batch, with a fraction here and without one before: a column of floats.
                    found.grown[name] = FieldSpec(type=FieldType.FLOAT)
                    fits = True
            case FieldType.FLOAT if isinstance(value, _NUMBER) and not isinstance(value, bool):
                fits = True
                try:
                    value = float(value)
                except OverflowError:
                    value = math.inf  # a whole number beyond any float: refused as such with the column's checks
            case FieldType.TIMESTAMP:
                fits = isinstance(value, str | int | float) and not isinstance(value, bool)
            case FieldType.STRINGS:
                fits = isinstance(value, list) and all(item is None or isinstance(item, str) for item in value)
        if fits:
            found.values[name] = value
            return None
        return found.refuse(refusals.type_conflict(place, value, _WORDS[kind]))

    def _new(self, found: RowFound, path: Path, name: str, value: Any) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            return found.refuse(refusals.not_finite(name, value))
        schema = self._schema
        if schema.extras == "quarantine":
            return found.refuse(refusals.unknown_field(".".join(path), value, schema.fields))
        kind = _kind(value)
        folded = name.lower()
        room = len(schema.fields) + len(self.grown) + len(found.grown) < schema.max_columns
        taken = folded in self._folded or any(folded == other.lower() for other in found.grown)
        if schema.extras == "overflow" or kind is None or not room or taken or not may_name_a_column(name):
            return self._keep_aside(found, path, value)
        if kind is FieldType.INTEGER and not -(2**63) <= value < 2**63:
            return found.refuse(refusals.integer_overflow(name, value))
        found.grown[name] = FieldSpec(type=kind)
        found.values[name] = value
        return None

    def _keep_aside(self, found: RowFound, path: Path, value: Any) -> None:
        found.overflow[".".join(path)] = value if isinstance(value, str) else json_line(value, 0).decode()


def _kind(value: object) -> FieldType | None:
    """The type of column that a new field's first value asks for; None when it fits in none."""
    match value:
        case bool():
            return FieldType.BOOLEAN
        case int():
            return FieldType.INTEGER
        case float():
            return FieldType.FLOAT
        case str():
            return FieldType.STRING
        case [*items] if items and all(item is None or isinstance(item, str) for item in items):
            return FieldType.STRINGS if any(items) else None
    return None


def _list_depth(value: list[Any], most: int) -> int:
    """Levels of nesting from this list down, counted as far as `most` + 1."""
    depth = 0
    level: list[Any] = [value]
    while level and depth <= most:
        depth += 1
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, dict | list)
        ]
    return depth


def _broken_text(values: list[Any]) -> bool:
    """Whether any text in here cannot be written as UTF-8."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                return True
        elif isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
    return False
