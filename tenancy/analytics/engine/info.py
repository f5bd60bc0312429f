"""What an engine tells about itself: frozen values that cross processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tenancy.analytics.types import DatasetKind


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """One dataset as its users see it."""

    name: str
    kind: DatasetKind
    rows: int
    """Stored rows; of a dimension table every version of a row counts."""
    quarantined: int
    """Rows it refused and still keeps."""
    fields: Mapping[str, str]
    """Column to type, the system's columns left out."""
    newest_event: datetime | None


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """How one tenant's engine is."""

    tenant: str
    epoch: int
    datasets: int
    pending_rows: int
    """Rows waiting to be made durable."""
    pending_bytes: int
    buffered_bytes: int
    """Held in memory, durable and in no segment yet."""
    last_failure: str | None
    """What went wrong the last time storage was maintained; None when nothing did."""
