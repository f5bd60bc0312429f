"""Every dataset of one tenant, as its owner keeps them."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Executor
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from typing import Self

from tenancy.analytics.clock import Clock
from tenancy.analytics.config import StorageConfig
from tenancy.analytics.errors import (
    IntegrityError,
    StaleOwnerError,
    UnknownNameError,
    near,
)
from tenancy.analytics.schema import DatasetSchema, quarantine_schema
from tenancy.analytics.storage._removal import removed
from tenancy.analytics.storage.catalog import TenantCatalog
from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.storage.ownership import Ownership
from tenancy.analytics.storage.snapshot import Snapshot
from tenancy.analytics.storage.storage_clock import StorageClock
from tenancy.analytics.storage.store import DatasetStore
from tenancy.analytics.types import MADE_KEY_LIFE, QUARANTINE_SUFFIX, dataset_name

_HOUSEKEEPING_S = 600.0
"""How often what expired is forgotten where nothing else is to be done: ids live for hours."""

_log = logging.getLogger(__name__)


class TenantStore:
    """What one owner keeps for one tenant. From any thread.

        with TenantStore.open("tenant_001", catalog.tenant("tenant_001"), fs, config, window, clock, pool) as store:
            plays = store.create(DatasetSchema(name="plays"))
            plays.append(Append(events)).result()
            with store.snapshot("plays") as snapshot:
                ...

    Somebody asks about every second whether it is `due`, and calls `maintain` then. A dataset whose log is damaged
    raises IntegrityError when it
    is asked for; the others work.
    """

    def __init__(
        self,
        tenant: str,
        catalog: TenantCatalog,
        fs: EncryptedFileSystem,
        config: StorageConfig,
        collection_window: timedelta,
        clock: Clock,
        executor: Executor,
        background: Executor,
        epoch: int,
    ) -> None:
        self.tenant = tenant
        self._catalog, self._fs, self._config = catalog, fs, config
        self._window, self._clock, self._time = collection_window, clock, StorageClock(clock)
        self._executor, self._background = executor, background
        self._owner = Ownership(catalog, epoch, clock.monotonic)
        self._stores: dict[str, DatasetStore] = {}
        self._broken: dict[str, IntegrityError] = {}
        self._seen: tuple[int, ...] = ()
        self._housekeeping_at = clock.monotonic() + _HOUSEKEEPING_S
        self._creating = threading.Lock()
        self._maintaining = threading.Lock()

    @classmethod
    def open(
        cls,
        tenant: str,
        catalog: TenantCatalog,
        fs: EncryptedFileSystem,
        config: StorageConfig,
        collection_window: timedelta,
        clock: Clock,
        executor: Executor,
        background: Executor | None = None,
        host: str = "",
    ) -> Self:
        """Take the tenant over from any earlier owner, and recover every dataset.

        `collection_window` is how long event ids and idempotency keys are remembered. Group commits and
        flushes run on `executor`, flushes on `background` where one is given. `host` is where the owner runs, for
        whoever looks for it.
        """
        epoch = catalog.raise_epoch(host)
        store = cls(tenant, catalog, fs, config, collection_window, clock, executor, background or executor, epoch)
        for schema in catalog.datasets():
            with suppress(IntegrityError):  # reported, and raised again when the dataset is asked for
                store._recover(schema)
        store._seen = store._segments()
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def epoch(self) -> int:
        """Under which this owner commits."""
        return self._owner.epoch

    def check_owner(self) -> None:
        """Ask the catalog; raises StaleOwnerError when another owner has taken over."""
        self._owner.check()

    def owned_within(self, seconds: float) -> bool:
        """Whether the catalog has said so lately that this owner is the one."""
        return self._owner.known_for_s() <= seconds

    def dataset(self, name: str) -> DatasetStore:
        """The store of dataset `name`. UnknownNameError with near matches; IntegrityError where it is damaged."""
        if name in self._broken:
            raise self._broken[name]
        try:
            return self._stores[name]
        except KeyError:
            raise UnknownNameError("dataset", name, near(name, self._stores)) from None

    def datasets(self) -> list[DatasetSchema]:
        """Every dataset in order of name, quarantines (by their kind) too."""
        schemas = [store.schema for store in list(self._stores.values())]
        return sorted([*schemas, *map(quarantine_schema, schemas)], key=lambda schema: schema.name)

    def create(self, schema: DatasetSchema) -> DatasetStore:
        """Make a dataset, or change what is declared of one; does nothing where nothing differs.

        Columns are added, never removed. Raises InvalidRequestError for the name, ConflictError for a change of
        kind, of key or of a column's type.
        """
        dataset_name(schema.name)
        with self._creating:
            if schema.name in self._broken:
                raise self._broken[schema.name]
            known = self._stores.get(schema.name)
            if known is None:
                self._owner.assume()
                self._catalog.save_dataset(schema, self.epoch)
                return self._recover(schema)
        known.evolve(schema)
        return known

    def snapshot(self, name: str) -> AbstractContextManager[Snapshot]:
        """A dataset or a quarantine at this instant. UnknownNameError with near matches."""
        if name.endswith(QUARANTINE_SUFFIX) and name.removesuffix(QUARANTINE_SUFFIX) in self._stores:
            return self._stores[name.removesuffix(QUARANTINE_SUFFIX)].quarantine_snapshot()
        return self.dataset(name).snapshot()

    @property
    def bytes(self) -> int:
        """Bytes that its buffers hold in memory."""
        return sum(store.bytes for store in list(self._stores.values()))

    @property
    def held_bytes(self) -> int:
        """Bytes in memory, about, that are in no segment yet: rows, those that are being made durable too, and ids."""
        return sum(store.held_bytes for store in list(self._stores.values()))

    @property
    def cached_bytes(self) -> int:
        """Bytes in memory that are in files as well."""
        return sum(store.cached_bytes for store in list(self._stores.values()))

    def flush_largest(self) -> None:
        """Make segments of the dataset that holds most in memory; of one whose last flush failed, at the last."""
        stores = list(self._stores.values())
        if stores:
            max(stores, key=lambda store: (not store.failing, store.held_bytes)).flush()

    def evict(self) -> None:
        """Give up what is in files as well."""
        for store in list(self._stores.values()):
            store.evict()

    @property
    def stored_bytes(self) -> int:
        """Bytes of the live segments."""
        return sum(store.stored_bytes for store in list(self._stores.values()))

    def due(self) -> bool:
        """Whether `maintain` has something to do. Looks at what is in memory only, so it may be asked all the time."""
        if self._clock.monotonic() >= self._housekeeping_at or self._segments() != self._seen:
            return True
        now = self._clock.monotonic()
        return any(store.due(now) for store in list(self._stores.values()))

    def maintain(self, *, compacting: bool = True) -> None:
        """Flush what is due, merge small segments, forget what is past the window, delete what nobody needs.

        Merging takes memory, so where that is short it is left for another time.

        A dataset that fails does not keep the others from their turn; the first error is raised at the end.
        """
        if not self._maintaining.acquire(blocking=False):
            return  # another thread is at it
        try:
            errors: list[Exception] = []
            for store in list(self._stores.values()):
                try:
                    if store.due(self._clock.monotonic()):
                        store.flush()
                    if compacting:
                        store.compact()
                except Exception as error:  # noqa: BLE001 - raised below, once the others had their turn
                    errors.append(error)
            self._expire()
            self._delete_dead()
            if errors:
                raise errors[0]
            if compacting:
                self._seen = self._segments()
            self._housekeeping_at = self._clock.monotonic() + _HOUSEKEEPING_S
        finally:
            self._maintaining.release()

    def close(self) -> None:
        """Flush, and admit nothing more. What cannot be flushed stays in the log for the next owner.

        Every dataset is closed, also when one of them fails; the first error is raised at the end.
        """
        errors: list[Exception] = []
        for store in list(self._stores.values()):
            try:
                store.close()
            except StaleOwnerError as error:
                _log.info("%s", error)
            except Exception as error:  # noqa: BLE001 - raised below, once the others are closed
                errors.append(error)
        if errors:
            raise errors[0]

    def _recover(self, schema: DatasetSchema) -> DatasetStore:
        store = DatasetStore(
            schema,
            self._catalog,
            self._fs,
            self._config,
            self._window,
            self._time,
            self._executor,
            self._background,
            self._owner,
        )
        try:
            rows = store.recover()
        except IntegrityError as error:
            _log.exception("dataset %r of tenant %r is not served until it is repaired", schema.name, self.tenant)
            self._broken[schema.name] = error
            raise
        if rows:
            _log.info("%d rows of dataset %r of tenant %r were replayed", rows, schema.name, self.tenant)
        self._stores[schema.name] = store
        return store

    def _expire(self) -> None:
        now = self._time.now()
        before = now - self._window
        self._owner.assume()
        for store in list(self._stores.values()):
            store.expire(before)
        self._catalog.expire(before, now - MADE_KEY_LIFE)

    def _delete_dead(self) -> None:
        """Also after a crash: the list is in the catalog, written by the commit that made the files dead."""
        before = self._clock.steady() - timedelta(seconds=self._config.dead_file_seconds)
        dead = [url for url in self._catalog.dead_segments(before) if not self._needed(url)]
        if not dead:
            return
        # Asked after the list was read: who takes over from here on never saw these files, while one that took
        # over before may have made them dead itself and have queries that still read them.
        self._owner.check()
        gone = [url for url in dead if removed(self._fs, url)]
        if gone:
            self._catalog.forget_dead(gone)
            for store in list(self._stores.values()):
                for url in gone:
                    store.bury(url)

    def _segments(self) -> tuple[int, ...]:
        return tuple(store.segments for store in list(self._stores.values()))

    def _needed(self, url: str) -> bool:
        return any(store.needs(url) for store in list(self._stores.values()))
