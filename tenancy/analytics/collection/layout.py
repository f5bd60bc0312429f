"""The shapes of JSON that a dataset's events have had, from which the vectorised parser is told what to expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Self

import pyarrow as pa

from tenancy.analytics.collection.fields import Fields, Path, Role, column_name
from tenancy.analytics.schema import DatasetSchema, FieldType


class Layout:
    """Known fields by path, with the type that each is parsed as. Immutable; `learned` gives a new one.

    Only what parses into exactly one column, the event's time or its id is ever learned. A batch with
    anything else in it is read row by row, which is always right and a few times slower.
    """

    def __init__(self, schema: DatasetSchema, kinds: Mapping[Path, pa.DataType] | None = None) -> None:
        self.schema = schema
        self.fields = Fields(schema)
        self.kinds: Mapping[Path, pa.DataType] = kinds or {}

    def of(self, schema: DatasetSchema) -> Self:
        """The same shapes under another version of the schema; those that lost their place are forgotten."""
        if schema is self.schema:
            return self
        fields = Fields(schema)
        kept = {
            path: kind
            for path, kind in self.kinds.items()
            if not pa.types.is_null(kind) and fields.role(path) is self.fields.role(path) and self._same(path, schema)
        }
        return type(self)(schema, kept)

    def _same(self, path: Path, schema: DatasetSchema) -> bool:
        name = column_name(path)
        before, after = self.schema.fields.get(name), schema.fields.get(name)
        return (before and before.type) == (after and after.type)

    def learned(self, row: Mapping[str, Any], max_depth: int) -> Self | None:
        """The layout with the shape of `row`; itself when it knows it; None when the row has no regular shape."""
        new: dict[Path, pa.DataType] = {}
        for path, value in _leaves(row, max_depth):
            if len(path) > max_depth:
                return None
            known = self.kinds.get(path)
            kind = self._kind(path, value, known)
            if kind is None or len(path) + (kind == _STRINGS) > max_depth:
                return None
            if kind != known:
                new[path] = kind
        if not new:
            return self
        if len(self.kinds) + len(new) > self.schema.max_columns + _MOST_NULLS:
            return None
        grown = type(self)(self.schema, {**self.kinds, **new})
        return grown if grown._regular else None

    def _kind(self, path: Path, value: object, known: pa.DataType | None) -> pa.DataType | None:
        role = self.fields.role(path)
        spec_type = self.fields.type_of(column_name(path))
        if role in (Role.TIME, Role.TIME_FALLBACK) or (role is Role.COLUMN and spec_type is FieldType.TIMESTAMP):
            kind = known or pa.string() if value is None else _TIME_KINDS.get(type(value))
            if kind is None or spec_type in (None, FieldType.TIMESTAMP) or kind == spec_type.arrow:
                return kind
            return spec_type.arrow if spec_type is FieldType.FLOAT and kind == pa.int64() else None
        if role is Role.ID:
            kind = known or pa.string() if value is None else _ID_KINDS.get(type(value))
            return kind if spec_type is None or kind == spec_type.arrow else None
        if role is Role.COLUMN and spec_type is not None:
            return None if spec_type is FieldType.BINARY else spec_type.arrow
        # A field that has only ever been null is nothing yet.
        return pa.null() if role is Role.UNKNOWN and value is None and known in (None, pa.null()) else None

    @property
    def _regular(self) -> bool:
        columns = [column_name(path) for path in self.kinds]
        if len(set(columns)) < len(columns):
            return False
        if any(path[:size] in self.kinds for path in self.kinds for size in range(1, len(path))):
            return False
        return sum(self.fields.role(path) in (Role.TIME, Role.TIME_FALLBACK) for path in self.kinds) <= 1

    @cached_property
    def explicit(self) -> pa.Schema:
        """What to tell the parser."""
        tree: dict[str, Any] = {}
        for path, kind in self.kinds.items():
            node = tree
            for part in path[:-1]:
                node = node.setdefault(part, {})
            node[path[-1]] = kind
        return pa.schema([pa.field(name, _arrow(kind)) for name, kind in tree.items()])


def _arrow(node: Any) -> pa.DataType:
    if not isinstance(node, dict):
        return node
    return pa.struct([pa.field(name, _arrow(kind)) for name, kind in node.items()])


def _leaves(row: Mapping[str, Any], max_depth: int, above: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every value of a row that is no object, or an object that is too deep, with its path."""
    for name, value in row.items():
        path = (*above, name)
        if isinstance(value, dict) and len(path) <= max_depth:
            yield from _leaves(value, max_depth, path)
        else:
            yield path, value


_MOST_NULLS = 100  # fields that are always null are learned as such, but not without end
_STRINGS = FieldType.STRINGS.arrow
_TIME_KINDS: Mapping[type, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64()}
_ID_KINDS: Mapping[type, pa.DataType] = {str: pa.string(), int: pa.int64()}
