"""The rows of a dataset that are in no segment yet: a value, so that readers need neither locks nor copies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

import pyarrow as pa

FAN_IN = 16
"""Chunks of one level that become one of the next. A row is copied once for each level: 500 chunks of
1,000 rows become at most 31, and every row was copied twice."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """Immutable chunks in the order they were appended. Adding one gives another buffer.

    >>> buffer = Buffer(pa.schema({"n": pa.int64()}))
    >>> buffer.plus(pa.table({"n": [1]}), datetime(2025, 7, 15)).table.to_pylist()
    [{'n': 1}]
    """

    schema: pa.Schema
    chunks: tuple[pa.Table, ...] = ()
    levels: tuple[int, ...] = ()
    rows: int = 0
    bytes: int = 0
    since: datetime | None = None
    """When its oldest row was added."""

    def plus(self, table: pa.Table, now: datetime) -> Buffer:
        """With the rows of `table` at the end."""
        return replace(
            self,
            chunks=(*self.chunks, table),
            levels=(*self.levels, 0),
            rows=self.rows + table.num_rows,
            bytes=self.bytes + table.nbytes,
            since=self.since or now,
        )

    def before(self, newer: Buffer) -> Buffer:
        """With the rows of `newer` at the end, in its schema."""
        return Buffer(
            newer.schema,
            self.chunks + newer.chunks,
            self.levels + newer.levels,
            self.rows + newer.rows,
            self.bytes + newer.bytes,
            self.since or newer.since,
        )

    def consolidated(self) -> Buffer:
        """The same rows in few chunks; this very buffer where there is nothing to gain."""
        chunks, levels = list(self.chunks), list(self.levels)
        while levels and levels[-FAN_IN:] == levels[-1:] * FAN_IN:
            chunks[-FAN_IN:] = [united(self.schema, tuple(chunks[-FAN_IN:])).combine_chunks()]
            levels[-FAN_IN:] = [levels[-1] + 1]
        return self if len(chunks) == len(self.chunks) else replace(self, chunks=tuple(chunks), levels=tuple(levels))

    def of(self, schema: pa.Schema) -> Buffer:
        """The same rows read in a grown schema."""
        return replace(self, schema=schema)

    @cached_property
    def table(self) -> pa.Table:
        """All rows, without a copy."""
        return united(self.schema, self.chunks)


def united(schema: pa.Schema, tables: tuple[pa.Table, ...]) -> pa.Table:
    """The rows of `tables`, each in `schema` or in part of it, without a copy."""
    if all(table.schema.equals(schema) for table in tables):
        return pa.concat_tables(tables) if tables else schema.empty_table()
    return pa.concat_tables([schema.empty_table(), *tables], promote_options="default")
