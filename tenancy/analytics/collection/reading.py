"""What reading a body gives, whichever way it was read: typed columns, and the rows that could not be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from tenancy.analytics.collection.times import TimeColumn
from tenancy.analytics.schema import FieldSpec
from tenancy.analytics.types import Refusal


class RawRows(Protocol):
    """The rows as they came, for those that are quarantined."""

    def raw(self, index: int) -> bytes:
        """The bytes of one row."""
        ...

    def line(self, index: int) -> int | None:
        """Where it was in the body, from 1; None when the body has no lines."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """The rows of one body, before they are checked. Columns that no row gives are absent."""

    rows: int
    raw: RawRows
    columns: Mapping[str, pa.Array] = field(default_factory=dict)
    """By name; timestamps are in `times`."""
    times: Mapping[str, TimeColumn] = field(default_factory=dict)
    event_time: TimeColumn | None = None
    ids: pa.Array | None = None
    """The events' own ids as text, null where there is none."""
    overflow: pa.Array | None = None
    refusals: Mapping[int, Refusal] = field(default_factory=dict)
    grown: Mapping[str, FieldSpec] = field(default_factory=dict)
    """New columns that these rows bring; `columns` and `times` have them already."""
