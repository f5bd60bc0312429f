"""Moving rows from the buffer into segments and from small segments into large ones, a commit at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from tenancy.analytics.clock import Clock
from tenancy.analytics.config import StorageConfig
from tenancy.analytics.errors import ConflictError, StaleOwnerError
from tenancy.analytics.storage._ids import SegmentIds
from tenancy.analytics.storage.answers import Answers
from tenancy.analytics.storage.catalog import Change, DedupRun, IdempotencyRecord, TenantCatalog, WalPosition
from tenancy.analytics.storage.compaction import merge, pick
from tenancy.analytics.storage.dedup import DedupIndex
from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.storage.live import LiveDataset
from tenancy.analytics.storage.ownership import Ownership
from tenancy.analytics.storage.segments import write_segment
from tenancy.analytics.storage.snapshot import Segment
from tenancy.analytics.storage.wal import WriteAheadLog

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Frozen:
    """What a flush takes, at one instant."""

    tables: tuple[tuple[LiveDataset, pa.Table], ...]
    answers: tuple[IdempotencyRecord, ...]
    position: WalPosition | None


@dataclass(frozen=True, slots=True)
class _Commit:
    """A change and what follows in memory once the catalog has it."""

    change: Change
    publish: Callable[[], None]
    withdraw: Callable[[], None]
    """For a change that the catalog refused for good."""


class Maintenance:
    """Flush and compaction of one dataset and its quarantine. Either runs while the other does.

    A commit whose outcome is not known is repeated, unchanged, before anything else is committed: writing
    the same rows to another segment would store them twice if the first commit was made after all.
    """

    def __init__(
        self,
        fs: EncryptedFileSystem,
        catalog: TenantCatalog,
        config: StorageConfig,
        clock: Clock,
        owner: Ownership,
        names: SegmentIds,
        lock: threading.RLock,
        live: LiveDataset,
        refused: LiveDataset,
        ids: DedupIndex,
        answers: Answers,
        log: WriteAheadLog,
        ids_folder: str,
    ) -> None:
        self._fs, self._catalog, self._config, self._clock, self._owner = fs, catalog, config, clock, owner
        self._names, self._lock, self._live, self._refused = names, lock, live, refused
        self._ids, self._answers, self._wal, self._ids_folder = ids, answers, log, ids_folder
        self._flushing = threading.Lock()
        self._compacting = threading.Lock()
        self._unsettled: dict[str, _Commit] = {}
        self._logged: WalPosition | None = None
        self._folded: WalPosition | None = None
        self._waiting_since: float | None = None
        self._frozen_since: float | None = None
        self.failing = False
        """Whether the last flush failed; then it is left to `TenantStore.maintain` to try again."""

    @property
    def logged(self) -> WalPosition | None:
        """The position in the log up to which rows are in the buffer; guarded by the shared lock."""
        return self._logged

    @logged.setter
    def logged(self, position: WalPosition) -> None:
        self._logged = position
        if self._waiting_since is None:
            self._waiting_since = self._clock.monotonic()

    def full(self) -> bool:
        """Whether the buffer has as many rows as a segment should have, or as many bytes with the answers kept."""
        parts = self._live.active, self._refused.active
        return (
            sum(part.rows for part in parts) >= self._config.flush_rows
            or sum(part.bytes for part in parts) + self._answers.bytes >= self._config.flush_bytes
        )

    def due(self, now: float) -> bool:
        """Whether there is something to flush, by rows, bytes or age, or a flush to be finished.

        `now` is of the monotonic clock: a row must not wait a day longer because the wall clock was set back.

        What waits is what was logged, rows or none: a batch of duplicates leaves an answer and an object of the log.
        """
        since = self._waiting_since
        waited = now - since if since is not None else 0.0
        return "flush" in self._unsettled or self.full() or waited >= self._config.flush_age_seconds

    def flush(self) -> None:
        """Make segments of what is in the buffer."""
        with self._flushing:
            self.failing = True
            self._settle("flush")
            try:
                frozen = self._freeze()
                if frozen is not None:
                    self._unsettled["flush"] = self._written(frozen)
            except BaseException:
                self._thaw()
                raise
            self._settle("flush")
            self.failing = False

    def compact(self) -> int:
        """Merge small segments until there is nothing to merge; returns how many were merged."""
        with self._compacting:
            self._settle("compaction")
            merged = 0
            for live in (self._live, self._refused):
                while parts := pick(live.segments, self._config.segment_target_bytes):
                    self._unsettled["compaction"] = self._merged(live, parts)
                    self._settle("compaction")
                    merged += len(parts)
            return merged

    def sweep(self) -> None:
        """Delete files that an earlier owner wrote and did not commit; by now it can commit them no more."""
        known = {segment.url for live in (self._live, self._refused) for segment in live.segments}
        known.update(self._catalog.dead_segments())
        for folder in (self._live.folder, self._refused.folder, self._ids_folder):
            for url in self._files(folder):
                if url not in known and not self._ids.refers_to(url):
                    _log.info("%s was never committed and is deleted", url)
                    self._fs.rm_file(url)

    def _files(self, folder: str) -> list[str]:
        try:
            names: list[str] = self._fs.ls(folder, detail=False)
        except FileNotFoundError:
            return []
        self._fs.sweep(folder)
        return [f"{folder}/{name.rpartition('/')[2]}" for name in names]

    def _freeze(self) -> _Frozen | None:
        with self._lock:
            if self.logged == self._folded:
                return None
            self._frozen_since, self._waiting_since = self._waiting_since, None
            tables = tuple((live, live.freeze()) for live in (self._live, self._refused))
            self._ids.freeze()
            return _Frozen(tables, self._answers.freeze(), self.logged)

    def _thaw(self) -> None:
        with self._lock:
            self._live.thaw()
            self._refused.thaw()
            self._ids.thaw()
            self._answers.thaw()
            self._waiting_since = self._frozen_since

    def _written(self, frozen: _Frozen) -> _Commit:
        """Write the files of a flush; removes them again when one of them fails."""
        urls: list[str] = []
        try:
            added: dict[LiveDataset, tuple[Segment, ...]] = {}
            for live, table in frozen.tables:
                added[live] = ()
                if table.num_rows:
                    id = self._names.next()
                    url = f"{live.folder}/{id}.parquet"
                    added[live] = (write_segment(self._fs, id, url, table, live.schema),)
                    urls.append(url)
            runs, replaced = self._run_written(urls)
        except BaseException:
            self._remove(urls)
            raise
        change = Change(
            self._live.schema.name,
            add={live.schema.name: segments for live, segments in added.items() if segments},
            wal_position=frozen.position,
            idempotency=frozen.answers,
            dedup_runs=runs,
            remove_runs=tuple(run.id for run in replaced),
        )

        def publish() -> None:
            with self._lock:
                for live, segments in added.items():
                    live.fold(segments)
                self._ids.fold(runs, replaced)
                self._answers.fold()
                self._folded = frozen.position
            if frozen.position is not None:
                self._wal.forget(frozen.position)

        def withdraw() -> None:
            self._thaw()
            self._remove(urls)

        return _Commit(change, publish, withdraw)

    def _run_written(self, urls: list[str]) -> tuple[tuple[DedupRun, ...], tuple[DedupRun, ...]]:
        new = self._ids.new_run()
        if new is None:
            return (), ()
        id = self._names.next()
        url = f"{self._ids_folder}/{id}.ids"
        first, last = new.span
        self._fs.write_durable(url, new.run.encode())
        urls.append(url)
        return (DedupRun(id, url, len(new.run.times), first, last),), new.replaced

    def _merged(self, live: LiveDataset, parts: tuple[Segment, ...]) -> _Commit:
        whole = merge(self._fs, live.folder, parts, live.schema)
        name = live.schema.name
        change = Change(name, add={name: (whole,)}, remove={name: tuple(part.id for part in parts)})
        return _Commit(change, lambda: live.replace(parts, whole), lambda: self._remove([whole.url]))

    def _settle(self, kind: str) -> None:
        commit = self._unsettled.get(kind)
        if commit is None:
            return
        try:
            self._owner.assume()
            self._catalog.commit(commit.change, self._owner.epoch)
        except StaleOwnerError as error:
            self._owner.learn(error)
            raise
        except ConflictError:
            del self._unsettled[kind]
            commit.withdraw()
            raise
        del self._unsettled[kind]
        commit.publish()

    def _remove(self, urls: list[str]) -> None:
        for url in urls:
            try:
                self._fs.rm_file(url)
            except OSError as error:
                _log.warning("%s was not committed and cannot be deleted; the next owner will: %s", url, error)
