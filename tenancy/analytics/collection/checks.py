"""What every row must satisfy, a column at a time: times in range, required fields, finite numbers, quality."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.collection import refusals
from tenancy.analytics.collection.fields import MAX_ID_LENGTH
from tenancy.analytics.collection.reading import Reading
from tenancy.analytics.collection.times import TimeColumn, read_times
from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.schema import TIMESTAMP, DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.types import Refusal

_EPOCH = pa.scalar(0, TIMESTAMP)
_NUMBERS = (FieldType.INTEGER, FieldType.FLOAT)
_LEAST, _MOST = -(2.0**63), 2.0**63 - 1024  # the last float below 2**63
_NOT_NUMBERS = ("nan", "inf", "-inf")


@dataclass(frozen=True, slots=True)
class Checked:
    """Typed columns, every one that the rows gave, and for each refused row the first thing wrong with it."""

    columns: Mapping[str, pa.Array]
    event_time: pa.Array | None
    """Null where the row gave none, or none that can be kept."""
    ids: pa.Array | None
    refusals: Mapping[int, Refusal]


def check(
    reading: Reading, schema: DatasetSchema, now: datetime, max_future: timedelta, quality_checks: bool
) -> Checked:
    """Every check of every row; the reasons found while reading come first, then time, id, and fields in order.

    Raises InvalidRequestError for a pattern in `schema` that is not valid RE2.
    """
    ahead = f"{max_future.total_seconds() / 3600:g} h"
    checking = _Checking(dict(reading.refusals), ahead)
    event_time = None
    if reading.event_time is not None:
        event_time = checking.times(schema.time_field, reading.event_time)
        latest = pa.scalar(now + max_future, TIMESTAMP)
        outside = pc.or_(pc.less(event_time, _EPOCH), pc.greater(event_time, latest))
        shown = reading.event_time.shown
        checking.failing(outside, lambda row: refusals.time_out_of_range(schema.time_field, shown(row), ahead))
        if pc.any(outside).as_py():
            event_time = pc.if_else(outside, pa.scalar(None, TIMESTAMP), event_time)
    if reading.ids is not None:
        ids = reading.ids
        checking.failing(
            pc.greater(pc.utf8_length(ids), MAX_ID_LENGTH),
            lambda row: refusals.too_long(schema.id_field, ids[row].as_py(), MAX_ID_LENGTH),
        )
    columns: dict[str, pa.Array] = {}
    for name, spec in schema.fields.items():
        column = _column(checking, reading, name)
        if column is not None:
            columns[name] = column
        if spec.required or name == schema.key:
            missing = pc.is_null(column) if column is not None else pa.array(np.ones(reading.rows, dtype=bool))
            checking.missing(name, missing)
        if column is not None:
            checking.field(name, spec, column, quality_checks)
    if schema.key is not None and schema.key not in schema.fields:
        checking.missing(schema.key, pa.array(np.ones(reading.rows, dtype=bool)))
    return Checked(columns, event_time, reading.ids, checking.found)


def _column(checking: _Checking, reading: Reading, name: str) -> pa.Array | None:
    times = reading.times.get(name)
    return reading.columns.get(name) if times is None else checking.times(name, times)


class _Checking:
    """The refusals of one batch as they are found."""

    def __init__(self, found: dict[int, Refusal], ahead: str) -> None:
        self.found = found
        self._ahead = ahead

    def failing(self, mask: pa.Array, refusal: Callable[[int], Refusal]) -> None:
        """Refuses the rows where `mask` is true, unless something else was wrong with them before."""
        if not pc.any(mask).as_py():
            return
        for row in np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False)).tolist():
            if row not in self.found:
                self.found[row] = refusal(row)

    def missing(self, name: str, mask: pa.Array) -> None:
        """Refuses the rows where `mask` is true for want of a field."""
        self.failing(mask, lambda _: refusals.missing_required(name))

    def times(self, name: str, column: TimeColumn) -> pa.Array:
        """A column of times, read; rows whose time cannot be read are refused."""
        read = read_times(column)
        for row in read.unreadable:
            self.found.setdefault(row, refusals.invalid_time(name, column.shown(row)))
        for row in read.beyond:
            value = column.shown(row)
            refusal = (
                refusals.not_finite(name, value)
                if value in _NOT_NUMBERS
                else refusals.time_out_of_range(name, value, self._ahead)
            )
            self.found.setdefault(row, refusal)
        return read.stamps

    def field(self, name: str, spec: FieldSpec, column: pa.Array, quality_checks: bool) -> None:
        def tell(reason: Callable[[str, object, FieldSpec], Refusal]) -> Callable[[int], Refusal]:
            return lambda row: reason(name, column[row].as_py(), spec)

        if spec.type is FieldType.FLOAT:
            finite = pc.is_finite(column)
            if not pc.all(finite).as_py():
                self.failing(pc.invert(finite), lambda row: refusals.not_finite(name, column[row].as_py()))
        if not quality_checks:
            return
        if spec.minimum is not None and spec.type in _NUMBERS:
            self.failing(_less(column, spec.minimum), tell(refusals.below_minimum))
        if spec.maximum is not None and spec.type in _NUMBERS:
            self.failing(_greater(column, spec.maximum), tell(refusals.above_maximum))
        if spec.enum is not None:
            self.failing(_outside(column, spec.enum), tell(refusals.not_in_enum))
        if spec.type is not FieldType.STRING:
            return
        if spec.max_length is not None:
            limit = spec.max_length
            self.failing(
                pc.greater(pc.utf8_length(column), limit),
                lambda row: refusals.too_long(name, column[row].as_py(), limit),
            )
        if spec.pattern is not None:
            try:
                matching = pc.match_substring_regex(column, rf"\A(?:{spec.pattern})\z")
            except pa.ArrowInvalid as error:
                raise InvalidRequestError(f"fields.{name}.pattern", spec.pattern, str(error)) from None
            self.failing(pc.invert(matching), tell(refusals.pattern_mismatch))


def _less(column: pa.Array, bound: float) -> pa.Array:
    """Where `column` is less than `bound`; whole numbers are compared as such, floats could not tell them apart."""
    if not pa.types.is_integer(column.type):
        return pc.less(column, bound)
    if bound <= _LEAST:
        return pc.and_(column.is_valid(), pa.scalar(False))
    return column.is_valid() if bound > _MOST else pc.less(column, pa.scalar(math.ceil(bound), pa.int64()))


def _greater(column: pa.Array, bound: float) -> pa.Array:
    """Where `column` is greater than `bound`."""
    if not pa.types.is_integer(column.type):
        return pc.greater(column, bound)
    if bound >= _MOST:
        return pc.and_(column.is_valid(), pa.scalar(False))
    return column.is_valid() if bound < _LEAST else pc.greater(column, pa.scalar(math.floor(bound), pa.int64()))


def _outside(column: pa.Array, allowed: tuple[str, ...]) -> pa.Array:
    """Where `column`, or any item of it, is none of `allowed`."""
    known = pa.array(allowed, pa.string())
    if not pa.types.is_list(column.type):
        texts = column.cast(pa.string())
        return pc.and_(pc.invert(pc.is_in(texts, known)), texts.is_valid())
    items = pc.list_flatten(column)
    strange = pc.and_(pc.invert(pc.is_in(items, known)), items.is_valid())
    rows = np.zeros(len(column), dtype=bool)
    rows[pc.list_parent_indices(column).filter(strange).to_numpy()] = True
    return pa.array(rows)
