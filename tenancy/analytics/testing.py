"""Fakes for tests of code that uses the library: a clock that moves only when told, a store in memory."""

from __future__ import annotations

import os
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.errors import UnknownNameError
from tenancy.analytics.schema import DatasetSchema, quarantine_schema
from tenancy.analytics.storage.append import Append, id_list
from tenancy.analytics.storage.catalog import IdempotencyRecord


class ManualClock:
    """A clock that stands still until it is advanced.

    >>> clock = ManualClock(datetime(2025, 7, 15, tzinfo=UTC))
    >>> clock.advance(timedelta(hours=1))
    >>> clock.now().isoformat()
    '2025-07-15T01:00:00+00:00'
    """

    def __init__(self, now: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> None:
        self._now = self._steady = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def steady(self) -> datetime:
        return self._steady

    def advance(self, by: timedelta) -> None:
        """Let so much time pass."""
        self._now += by
        self._steady += by
        self._monotonic += by.total_seconds()

    def jump(self, by: timedelta) -> None:
        """Set the wall clock forward, or back: no time passes."""
        self._now += by

    def restart(self) -> None:
        """Begin as the clock of a new process does, which knows the wall clock alone."""
        self._steady = self._now


class MemorySink:
    """A dataset's store in memory, with the promises of the real one: exact ids, a watermark, whole appends.

    Appends complete at once; after `hold()` they wait for `finish()`, so that a test decides when, and how.
    """

    def __init__(self, schema: DatasetSchema) -> None:
        self.schema = schema
        self.watermark: datetime | None = None
        self.pending_rows = 0
        self.pending_bytes = 0
        self.events: list[pa.Table] = []
        self.quarantined: list[pa.Table] = []
        self.evolved = 0
        self._claimed: set[str] = set()
        self._records: dict[str, IdempotencyRecord] = {}
        self._held: list[tuple[Append, Future[None]]] | None = None
        self._lock = Lock()

    def evolve(self, schema: DatasetSchema) -> None:
        self.schema = schema
        self.evolved += 1

    def claim(self, ids: pa.Array) -> npt.NDArray[np.bool_]:
        with self._lock:
            seen = []
            for one in ids.to_pylist():
                seen.append(one in self._claimed)
                self._claimed.add(one)
            return np.array(seen, dtype=bool)

    def release(self, ids: pa.Array) -> None:
        with self._lock:
            self._claimed.difference_update(ids.to_pylist())

    def recall(self, key: str) -> IdempotencyRecord | None:
        return self._records.get(key)

    def append(self, append: Append, /) -> Future[None]:
        done: Future[None] = Future()
        if self._held is not None:
            self._held.append((append, done))
            self.pending_rows += append.events.num_rows
        else:
            self._store(append)
            done.set_result(None)
        return done

    def hold(self) -> None:
        """Let appends wait."""
        self._held = []

    def finish(self, error: Exception | None = None) -> None:
        """Complete what waits, or fail all of it; later appends complete at once again."""
        held, self._held, self.pending_rows = self._held or [], None, 0
        for append, done in held:
            if error is None:
                self._store(append)
                done.set_result(None)
            else:
                self.release(pa.array(id_list(append.own_ids), pa.string()))
                done.set_exception(error)

    def table(self) -> pa.Table:
        """Every stored event, in the current schema."""
        return self._joined(self.events, self.schema)

    def quarantine(self) -> pa.Table:
        """Every row of the quarantine, in the current schema."""
        return self._joined(self.quarantined, quarantine_schema(self.schema))

    def _store(self, append: Append) -> None:
        self.events.append(append.events)
        if append.quarantined is not None:
            self.quarantined.append(append.quarantined)
        if append.idempotency is not None:
            self._records[append.idempotency.key] = append.idempotency
        newest = pc.max(append.events["event_time"]).as_py()
        if newest is not None and (self.watermark is None or newest > self.watermark):
            self.watermark = newest

    def _joined(self, tables: list[pa.Table], schema: DatasetSchema) -> pa.Table:
        return pa.concat_tables([schema.arrow().empty_table(), *tables], promote_options="default")


class MemoryKeys:
    """Keys of tenants, for an encrypted filesystem whose files need not outlive the test.

    >>> keys = MemoryKeys()
    >>> keys.current("tenant_001")[0], keys.rotate("tenant_001")
    (1, 2)

    Every tenant has a key until it is destroyed.
    """

    def __init__(self) -> None:
        self._keys: dict[str, dict[int, bytes]] = {}

    def current(self, tenant: str) -> tuple[int, bytes]:
        versions = self._keys.setdefault(tenant, {1: os.urandom(32)})
        if not versions:
            raise UnknownNameError("key of tenant", tenant)
        return max(versions), versions[max(versions)]

    def key(self, tenant: str, version: int) -> bytes:
        versions = self._keys.get(tenant, {})
        if version not in versions:
            raise UnknownNameError("key", f"{tenant}/{version}")
        return versions[version]

    def rotate(self, tenant: str) -> int:
        """Write with a new key from now on; returns its version."""
        version = self.current(tenant)[0] + 1
        self._keys[tenant][version] = os.urandom(32)
        return version

    def destroy(self, tenant: str) -> None:
        self._keys[tenant] = {}
