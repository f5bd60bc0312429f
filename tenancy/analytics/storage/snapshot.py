"""What a reader sees of a dataset at one instant: its live segments and its buffer, both immutable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from tenancy.analytics.schema import DatasetSchema


@dataclass(frozen=True, slots=True)
class ColumnStats:
    """What is known of one column of one segment; `minimum` and `maximum` are None where they are not known.

    Timestamps are given in microseconds since the epoch; long strings are cut, the maximum rounded up.
    """

    nulls: int
    minimum: str | int | float | bool | None = None
    maximum: str | int | float | bool | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One immutable Parquet file. `url` is what every reader opens, through the encrypted filesystem."""

    id: str
    url: str
    rows: int
    bytes: int
    min_time: datetime | None
    max_time: datetime | None
    columns: Mapping[str, str]
    """Column name to `FieldType` value, of the columns in this file (system columns excluded)."""
    stats: Mapping[str, ColumnStats] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A dataset at one instant. Valid while pinned: see `DatasetStore.snapshot`."""

    schema: DatasetSchema
    segments: tuple[Segment, ...]
    buffer: pa.Table
    """Acknowledged rows that are in no segment yet, in `schema.arrow()`."""
    version: str
    """Changes whenever the rows change; equal versions mean equal rows."""

    @property
    def rows(self) -> int:
        buffered: int = self.buffer.num_rows
        return buffered + sum(segment.rows for segment in self.segments)
