"""Where collected rows go: the part of a dataset's store that collection needs."""

from __future__ import annotations

from concurrent.futures import Future
from datetime import datetime
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage.append import Append
from tenancy.analytics.storage.catalog import IdempotencyRecord


class EventSink(Protocol):
    """One dataset's store, as collection sees it. `DatasetStore` is one."""

    @property
    def schema(self) -> DatasetSchema:
        """The current schema."""
        ...

    @property
    def watermark(self) -> datetime | None:
        """The newest event time seen; None before the first event."""
        ...

    @property
    def pending_rows(self) -> int:
        """Rows waiting to be made durable."""
        ...

    @property
    def pending_bytes(self) -> int:
        """Bytes waiting to be made durable."""
        ...

    def evolve(self, schema: DatasetSchema) -> None:
        """Make `schema` the current one, persisted before this returns."""
        ...

    def claim(self, ids: pa.Array) -> npt.NDArray[np.bool_]:
        """Which of `ids` were seen within the dedup window (or earlier in `ids`); claims the others."""
        ...

    def release(self, ids: pa.Array) -> None:
        """Give claimed ids back: their rows were not stored after all."""
        ...

    def recall(self, key: str) -> IdempotencyRecord | None:
        """What was answered to this idempotency key."""
        ...

    def append(self, append: Append, /) -> Future[None]:
        """Done once the batch is durable and visible; on failure its claims are released."""
        ...
