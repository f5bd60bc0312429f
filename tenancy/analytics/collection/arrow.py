"""Reading an Arrow table: a column at a time where its type is the dataset's, row by row where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.collection.fast import as_ids, as_times
from tenancy.analytics.collection.fields import Fields, Path, Role, column_name, may_name_a_column
from tenancy.analytics.collection.layout import Layout
from tenancy.analytics.collection.lines import Lines
from tenancy.analytics.collection.payload import json_line
from tenancy.analytics.collection.reading import Reading
from tenancy.analytics.collection.times import TimeColumn
from tenancy.analytics.schema import TIMESTAMP, DatasetSchema, FieldSpec, FieldType

_INT64_MOST = 2**63 - 1


class _TableRows:
    """The rows of a table as JSON, written only for those that are quarantined."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def raw(self, index: int) -> bytes:
        return json_line(self._table.slice(index, 1).to_pylist()[0], index)

    def line(self, index: int) -> None:  # noqa: ARG002 - a table has no lines
        return None


def read_table(table: pa.Table, layout: Layout, max_depth: int, max_row_bytes: int) -> Reading | Lines:
    """The table's rows; as lines of JSON when a column needs to be looked at value by value.

    Raises InvalidRequestError for a value that has no JSON form, naming its row.
    """
    found = _Columns(layout.schema)
    try:
        for path, values in _leaves(table):
            if len(path) > max_depth or not found.place(path, values):
                return _as_lines(table)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _as_lines(table)
    if _longest_row(table) > max_row_bytes:
        return _as_lines(table)
    return Reading(
        table.num_rows,
        _TableRows(table),
        found.columns,
        found.times,
        found.event_time,
        found.ids,
        grown=found.grown,
    )


class _Columns:
    """The columns of a reading as they are put in their places."""

    def __init__(self, schema: DatasetSchema) -> None:
        self._schema = schema
        self._fields = Fields(schema)
        self._folded: set[str] = set()
        self.columns: dict[str, pa.Array] = {}
        self.times: dict[str, TimeColumn] = {}
        self.event_time: TimeColumn | None = None
        self.ids: pa.Array | None = None
        self.grown: dict[str, FieldSpec] = {}

    def place(self, path: Path, values: pa.Array) -> bool:
        """Puts one column where it belongs; False when its values must be looked at one by one."""
        if values.null_count == len(values):
            return True
        kind = _field_type(values.type)
        if kind is None or (kind is FieldType.FLOAT and not pc.all(pc.is_finite(values)).as_py()):
            return False
        role, name = self._fields.role(path), column_name(path)
        if role in (Role.TIME, Role.TIME_FALLBACK):
            if self.event_time is not None or kind not in _MAY_BECOME[FieldType.TIMESTAMP]:
                return False
            self.event_time = as_times(values)
            name = self._schema.time_field
        elif role is Role.ID:
            if kind not in (FieldType.STRING, FieldType.INTEGER):
                return False
            self.ids = as_ids(values)
        spec = self._schema.fields.get(name)
        if role in (Role.TIME, Role.TIME_FALLBACK, Role.ID) and spec is None:
            return True
        if role is Role.RESERVED or name in self.columns or name in self.times:
            return False
        if spec is None:
            if not self._may_grow(name):
                return False
            spec = self.grown[name] = FieldSpec(type=kind)
            self._folded.add(name.lower())
        if kind is not spec.type and kind not in _MAY_BECOME.get(spec.type, ()):
            return False
        if spec.type is FieldType.TIMESTAMP:
            self.times[name] = as_times(values)
        else:
            self.columns[name] = values.cast(spec.type.arrow)
        return True

    def _may_grow(self, name: str) -> bool:
        return (
            self._schema.extras == "columns"
            and len(self._schema.fields) + len(self.grown) < self._schema.max_columns
            and name.lower() not in self._folded
            and may_name_a_column(name)
        )


_MAY_BECOME: Mapping[FieldType, tuple[FieldType, ...]] = {
    FieldType.INTEGER: (FieldType.FLOAT,),  # pandas holds integers with gaps as floats; a fraction fails the cast
    FieldType.FLOAT: (FieldType.INTEGER,),
    FieldType.TIMESTAMP: (FieldType.TIMESTAMP, FieldType.STRING, FieldType.INTEGER, FieldType.FLOAT),
}


def _leaves(table: pa.Table) -> Iterator[tuple[Path, pa.Array]]:
    waiting: list[tuple[Path, pa.Array]] = [
        ((name,), _one_chunk(column)) for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    while waiting:  # by depth, so that the shallower of two fields has the column
        below: list[tuple[Path, pa.Array]] = []
        for path, values in waiting:
            if pa.types.is_struct(values.type):
                names = [field.name for field in values.type]
                below += [((*path, name), child) for name, child in zip(names, values.flatten(), strict=True)]
            else:
                yield path, _plain(values)
        waiting = below


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined


def _plain(values: pa.Array) -> pa.Array:
    """The same values in the type that the dataset keeps them in, where there is one."""
    kind = values.type
    types = pa.types
    if types.is_dictionary(kind):
        return _plain(values.dictionary_decode())
    if types.is_large_string(kind) or types.is_string_view(kind):
        return values.cast(pa.string())
    if types.is_integer(kind):
        return values.cast(pa.int64())  # raises where an unsigned one does not fit
    if types.is_float16(kind) or types.is_float32(kind) or types.is_decimal(kind):
        return values.cast(pa.float64())
    if types.is_timestamp(kind) or types.is_date(kind):
        stamps = values.cast(
            pa.timestamp("us", kind.tz) if types.is_timestamp(kind) else pa.timestamp("us"), safe=False
        )
        return stamps.cast(TIMESTAMP)
    if types.is_large_binary(kind) or types.is_fixed_size_binary(kind) or types.is_binary_view(kind):
        return values.cast(pa.binary())
    if types.is_large_list(kind) or types.is_fixed_size_list(kind) or types.is_list_view(kind):
        values, kind = values.cast(pa.list_(kind.value_type)), pa.list_(kind.value_type)
    if types.is_list(kind) and (types.is_string(kind.value_type) or types.is_large_string(kind.value_type)):
        return values.cast(FieldType.STRINGS.arrow)
    return values


def _field_type(kind: pa.DataType) -> FieldType | None:
    return next((candidate for candidate in FieldType if candidate.arrow == kind), None)


def _longest_row(table: pa.Table) -> int:
    """An upper bound of the bytes of the largest row: exact only in that no row is larger."""
    if not table.num_rows:
        return 0
    sizes = np.full(table.num_rows, 16 * table.num_columns, dtype=np.int64)
    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_string(column.type):
            sizes += pc.fill_null(pc.binary_length(column), 0).to_numpy().astype(np.int64)
    return int(sizes.max())


def _as_lines(table: pa.Table) -> Lines:
    return Lines([json_line(row, index) for index, row in enumerate(table.to_pylist())])
