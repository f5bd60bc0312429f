"""Stored rows as Arrow tables, for the parts that need rows rather than answers: enrichment and replay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem

from tenancy.analytics.schema import EVENT_ID, EVENT_TIME, INGEST_TIME
from tenancy.analytics.storage.snapshot import Segment, Snapshot

Snapshots = Callable[[str], AbstractContextManager[Snapshot]]


class StoredRows:
    """Reads one tenant's datasets, segments and buffer alike, on one snapshot a call."""

    def __init__(self, snapshots: Snapshots, filesystem: AbstractFileSystem) -> None:
        self._snapshots = snapshots
        self._filesystem = filesystem

    def columns(self, dataset: str, names: Sequence[str], where: pc.Expression | None = None) -> pa.Table:
        """These columns of every row, or of those that satisfy `where`; a column nobody has is left out."""
        with self._snapshots(dataset) as snapshot:
            return self._read(snapshot, names, snapshot.segments, where)

    def recent(self, dataset: str, columns: Sequence[str], since: datetime) -> pa.Table:
        """These columns of the rows whose event time is `since` or later."""
        with self._snapshots(dataset) as snapshot:
            reached = [s for s in snapshot.segments if s.max_time is None or s.max_time >= since]
            return self._read(snapshot, columns, reached, pc.field(EVENT_TIME) >= since)

    def table(self, dataset: str) -> pa.Table:
        """Every row of a dimension table, the newest row of each key last."""
        with self._snapshots(dataset) as snapshot:
            rows = self._read(snapshot, snapshot.schema.arrow().names, snapshot.segments, None)
        return rows.sort_by([(INGEST_TIME, "ascending"), (EVENT_ID, "ascending")])

    def _read(
        self, snapshot: Snapshot, names: Sequence[str], segments: Sequence[Segment], where: pc.Expression | None
    ) -> pa.Table:
        target = pa.schema([field for field in snapshot.schema.arrow() if field.name in names])
        parts = [_as(self._segment(segment.url, target.names, where), target) for segment in segments]
        buffer = snapshot.buffer if where is None else snapshot.buffer.filter(where)
        return pa.concat_tables([*parts, _as(buffer, target)])

    def _segment(self, url: str, names: Sequence[str], where: pc.Expression | None) -> pa.Table:
        with self._filesystem.open(url, "rb") as file:
            # A column that was added later is not in an older file.
            there = pq.read_schema(file).names
            file.seek(0)
            return pq.read_table(file, columns=[name for name in names if name in there], filters=where)


def _as(rows: pa.Table, target: pa.Schema) -> pa.Table:
    count = rows.num_rows
    return pa.Table.from_arrays(
        [
            rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(count, field.type)
            for field in target
        ],
        schema=target,
    )
