"""One dataset of one tenant, owned by exactly one process: what is appended is durable, visible and flushed.

    append → group commit → write-ahead log → fence → buffer (visible, acknowledged)
    flush  → sort → segments, run of ids → one commit of the catalog → log removed

A row is in the buffer or in a segment, and moves from one to the other in a single step.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.config import StorageConfig
from tenancy.analytics.errors import (
    AnalyticsError,
    BackpressureError,
    ConflictError,
    StaleOwnerError,
    StorageFullError,
)
from tenancy.analytics.schema import EVENT_TIME, DatasetSchema, quarantine_schema
from tenancy.analytics.storage._ids import SegmentIds, made_at
from tenancy.analytics.storage._wal_format import LogBatch
from tenancy.analytics.storage.answers import Answers
from tenancy.analytics.storage.append import Append, conform, id_list
from tenancy.analytics.storage.buffer import united
from tenancy.analytics.storage.catalog import IdempotencyRecord, TenantCatalog, WalPosition
from tenancy.analytics.storage.dedup import DedupIndex
from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.storage.group_commit import GroupCommit
from tenancy.analytics.storage.live import LiveDataset
from tenancy.analytics.storage.maintenance import Maintenance
from tenancy.analytics.storage.ownership import Ownership
from tenancy.analytics.storage.patience import patiently
from tenancy.analytics.storage.recovery import unseen
from tenancy.analytics.storage.snapshot import Snapshot
from tenancy.analytics.storage.storage_clock import StorageClock
from tenancy.analytics.storage.wal import WriteAheadLog

UNFLUSHED_LIMIT = 4
"""Appends are refused beyond so many times `flush_bytes`, so that memory is bounded while flushing fails."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    """An append on its way, its columns already in order."""

    events: pa.Table
    quarantined: pa.Table | None
    ids: list[str]
    digests: bytes
    at: datetime
    idempotency: IdempotencyRecord | None

    @property
    def rows(self) -> int:
        return int(self.events.num_rows + (self.quarantined.num_rows if self.quarantined else 0))


class DatasetStore:
    """The rows of one dataset and of its quarantine. From any thread.

    Made by `TenantStore`; usable once `recover` has returned.
    """

    def __init__(
        self,
        schema: DatasetSchema,
        catalog: TenantCatalog,
        fs: EncryptedFileSystem,
        config: StorageConfig,
        window: timedelta,
        clock: StorageClock,
        executor: Executor,
        background: Executor,
        owner: Ownership,
    ) -> None:
        self._catalog, self._config, self._clock = catalog, config, clock
        self._background, self._owner = background, owner
        self._evolving = threading.Lock()
        # Events, quarantine, ids, answers and the position in the log are frozen under it at one instant.
        self._lock = threading.RLock()
        root = f"tenancy://{catalog.tenant}"
        self._live, self._refused = (
            LiveDataset(each, catalog.segments(each.name), owner.epoch, f"{root}/{each.name}/segments", self._lock)
            for each in (schema, quarantine_schema(schema))
        )
        times = [segment.max_time for segment in self._live.segments if segment.max_time is not None]
        self.watermark: datetime | None = max(times, default=None)
        """The newest event time seen."""
        self._commit = GroupCommit(self._write, self._undo, executor, config.wal_linger_ms / 1000)
        folder = f"{root}/{schema.name}"
        newest = max((s.id for live in (self._live, self._refused) for s in live.segments), default="")
        if newest:
            clock.not_before(made_at(newest))
        runs = catalog.dedup_runs(schema.name, clock.now() - window)
        for run in runs:
            clock.not_before(run.max_ingest)
        self._ids = DedupIndex(fs, window, clock, runs, self._commit.drive)
        self._answers = Answers(self._answered)
        self._log = WriteAheadLog(fs, f"{folder}/wal", owner.epoch)
        self._maintenance = Maintenance(
            fs,
            catalog,
            config,
            clock,
            owner,
            SegmentIds(clock, newest),
            self._lock,
            self._live,
            self._refused,
            self._ids,
            self._answers,
            self._log,
            f"{folder}/ids",
        )
        self._flush_scheduled = False

    @property
    def schema(self) -> DatasetSchema:
        """The current schema."""
        return self._live.schema

    @property
    def pending_rows(self) -> int:
        """Rows waiting to be made durable."""
        return self._commit.pending_rows

    @property
    def bytes(self) -> int:
        """Bytes in memory that are in no segment yet."""
        return self._live.bytes + self._refused.bytes

    @property
    def held_bytes(self) -> int:
        """Bytes in memory, about, that a flush frees or a group commit is about to add: rows, answers and ids."""
        return self.bytes + self.pending_bytes + self._answers.bytes + self._ids.unflushed_bytes

    @property
    def cached_bytes(self) -> int:
        """Bytes in memory that are in files as well."""
        return self._ids.cached_bytes

    @property
    def failing(self) -> bool:
        """Whether the last flush failed."""
        return self._maintenance.failing

    def evict(self) -> None:
        """Give up what is in files as well; it is read again when it is needed."""
        self._ids.evict()

    @property
    def segments(self) -> int:
        """How many segments are live, those of the quarantine too."""
        return len(self._live.segments) + len(self._refused.segments)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the live segments, those of the quarantine too."""
        return sum(segment.bytes for live in (self._live, self._refused) for segment in live.segments)

    @property
    def pending_bytes(self) -> int:
        """Bytes waiting to be made durable."""
        return self._commit.pending_bytes

    def evolve(self, schema: DatasetSchema) -> None:
        """Make `schema` the current one, persisted before this returns.

        Columns that are there and not in `schema` are kept, since another call may have just added them.
        Raises ConflictError for a column of another type than it has, or for another kind of dataset.
        """
        with self._evolving:
            self._owner.assume()
            current = self.schema
            if (schema.kind, schema.key) != (current.kind, current.key):
                raise ConflictError(
                    f"dataset {current.name!r} is of kind {current.kind.value!r} with key {current.key!r}",
                    "use another name for another kind of dataset",
                )
            for name, spec in current.fields.items():
                given = schema.fields.get(name)
                if given is not None and given.type is not spec.type:
                    raise ConflictError(
                        f"column {name!r} of {current.name!r} is of type {spec.type.value!r}",
                        f"use another name for values of type {given.type.value!r}",
                    )
            # What is there stays in its place; properties of a column are those given.
            fields = {name: schema.fields.get(name, spec) for name, spec in current.fields.items()}
            grown = schema.model_copy(update={"fields": {**fields, **schema.fields}})
            if grown == current:
                return
            self._catalog.save_dataset(grown, self._owner.epoch)
            with self._lock:
                self._live.evolve(grown)
                self._refused.evolve(quarantine_schema(grown))

    def claim(self, ids: pa.Array | Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of `ids` are duplicates, within the window or within `ids`; claims the others.

        What is claimed must be appended or released. Waits for ids that another call has in flight, so one
        call claims all its ids at once. Raises UnavailableError when that takes longer than 30 s.
        """
        self._owner.assume()
        return self._ids.claim(ids)

    def release(self, ids: pa.Array | Sequence[str]) -> None:
        """Give claimed ids back: their rows were not stored after all."""
        self._ids.release(ids)

    def recall(self, key: str) -> IdempotencyRecord | None:
        """What was answered to this idempotency key; waits for a call with it that is in flight."""
        while self._answers.in_flight(key):
            self._commit.drive()
        self._owner.assume()
        return self._answers.recall(key)

    def append(self, append: Append) -> Future[None]:
        """Done once the batch is durable and visible. On failure its claims are released.

        The future fails with StorageFullError, StaleOwnerError, BackpressureError (`flush_bytes`),
        ConflictError (idempotency key), InvalidRequestError (columns) or UnavailableError; so does everything
        that was appended after a batch that failed and before its failure was known.
        """
        ids = id_list(append.own_ids)
        answer = append.idempotency
        try:
            self._owner.assume()
            self._admit()
            quarantined = append.quarantined
            events = conform(append.events, self._live.arrow)
            if quarantined is not None:
                quarantined = conform(quarantined, self._refused.arrow) if quarantined.num_rows else None
            if answer is not None:
                self._answers.admit(answer.key)
        except AnalyticsError as error:
            self._ids.release(ids)
            failed: Future[None] = Future()
            failed.set_exception(error)
            return failed
        # One time for ids and answer, and not the caller's: his is of the wall clock.
        now = self._clock.now()
        answer = replace(answer, created_at=now) if answer is not None else None
        batch = _Batch(events, quarantined, ids, self._ids.digests(ids), now, answer)
        size = events.nbytes + (quarantined.nbytes if quarantined is not None else 0)
        return self._commit.submit(batch, batch.rows, size)

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """The dataset at this instant, with every acknowledged row; its files stay while it is used.

        Raises StaleOwnerError once it is known that another owner took over.
        """
        self._owner.assume()
        return self._live.snapshot()

    def quarantine_snapshot(self) -> AbstractContextManager[Snapshot]:
        """The quarantine of this dataset at this instant."""
        self._owner.assume()
        return self._refused.snapshot()

    def flush(self) -> None:
        """Make segments of the buffer. On failure everything stays as it was, to be flushed later."""
        self._maintenance.flush()

    def compact(self) -> int:
        """Merge small segments; returns how many were merged."""
        return self._maintenance.compact()

    def due(self, now: float) -> bool:
        """Whether the buffer has enough rows or bytes, or a row that waited long enough, to be flushed.

        `now` is what the clock's `monotonic` says.
        """
        return self._maintenance.due(now)

    def expire(self, before: datetime) -> None:
        """Forget ids accepted before `before`, as the catalog has."""
        self._ids.expire(before)

    def needs(self, url: str) -> bool:
        """Whether the file at `url` may not be deleted."""
        return self._live.needs(url) or self._refused.needs(url) or self._ids.refers_to(url)

    def bury(self, url: str) -> None:
        """The file at `url` is deleted."""
        self._live.bury(url)
        self._refused.bury(url)

    def recover(self) -> int:
        """Take over from earlier owners: replay what they acknowledged and did not flush; returns the rows.

        Reads one object of the log at a time, and flushes when there is enough. On a full disk the rows stay in
        the buffer and in the log, to be read now and flushed once there is room; StorageFullError is raised only
        where they are more than the buffer may hold. Raises IntegrityError for a damaged object, naming it.
        """
        self._maintenance.sweep()
        name = self.schema.name
        folded = self._catalog.wal_position(name) or WalPosition(0, 0)
        rows = 0
        replayed = False
        for position, found in self._log.replay(folded):
            for part in found.parts():
                self._clock.not_before(part[0].at)
                kept = unseen(part, self._ids, self._answers)
                if kept is not None:
                    batch, events, quarantined = kept
                    self._publish([batch], [[]], events, quarantined)
                    rows += events.num_rows + (quarantined.num_rows if quarantined else 0)
            with self._lock:
                self._maintenance.logged = position
            replayed = True
            if self.due(self._clock.monotonic()):
                self._flush_recovered()
        if replayed:
            with self._lock:
                self._maintenance.logged = WalPosition(self._owner.epoch, 0)
            self._flush_recovered()
        else:
            self._log.forget(folded)
        return rows

    def close(self) -> None:
        """Write what is queued and flush; admit nothing more."""
        self._commit.close()
        if not self._owner.over:
            self.flush()

    def _flush_recovered(self) -> None:
        room = self.bytes <= self._unflushed_limit
        if room and self._maintenance.failing:
            return  # trying it after every object would write the whole buffer as often
        try:
            self.flush()
        except StorageFullError as error:
            if not room:
                raise
            _log.warning("recovered rows of dataset %r wait to be flushed: %s", self.schema.name, error)

    @property
    def _unflushed_limit(self) -> int:
        return UNFLUSHED_LIMIT * self._config.flush_bytes

    def _admit(self) -> None:
        if self.bytes + self.pending_bytes > self._unflushed_limit:
            raise BackpressureError(self._catalog.tenant, "unflushed_bytes", self._unflushed_limit, 1.0)

    def _write(self, batches: Sequence[_Batch]) -> None:
        """One group: durable, fenced, visible."""
        events = _one_chunk(united(self._live.arrow, tuple(batch.events for batch in batches)))
        refused = tuple(batch.quarantined for batch in batches if batch.quarantined is not None)
        quarantined = _one_chunk(united(self._refused.arrow, refused)) if refused else None
        logged = [
            LogBatch(
                batch.at,
                batch.events.num_rows,
                batch.quarantined.num_rows if batch.quarantined is not None else 0,
                batch.digests,
                batch.idempotency,
            )
            for batch in batches
        ]
        position = self._log.write(logged, events, quarantined)
        self._fence(position)
        with self._lock:
            self._publish(logged, [batch.ids for batch in batches], events, quarantined)
            self._maintenance.logged = position
        self._live.tidy()
        self._refused.tidy()
        self._flush_when_due()

    def _fence(self, position: WalPosition) -> None:
        """A new owner raises the epoch and then lists the log; so what is written before it is raised is found."""
        try:
            # While the catalog is out of reach the object waits in the log, and its callers for the fence.
            patiently(self._owner.check, self._config.catalog_patience_seconds)
        except StaleOwnerError:
            # The object is the new owner's now: it may have replayed it, and may have nothing else of its rows yet.
            raise
        except BaseException:
            self._log.withdraw(position)
            raise

    def _publish(
        self, batches: Sequence[LogBatch], ids: Sequence[list[str]], events: pa.Table, quarantined: pa.Table | None
    ) -> None:
        now = self._clock.now()
        with self._lock:
            self._live.append(events, now)
            if quarantined is not None:
                self._refused.append(quarantined, now)
            for batch, claimed in zip(batches, ids, strict=True):
                self._ids.keep(claimed, batch.digests, batch.at)
                if batch.idempotency is not None:
                    self._answers.keep(batch.idempotency)
            newest = pc.max(events.column(EVENT_TIME)).as_py()
            if newest is not None and (self.watermark is None or newest > self.watermark):
                self.watermark = newest

    def _answered(self, key: str) -> IdempotencyRecord | None:
        return patiently(
            lambda: self._catalog.idempotency(self.schema.name, key), self._config.catalog_patience_seconds
        )

    def _undo(self, batches: Sequence[_Batch]) -> None:
        for batch in batches:
            self._ids.release(batch.ids)
            if batch.idempotency is not None:
                self._answers.dismiss(batch.idempotency.key)

    def _flush_when_due(self) -> None:
        if self._flush_scheduled or self._maintenance.failing or not self._maintenance.full():
            return
        self._flush_scheduled = True
        try:
            self._background.submit(self._flush_in_background)
        except RuntimeError:  # the executor is shut down, and `close` flushes
            self._flush_scheduled = False

    def _flush_in_background(self) -> None:
        try:
            self.flush()
        except Exception:  # noqa: BLE001 - nobody waits for it; nothing is lost, and maintenance repeats it
            _log.warning("dataset %r could not be flushed, it is tried again later", self.schema.name, exc_info=True)
        finally:
            self._flush_scheduled = False


def _one_chunk(table: pa.Table) -> pa.Table:
    return table.combine_chunks() if table.num_columns and table.column(0).num_chunks > 1 else table
