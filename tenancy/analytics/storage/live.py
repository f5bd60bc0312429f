"""What readers see of one dataset: its segments and its buffer, which change together or not at all."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import pyarrow as pa

from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage.buffer import Buffer, united
from tenancy.analytics.storage.snapshot import Segment, Snapshot


class LiveDataset:
    """The state behind snapshots. `lock` is shared by what must be frozen at one instant; no I/O under it.

    A flush freezes the buffer, writes it, and folds it: in one step the frozen rows leave the buffer and
    their segments appear, so no reader misses a row or sees it twice.
    """

    def __init__(
        self, schema: DatasetSchema, segments: Iterable[Segment], epoch: int, folder: str, lock: threading.RLock
    ) -> None:
        self.folder = folder
        self._lock = lock
        self._schema = schema
        self._arrow = schema.arrow()
        self._segments = tuple(segments)
        self._frozen = Buffer(self._arrow)
        self._active = Buffer(self._arrow)
        self._epoch = epoch
        self._changes = 0
        self._generation = 0
        self._pins: Counter[int] = Counter()
        self._graves: dict[str, int] = {}
        self._seen: tuple[tuple[Buffer, Buffer], pa.Table] | None = None

    @property
    def schema(self) -> DatasetSchema:
        return self._schema

    @property
    def arrow(self) -> pa.Schema:
        """The schema of the buffer."""
        return self._arrow

    @property
    def segments(self) -> tuple[Segment, ...]:
        return self._segments

    @property
    def active(self) -> Buffer:
        """Rows that no flush has taken yet."""
        return self._active

    @property
    def bytes(self) -> int:
        """Bytes in memory."""
        with self._lock:
            return self._frozen.bytes + self._active.bytes

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """The dataset at this instant. While it is used, the files of its segments are not deleted."""
        with self._lock:
            generation = self._generation
            self._pins[generation] += 1
            schema, segments, buffers = self._schema, self._segments, (self._frozen, self._active)
            version = f"{self._epoch}.{self._changes}"
        try:
            yield Snapshot(schema, segments, self._table(buffers), version)
        finally:
            with self._lock:
                self._pins[generation] -= 1
                if not self._pins[generation]:
                    del self._pins[generation]

    def _table(self, buffers: tuple[Buffer, Buffer]) -> pa.Table:
        seen = self._seen
        if seen is not None and seen[0][0] is buffers[0] and seen[0][1] is buffers[1]:
            return seen[1]
        table = united(buffers[1].schema, buffers[0].chunks + buffers[1].chunks)
        self._seen = (buffers, table)
        return table

    def evolve(self, schema: DatasetSchema) -> None:
        """Rows are read in `schema` from now on."""
        with self._lock:
            self._schema, self._arrow = schema, schema.arrow()
            self._active = self._active.of(self._arrow)
            self._changes += 1

    def append(self, table: pa.Table, now: datetime) -> None:
        """Add rows; the next snapshot has them."""
        if table.num_rows:
            with self._lock:
                self._active = self._active.plus(table, now)
                self._changes += 1

    def tidy(self) -> None:
        """Make few chunks of many. For the thread that appends; readers do not wait for the copying."""
        before = self._active
        after = before.consolidated()
        with self._lock:
            if self._active is before:
                self._active = after

    def freeze(self) -> pa.Table:
        """The rows a flush takes now."""
        with self._lock:
            self._frozen, self._active = self._active, Buffer(self._arrow)
            return united(self._arrow, self._frozen.chunks)

    def thaw(self) -> None:
        """The flush failed; its rows are flushed by the next one."""
        with self._lock:
            self._active, self._frozen = self._frozen.before(self._active), Buffer(self._arrow)

    def fold(self, added: Sequence[Segment]) -> None:
        """The frozen rows are in `added` now."""
        with self._lock:
            self._segments += tuple(added)
            self._frozen = Buffer(self._arrow)
            self._seen = None  # it would keep the flushed rows in memory until the next query

    def replace(self, parts: Sequence[Segment], whole: Segment) -> None:
        """The rows of `parts` are in `whole` now, which takes the place of the last of them."""
        gone = {part.id for part in parts}
        with self._lock:
            self._generation += 1
            last = parts[-1].id
            changed = (whole if segment.id == last else segment for segment in self._segments)
            self._segments = tuple(segment for segment in changed if segment.id not in gone)
            for part in parts:
                self._graves[part.url] = self._generation

    def needs(self, url: str) -> bool:
        """Whether the file at `url` is live or read by somebody who took a snapshot earlier."""
        with self._lock:
            if any(segment.url == url for segment in self._segments):
                return True
            buried = self._graves.get(url)
            return buried is not None and any(generation < buried for generation in self._pins)

    def bury(self, url: str) -> None:
        """The file at `url` is deleted."""
        with self._lock:
            self._graves.pop(url, None)
