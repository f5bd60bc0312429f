"""Reading a body row by row, so that a bad row is refused by itself and its neighbours are not.

Also the way in which schemas grow: what is new in a batch is looked at value by value, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa

from tenancy.analytics.collection import refusals
from tenancy.analytics.collection.fields import Fields, Role
from tenancy.analytics.collection.lenient import count_keys, keys_at_most, lenient, repeated_key
from tenancy.analytics.collection.lines import Lines
from tenancy.analytics.collection.reading import Reading
from tenancy.analytics.collection.row import RowReader
from tenancy.analytics.collection.times import TimeColumn, epoch_stamp
from tenancy.analytics.schema import OVERFLOW, SYSTEM_COLUMNS, TIMESTAMP, DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.types import Refusal

_NONE = type(None)
_QUICK: Mapping[FieldType, frozenset[type]] = {
    FieldType.STRING: frozenset({str, _NONE}),
    FieldType.INTEGER: frozenset({int, _NONE}),
    FieldType.FLOAT: frozenset({float, int, _NONE}),
    FieldType.BOOLEAN: frozenset({bool, _NONE}),
    FieldType.TIMESTAMP: frozenset({str, int, _NONE}),
}


class SlowReading:
    """One pass over the rows of one body."""

    def __init__(self, lines: Lines, schema: DatasetSchema, max_row_bytes: int, max_depth: int) -> None:
        self._lines = lines
        self._schema = schema
        self._fields = Fields(schema)
        self._max_row_bytes = max_row_bytes
        self._refusals: dict[int, Refusal] = {}
        self._overflow: dict[int, dict[str, str]] = {}
        self._reader = RowReader(self._fields, max_depth)
        self._shapes: dict[tuple[str, ...], Mapping[str, Any]] = {}
        self._regular: set[tuple[object, ...]] = set()

    def read(self) -> tuple[Reading, Sequence[Mapping[str, Any]]]:
        """The reading, and one accepted row of each shape, from which the fast way can learn."""
        quick = self._quick()
        rows = [self._row(index, line, quick) for index, line in enumerate(self._lines.texts)]
        return self._assemble(rows), list(self._shapes.values())

    def _quick(self) -> dict[str, frozenset[type]]:
        """For each top-level field, the types of value that need no second look."""
        schema = self._schema
        quick = {
            name: _QUICK[spec.type]
            for name, spec in schema.fields.items()
            if spec.type in _QUICK and self._fields.role((name,)) is Role.COLUMN
        }
        if schema.id_field not in schema.fields:
            quick[schema.id_field] = frozenset({str, _NONE})
        if self._fields.timed and schema.time_field not in schema.fields:
            quick[schema.time_field] = frozenset({str, int, _NONE})
        return quick

    def _row(self, index: int, line: bytes, quick: Mapping[str, frozenset[type]]) -> Mapping[str, Any]:
        if len(line) > self._max_row_bytes:
            self._refusals[index] = refusals.too_large(line, self._max_row_bytes)
            return {}
        try:
            row = orjson.loads(line)
            doubtful = False
        except orjson.JSONDecodeError as error:
            found = lenient(line, error.msg)
            if isinstance(found, Refusal):
                self._refusals[index] = found
                return {}
            row, doubtful = found, True
        if type(row) is not dict:
            self._refusals[index] = refusals.not_an_object(row)
            return {}
        if not doubtful and keys_at_most(line) == len(row):
            # As many keys as there are names: none twice, none nested. Look at types only, and at each
            # combination of them only once.
            shape = (*row, *map(type, row.values()))
            if shape in self._regular:
                return row
            if all(type(value) in quick.get(name, ()) for name, value in row.items()):
                self._regular.add(shape)
                self._shapes.setdefault(tuple(row), row)
                return row
        return self._irregular(index, line, row, doubtful)

    def _irregular(self, index: int, line: bytes, row: Mapping[str, Any], doubtful: bool) -> Mapping[str, Any]:
        found = self._reader.read(row, doubtful)
        refusal = found.refusal
        if keys_at_most(line) != count_keys(row):  # a colon in a text, or a key that came twice
            twice = repeated_key(line)
            refusal = refusal if twice is None else refusals.duplicate_key(twice)
        if refusal is not None:
            self._refusals[index] = refusal
            self._reader.drop(found)
        else:
            self._reader.keep(found)
            self._shapes.setdefault(tuple(row), row)
        if found.overflow:
            self._overflow[index] = found.overflow
        return found.values

    def _assemble(self, rows: Sequence[Mapping[str, Any]]) -> Reading:
        schema, grown = self._schema, self._reader.grown
        columns: dict[str, pa.Array] = {}
        times: dict[str, TimeColumn] = {}
        given = {name for row in {tuple(row) for row in rows} for name in row}
        for name, spec in {**schema.fields, **grown}.items():
            if name not in given:
                continue
            values = [row.get(name) for row in rows]
            if spec.type is FieldType.TIMESTAMP:
                times[name] = _times(values)
            else:
                columns[name] = self._column(name, values, spec)
        event_time = None
        if self._fields.timed and schema.time_field in given:
            event_time = _times([row.get(schema.time_field) for row in rows])
        ids = None
        if schema.id_field in given:
            ids = pa.array([_id(row.get(schema.id_field)) for row in rows], pa.string())
        overflow = None
        if self._overflow:
            maps = [self._overflow.get(index, {}).items() for index in range(len(rows))]
            overflow = pa.array([list(items) or None for items in maps], SYSTEM_COLUMNS[OVERFLOW])
        return Reading(len(rows), self._lines, columns, times, event_time, ids, overflow, self._refusals, dict(grown))

    def _column(self, name: str, values: list[Any], spec: FieldSpec) -> pa.Array:
        if spec.type is FieldType.FLOAT:
            values = [float(value) if type(value) is int else value for value in values]
        try:
            return pa.array(values, spec.type.arrow)
        except OverflowError:
            for index, value in enumerate(values):
                if type(value) is int and not -(2**63) <= value < 2**63:
                    self._refusals.setdefault(index, refusals.integer_overflow(name, value))
                    values[index] = None
            return pa.array(values, spec.type.arrow)


def _id(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _times(values: list[Any]) -> TimeColumn:
    texts = [value if type(value) is str else None for value in values]
    numbers = {index: epoch_stamp(value) for index, value in enumerate(values) if type(value) in (int, float)}
    stamps = pa.array([numbers.get(index) for index in range(len(values))], TIMESTAMP) if numbers else None
    beyond = tuple(index for index, stamp in numbers.items() if stamp is None)

    def shown(index: int) -> str | None:
        value = values[index]
        return None if value is None else refusals.shown(value)

    return TimeColumn(pa.array(texts, pa.string()), stamps, shown, beyond)
