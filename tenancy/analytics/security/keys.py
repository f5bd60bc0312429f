"""Keys of tenants: made, rotated, destroyed; kept in the catalog, wrapped by the master key.

The whole chain: a file's key is wrapped by its tenant's key (`storage.framing`), a tenant's key by the master
key (`security.master`). Whoever destroys a tenant's key has destroyed every byte of that tenant, in backups too.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol

from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.errors import ConflictError, UnknownNameError
from tenancy.analytics.security.master import (
    KEY_BYTES,
    EnvironmentKeyProvider,
    FileKeyProvider,
    KeyProvider,
    MasterKey,
    key_provider,
)
from tenancy.analytics.storage.catalog.values import KeyRow

__all__ = [
    "EnvironmentKeyProvider",
    "FileKeyProvider",
    "KeyProvider",
    "KeyRows",
    "MasterKey",
    "TenantKeyRing",
    "key_provider",
]


class KeyRows(Protocol):
    """Where wrapped keys are kept: `Catalog`."""

    def add_key(self, tenant: str, version: int, wrapped: bytes) -> None:
        """Keep a version; ConflictError where it is there already."""
        ...

    def key(self, tenant: str, version: int) -> KeyRow | None: ...

    def latest_key(self, tenant: str) -> KeyRow | None: ...

    def destroy_keys(self, tenant: str) -> None: ...


class TenantKeyRing:
    """The keys of all tenants, unwrapped in memory for a while. Safe from many threads.

    `cache_seconds` is how long this process may go on using a key after another process rotated or destroyed it.
    """

    def __init__(
        self, rows: KeyRows, provider: KeyProvider, clock: Clock | None = None, cache_seconds: float = 60.0
    ) -> None:
        self._rows, self._provider = rows, provider
        self._clock = clock or SystemClock()
        self._cache_seconds = cache_seconds
        self._lock = threading.Lock()
        self._generation = 0
        # Each with the moment until which it may be used.
        self._current: dict[str, tuple[float, int, bytes]] = {}
        self._keys: dict[tuple[str, int], tuple[float, bytes]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def create(self, tenant: str) -> None:
        """Give `tenant` its first key; does nothing where it has one, so it can be repeated after a crash."""
        if self._rows.latest_key(tenant) is None:
            try:
                self._add(tenant, 1)
            except ConflictError:
                if self._rows.latest_key(tenant) is None:
                    raise

    def rotate(self, tenant: str) -> int:
        """Give `tenant` a new key for what is written from now on; returns its version. Old files stay readable.

        Raises UnknownNameError where the tenant has no key, ConflictError where two rotate at once.
        """
        latest = self._rows.latest_key(tenant)
        if latest is None:
            raise _no_key(tenant)
        self._add(tenant, latest.version + 1)
        return latest.version + 1

    def destroy(self, tenant: str) -> None:
        """Destroy every version of the tenant's key. Nothing of the tenant can be read again, by anybody."""
        self._rows.destroy_keys(tenant)
        self._forget(tenant)

    def current(self, tenant: str) -> tuple[int, bytes]:
        """The version and the key to write with; UnknownNameError where the tenant has none (any more)."""
        found = self._current.get(tenant)
        if found is not None and self._clock.monotonic() < found[0]:
            return found[1], found[2]
        generation = self._generation
        row = self._rows.latest_key(tenant)
        if row is None:
            self._forget(tenant)
            raise _no_key(tenant)
        key = self._unwrap(row)
        self._keep(generation, row, key, current=True)
        return row.version, key

    def key(self, tenant: str, version: int) -> bytes:
        """The key of one version; UnknownNameError where it was destroyed or never was."""
        found = self._keys.get((tenant, version))
        if found is not None and self._clock.monotonic() < found[0]:
            return found[1]
        generation = self._generation
        row = self._rows.key(tenant, version)
        if row is None:
            with self._lock:
                self._keys.pop((tenant, version), None)
            raise UnknownNameError("key", f"{tenant}/{version}", remedy="it was destroyed, or never was")
        key = self._unwrap(row)
        self._keep(generation, row, key, current=False)
        return key

    def _add(self, tenant: str, version: int) -> None:
        key = os.urandom(KEY_BYTES)
        self._rows.add_key(tenant, version, self._provider.wrap(key, _context(tenant, version)))
        self._forget(tenant)

    def _unwrap(self, row: KeyRow) -> bytes:
        return self._provider.unwrap(row.wrapped, _context(row.tenant, row.version))

    def _keep(self, generation: int, row: KeyRow, key: bytes, current: bool) -> None:
        until = self._clock.monotonic() + self._cache_seconds
        with self._lock:
            # A row that was read before a key was destroyed must not come back into memory after it.
            if generation == self._generation:
                self._keys[row.tenant, row.version] = until, key
                if current:
                    self._current[row.tenant] = until, row.version, key

    def _forget(self, tenant: str) -> None:
        with self._lock:
            self._generation += 1
            self._current.pop(tenant, None)
            for known in [known for known in self._keys if known[0] == tenant]:
                del self._keys[known]


def _context(tenant: str, version: int) -> dict[str, str]:
    return {"tenant": tenant, "version": str(version)}


def _no_key(tenant: str) -> UnknownNameError:
    return UnknownNameError("key of tenant", tenant, remedy="it was destroyed or never made; register the tenant")
