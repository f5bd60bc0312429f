"""One tenant's part of the catalog: datasets, live segments, positions, and the fenced commit that changes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from tenancy.analytics.clock import Clock
from tenancy.analytics.errors import ConflictError, StaleOwnerError, UnknownNameError
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage.catalog import _rows, _usage
from tenancy.analytics.storage.catalog._scoped import Scoped, ScopedValue, TenantRows
from tenancy.analytics.storage.catalog._tables import (
    datasets,
    dead_files,
    dedup_runs,
    idempotency_keys,
    models,
    segments,
    source_offsets,
    tenants,
    wal_positions,
)
from tenancy.analytics.storage.catalog.values import (
    Change,
    DedupRun,
    IdempotencyRecord,
    TenantRecord,
    UsageAddition,
    UsageRow,
    WalPosition,
)
from tenancy.analytics.storage.snapshot import Segment
from tenancy.analytics.types import MADE_KEY_PREFIX, made_key_bound

T = TypeVar("T")


class TenantCatalog:
    """The rows of `tenant` and of nobody else; made by `Catalog.tenant`, used from any thread.

    Every call is one transaction. Methods that take an `epoch` are fenced: they hold the tenant's row while
    they work and raise StaleOwnerError when the epoch is no longer current, so an owner that was replaced
    changes nothing. Any method may raise UnavailableError or StorageFullError; nothing was changed then,
    unless the connection was lost while committing, and for that `commit` may be repeated.
    """

    def __init__(self, rows: TenantRows, epoch_of: Callable[[str], int], answered: ScopedValue, clock: Clock) -> None:
        self.tenant = rows.tenant
        self._answered = answered
        self._rows = rows
        self._epoch_of = epoch_of
        self._clock = clock

    def record(self) -> TenantRecord:
        """The tenant's settings and epoch. Raises UnknownNameError when it was deleted meanwhile."""
        row = self._rows.read(lambda scoped: scoped.first(tenants))
        if row is None:
            raise UnknownNameError("tenant", self.tenant)
        return _rows.tenant_record(row)

    def epoch(self) -> int:
        """The current epoch: one fast read. Raises UnknownNameError when the tenant was deleted meanwhile."""
        return self._epoch_of(self.tenant)

    def raise_epoch(self, owner: str = "") -> int:
        """Take the tenant over: every commit under an earlier epoch fails from now on. Returns the new epoch.

        `owner` is the name of the host that takes over, for whoever looks for it.
        """

        def work(scoped: Scoped) -> int:
            epoch: int = _hold(scoped) + 1
            scoped.update(tenants, {"epoch": epoch, "owner": owner})
            return epoch

        return self._rows.write(work)

    def datasets(self) -> list[DatasetSchema]:
        """Every dataset, in order of name."""
        found = self._rows.read(lambda scoped: scoped.select(datasets, order_by=[datasets.c.name]))
        return [_rows.schema(row) for row in found]

    def dataset(self, name: str) -> DatasetSchema | None:
        row = self._rows.read(lambda scoped: scoped.first(datasets, datasets.c.name == name))
        return None if row is None else _rows.schema(row)

    def dataset_version(self, name: str) -> int:
        """How often the schema of a dataset was changed, from 1; 0 where there is no such dataset."""
        row = self._rows.read(lambda scoped: scoped.first(datasets, datasets.c.name == name))
        return 0 if row is None else row.version

    def save_dataset(self, schema: DatasetSchema, epoch: int) -> None:
        """Create a dataset or change its schema. Fenced."""
        self._write(lambda scoped: self._keep_schema(scoped, schema), epoch)

    def model(self) -> str | None:
        """The semantic model as it was last saved."""
        row = self._newest_model()
        return None if row is None else row.text

    def model_version(self) -> int:
        """The version of `model()`, from 1; 0 where none was saved."""
        row = self._newest_model()
        return 0 if row is None else row.version

    def save_model(self, text: str, epoch: int) -> int:
        """Keep `text` as the semantic model; returns its version, the present one when nothing changed. Fenced."""

        def work(scoped: Scoped) -> int:
            newest = scoped.first(models, order_by=[models.c.version.desc()])
            if newest is not None and newest.text == text:
                return int(newest.version)
            version = 1 if newest is None else newest.version + 1
            scoped.insert(models, [{"version": version, "text": text, "created_at": self._now()}])
            return int(version)

        return self._write(work, epoch)

    def segments(self, dataset: str) -> list[Segment]:
        """The live segments of `dataset`, in order of id, which is the order they were made in."""
        found = self._rows.read(
            lambda scoped: scoped.select(segments, segments.c.dataset == dataset, order_by=[segments.c.id])
        )
        return [_rows.segment(row) for row in found]

    def wal_position(self, dataset: str) -> WalPosition | None:
        """How far the write-ahead log of `dataset` is folded into segments."""
        row = self._rows.read(lambda scoped: scoped.first(wal_positions, wal_positions.c.dataset == dataset))
        return None if row is None else WalPosition(row.epoch, row.sequence)

    def commit(self, change: Change, epoch: int) -> None:
        """Make `change` visible, all at once. Fenced.

        May be repeated when its outcome is not known: segments, idempotency keys and runs that are there
        already are kept as they are. Raises ConflictError when a segment to be replaced is gone already,
        for its rows would be there twice.
        """

        def work(scoped: Scoped) -> None:
            added = False
            for dataset, new in change.add.items():
                there = {row.id for row in scoped.select_named(segments.c.id, [s.id for s in new], _in(dataset))}
                rows = [_rows.segment_row(dataset, s, epoch, self._clock.now()) for s in new if s.id not in there]
                scoped.insert(segments, rows)
                added = added or bool(rows)
            for dataset, ids in change.remove.items():
                self._retire(scoped, dataset, ids, strict=added)
            if change.schema is not None:
                self._keep_schema(scoped, change.schema)
            idempotency = (_rows.idempotency_row(change.dataset, record) for record in change.idempotency)
            scoped.insert(idempotency_keys, idempotency, existing="keep")
            runs = (_rows.dedup_row(change.dataset, run) for run in change.dedup_runs)
            scoped.insert(dedup_runs, runs, existing="keep")
            self._retire_runs(scoped, change)
            if change.wal_position is not None:
                position = {"epoch": change.wal_position.epoch, "sequence": change.wal_position.sequence}
                scoped.insert(wal_positions, [{"dataset": change.dataset, **position}], existing="replace")

        self._write(work, epoch)

    def dead_segments(self, before: datetime | None = None) -> list[str]:
        """Urls of files that nothing refers to any more, oldest first, until `forget_dead` is told they are gone.

        With `before`, those only that were given up at that time or earlier.
        """
        order = [dead_files.c.removed_at, dead_files.c.url]
        where = [] if before is None else [dead_files.c.removed_at <= _rows.micros(before)]
        return [row.url for row in self._rows.read(lambda scoped: scoped.select(dead_files, *where, order_by=order))]

    def forget_dead(self, urls: Iterable[str]) -> None:
        """The files at `urls` were deleted."""
        gone = list(urls)
        self._write(lambda scoped: scoped.delete_named(dead_files.c.url, gone))

    def idempotency(self, dataset: str, key: str) -> IdempotencyRecord | None:
        """What was answered to the call with this key."""
        # Asked for every batch that comes in, and most often for a key that is new: that answer must be quick.
        if self._answered.of(self.tenant, dataset=dataset, key=key) is None:
            return None
        row = self._rows.read(
            lambda scoped: scoped.first(
                idempotency_keys, idempotency_keys.c.dataset == dataset, idempotency_keys.c.key == key
            )
        )
        return None if row is None else _rows.idempotency(row)

    def dedup_runs(self, dataset: str, since: datetime) -> list[DedupRun]:
        """The runs that hold ids accepted at `since` or later, oldest first."""
        found = self._rows.read(
            lambda scoped: scoped.select(
                dedup_runs,
                dedup_runs.c.dataset == dataset,
                dedup_runs.c.max_ingest >= _rows.micros(since),
                order_by=[dedup_runs.c.min_ingest, dedup_runs.c.id],
            )
        )
        return [_rows.dedup_run(row) for row in found]

    def expire(self, before: datetime, made_before: datetime | None = None) -> list[str]:
        """Forget idempotency keys and dedup runs from before `before`; returns the urls of files to delete.

        Keys that no caller chose (`made_key`) are forgotten from before `made_before` already.
        The urls are among `dead_segments()` too, until they are forgotten there.
        """
        limit = _rows.micros(before)

        def work(scoped: Scoped) -> list[str]:
            scoped.delete(idempotency_keys, idempotency_keys.c.created_at < limit)
            if made_before is not None:
                self._forget_made(scoped, made_before)
            old = scoped.select(dedup_runs, dedup_runs.c.max_ingest < limit, order_by=[dedup_runs.c.id])
            scoped.delete(dedup_runs, dedup_runs.c.max_ingest < limit)
            self._bury(scoped, (run.url for run in old))
            return [run.url for run in old]

        return self._write(work)

    def source_offset(self, source: str) -> str | None:
        """How far `source` was read, in words of its own."""
        row = self._rows.read(lambda scoped: scoped.first(source_offsets, source_offsets.c.source == source))
        return None if row is None else row.position

    def save_source_offset(self, source: str, offset: str) -> None:
        """Remember how far `source` was read, so that an interrupted load goes on from there."""
        row = {"source": source, "position": offset, "updated_at": self._now()}
        self._write(lambda scoped: scoped.insert(source_offsets, [row], existing="replace"))

    def set_limits(self, limits: Mapping[str, Any]) -> None:
        """Keep what the tenant may use from now on, in place of what its settings say."""
        self._write(lambda scoped: scoped.update(tenants, {"limits": _rows.document(dict(limits))}))

    def stored_bytes(self) -> int:
        """Bytes of the live segments of all datasets."""
        return self._rows.read(lambda scoped: scoped.total(segments.c.bytes))

    def add_usage(self, addition: UsageAddition, epoch: int | None = None) -> None:
        """Add to what was used, once however often it is repeated. Fenced where an epoch is given."""
        self._write(lambda scoped: _usage.add(scoped, addition, self._clock.now()), epoch)

    def usage(self, start: datetime, end: datetime) -> list[UsageRow]:
        """What was used in the hours that begin at `start` or later and before `end`, in order."""
        return self._rows.read(lambda scoped: _usage.between(scoped, start, end))

    def _write(self, work: Callable[[Scoped], T], epoch: int | None = None) -> T:
        def held(scoped: Scoped) -> T:
            current = _hold(scoped)
            if epoch is not None and epoch != current:
                raise StaleOwnerError(self.tenant, epoch, current)
            return work(scoped)

        return self._rows.write(held)

    def _keep_schema(self, scoped: Scoped, schema: DatasetSchema) -> None:
        text = _rows.schema_text(schema)
        known = scoped.first(datasets, datasets.c.name == schema.name)
        if known is not None and known.schema == text:
            return
        version = 1 if known is None else known.version + 1
        row = {"name": schema.name, "version": version, "schema": text, "updated_at": self._now()}
        scoped.insert(datasets, [row], existing="replace")

    def _retire(self, scoped: Scoped, dataset: str, ids: Iterable[str], *, strict: bool) -> None:
        wanted = set(ids)
        live = scoped.select_named(segments.c.id, wanted, _in(dataset))
        gone = wanted - {row.id for row in live}
        if gone and strict:
            raise ConflictError(
                f"segments {sorted(gone)[:3]} of {dataset!r} are not live", "take a new snapshot and repeat the change"
            )
        scoped.delete_named(segments.c.id, wanted, _in(dataset))
        self._bury(scoped, (row.url for row in live))

    def _retire_runs(self, scoped: Scoped, change: Change) -> None:
        # One that expired meanwhile is gone already, and that is no conflict.
        of_dataset = dedup_runs.c.dataset == change.dataset
        merged = scoped.select_named(dedup_runs.c.id, change.remove_runs, of_dataset)
        scoped.delete_named(dedup_runs.c.id, change.remove_runs, of_dataset)
        self._bury(scoped, (run.url for run in merged))

    def _forget_made(self, scoped: Scoped, before: datetime) -> None:
        # These keys begin with their time, so the primary key finds those that are old and looks at no other: one
        # dataset at a time, for with several SQLite goes through all that were created before. The time is that of
        # another machine's clock; that of the record has the last word.
        dataset, key, created_at = (idempotency_keys.c[name] for name in ("dataset", "key", "created_at"))
        old = key >= MADE_KEY_PREFIX, key < made_key_bound(before), created_at < _rows.micros(before)
        for row in scoped.select(datasets):
            scoped.delete(idempotency_keys, dataset == row.name, *old)

    def _bury(self, scoped: Scoped, urls: Iterable[str]) -> None:
        now = _rows.micros(self._clock.steady())
        scoped.insert(dead_files, ({"url": url, "removed_at": now} for url in urls), existing="keep")

    def _newest_model(self) -> Any:
        return self._rows.read(lambda scoped: scoped.first(models, order_by=[models.c.version.desc()]))

    def _now(self) -> int:
        return _rows.micros(self._clock.now())


def _in(dataset: str) -> Any:
    return segments.c.dataset == dataset


def _hold(scoped: Scoped) -> int:
    """Lock the tenant's row until the transaction ends; gives the current epoch."""
    row = scoped.first(tenants, lock=True)
    if row is None:
        raise UnknownNameError("tenant", scoped.tenant)
    epoch: int = row.epoch
    return epoch
