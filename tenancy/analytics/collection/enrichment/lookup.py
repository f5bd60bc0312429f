"""Columns of a dimension table, copied into events as they come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tenancy.analytics.collection.enrichment.step import Context, Options, column_or_nulls
from tenancy.analytics.errors import UnknownNameError, near
from tenancy.analytics.schema import FieldSpec, FieldType


class LookupOptions(Options):
    """Options of `lookup`."""

    dataset: str
    """The dimension table."""
    on: str
    """The event's column with the key."""
    key: str | None = None
    """The table's column with the key; named like `on` where it is not given."""
    columns: tuple[str, ...] = Field(min_length=1)
    """What to copy."""
    prefix: str = ""
    """Before the names of the copied columns."""
    refresh_seconds: float = Field(default=60.0, ge=0)
    """How old the copy of the table may be; an event may be given values this much out of date."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    keys: pa.Array
    rows: pa.Table
    at: float


class Lookup:
    """Copies columns by key; null where the key is not in the table. Later rows of a key win."""

    def __init__(self, options: Mapping[str, object], context: Context) -> None:
        self._options: LookupOptions = LookupOptions.read("lookup", options)
        self._context = context
        self._loaded: _Loaded | None = None
        table = self._load().rows
        self._columns = {
            self._options.prefix + name: FieldSpec(type=_field_type(table.schema.field(name).type))
            for name in self._options.columns
        }

    @property
    def columns(self) -> Mapping[str, FieldSpec]:
        return self._columns

    def apply(self, events: pa.Table) -> Mapping[str, pa.Array]:
        loaded = self._load()
        wanted = column_or_nulls(events, self._options.on, pa.string())
        found = pc.index_in(wanted, loaded.keys, skip_nulls=True)
        prefix = self._options.prefix
        return {
            prefix + name: column_or_nulls(loaded.rows, name, self._columns[prefix + name].type.arrow).take(found)
            for name in self._options.columns
        }

    def _load(self) -> _Loaded:
        now = self._context.clock.monotonic()
        loaded = self._loaded
        if loaded is not None and now - loaded.at <= self._options.refresh_seconds:
            return loaded
        options = self._options
        table = self._context.lookups(options.dataset)
        key = options.key or options.on
        for name in (key, *options.columns):
            if name not in table.column_names:
                kind = f"column of dimension table {options.dataset!r}"
                raise UnknownNameError(kind, name, near(name, table.column_names))
        # index_in gives the first match; reversed, the first is the newest.
        newest_first = table.take(pa.array(range(table.num_rows - 1, -1, -1), pa.int64()))
        loaded = _Loaded(column_or_nulls(newest_first, key, pa.string()), newest_first, now)
        self._loaded = loaded
        return loaded


def _field_type(kind: pa.DataType) -> FieldType:
    return next((candidate for candidate in FieldType if candidate.arrow == kind), FieldType.STRING)
