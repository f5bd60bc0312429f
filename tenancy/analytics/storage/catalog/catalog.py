"""The whole catalog: which tenants there are, their keys, and the way to the rows of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

from sqlalchemy import URL

from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.config import StorageConfig
from tenancy.analytics.errors import ConfigurationError, ConflictError, InvalidRequestError
from tenancy.analytics.storage.catalog import _rows, _shards
from tenancy.analytics.storage.catalog._database import Database
from tenancy.analytics.storage.catalog._directory import Directory
from tenancy.analytics.storage.catalog._migrate import migrate
from tenancy.analytics.storage.catalog._scoped import Scoped, ScopedValue, TenantRows
from tenancy.analytics.storage.catalog._tables import (
    api_keys,
    idempotency_keys,
    metadata,
    tenant_keys,
    tenants,
    tombstones,
)
from tenancy.analytics.storage.catalog.tenant_catalog import TenantCatalog
from tenancy.analytics.storage.catalog.values import EVERY_TENANT, ApiKeyRow, KeyRow, ShardLayout, TenantRecord
from tenancy.analytics.types import stored_id

FILE_NAME = "catalog.db"
"""The SQLite database below `storage.root`, where no URL is given."""


class Catalog:
    """The SQL database behind everything stored; used from any thread and from several processes at once.

    >>> import tempfile
    >>> catalog = Catalog.open(StorageConfig(root=tempfile.mkdtemp()))
    >>> catalog.create_tenant("tenant_001").epoch
    0
    >>> catalog.tenant("tenant_001").raise_epoch()
    1
    >>> catalog.tenant("tenant_01")
    Traceback (most recent call last):
    tenancy.analytics.errors.UnknownNameError: unknown tenant 'tenant_01'; did you mean 'tenant_001'?
    >>> catalog.close()

    `url` is `sqlite:////path/catalog.db` or `postgresql://user@host/database`; ConfigurationError for any
    other. Every method may raise UnavailableError (locked, out of reach) or StorageFullError.
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._database = Database(url)
        self._directory = Directory(self._database)
        self._answered = ScopedValue(
            self._database, idempotency_keys.c.created_at, by=(idempotency_keys.c.dataset, idempotency_keys.c.key)
        )

    @classmethod
    def open(cls, config: StorageConfig, clock: Clock | None = None) -> Self:
        """The catalog that `config` names, brought up to this version's tables."""
        catalog = cls(_url(config), clock)
        try:
            catalog.migrate()
        except BaseException:
            catalog.close()
            raise
        return catalog

    def migrate(self) -> None:
        """Bring the tables up to this version; does nothing where they are. Safe from many processes at once."""
        migrate(self._database)

    def probe(self) -> None:
        """Write nothing, the way everything is written: returns when a transaction that writes was committed."""
        self._rows(EVERY_TENANT).write(lambda scoped: scoped.delete(tenant_keys))  # of no tenant, so there is none

    def clock_skew_s(self) -> float:
        """Seconds that the clock of the database's server is ahead of this one's; 0 for SQLite, which has none."""
        return self._database.clock_skew_s(self._clock.now())

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def create_tenant(self, tenant: str, settings: Mapping[str, Any] = MappingProxyType({})) -> TenantRecord:
        """Register `tenant`; again with the same settings changes nothing. ConflictError with other settings."""
        try:
            text = _rows.document(dict(settings))
        except TypeError as error:
            raise InvalidRequestError("tenant settings", dict(settings), f"use what JSON can hold ({error})") from error
        now = _rows.micros(self._clock.now())

        def work(scoped: Scoped) -> TenantRecord:
            before = scoped.first(tombstones)
            epoch = 0 if before is None else before.epoch
            scoped.insert(tenants, [{"settings": text, "epoch": epoch, "created_at": now}], existing="keep")
            (kept,) = scoped.select(tenants)
            if kept.settings != text:
                raise ConflictError(f"tenant {tenant!r} exists with other settings", "delete it first, or leave it")
            return _rows.tenant_record(kept)

        return self._rows(stored_id(tenant)).write(work)

    def tenants(self, after: str = "", limit: int = 1000) -> list[TenantRecord]:
        """Up to `limit` tenants that sort after `after`, in order of name."""
        return self._directory.page(after, limit)

    def has_tenant(self, tenant: str) -> bool:
        return self._directory.has(tenant)

    def tenant(self, tenant: str) -> TenantCatalog:
        """The rows of `tenant`. Cheap: one fast read. Raises UnknownNameError with near matches."""
        self._directory.epoch(tenant)
        return TenantCatalog(self._rows(tenant), self._directory.epoch, self._answered, self._clock)

    def delete_tenant(self, tenant: str) -> None:
        """Remove the rows of `tenant` from every table but its last epoch. Nothing to do is no error."""

        def work(scoped: Scoped) -> None:
            # Held first, as every writer does, so that nobody adds rows while they are being removed.
            row = scoped.first(tenants, lock=True)
            if row is not None:
                scoped.insert(tombstones, [{"epoch": row.epoch}], existing="replace")
            for table in reversed(metadata.sorted_tables):
                if table is not tombstones:
                    scoped.delete(table)

        self._rows(stored_id(tenant)).write(work)
        self._database.scrub()

    # Shards of tenants.

    def shards(self, tenant: str) -> list[str]:
        """What the shards of `tenant` beyond the first are called that were ever made, in order of name."""
        return self._directory.shards(tenant)

    def layouts(self, tenant: str) -> list[ShardLayout]:
        """Every layout that `tenant` has had, oldest first; the last one counts."""
        return self._rows(tenant).read(_shards.layouts)

    def change_layout(
        self, tenant: str, layout: ShardLayout, epochs: Mapping[str, int], runs: _shards.CopiedRuns
    ) -> None:
        """Make `layout` the one that counts; see `_shards.change`."""
        now = self._clock.now()
        self._database.write(lambda connection: _shards.change(connection, tenant, layout, epochs, runs, now))

    # Keys of tenants, for `security.keys`.

    def add_key(self, tenant: str, version: int, wrapped: bytes) -> None:
        """Keep one version of the tenant's wrapped key. ConflictError where this version is there already."""
        row = {"version": version, "wrapped": wrapped, "created_at": _rows.micros(self._clock.now())}

        def work(scoped: Scoped) -> None:
            if scoped.first(tenants, lock=True) is None:
                raise self._directory.unknown(tenant)
            if scoped.first(tenant_keys, tenant_keys.c.version == version) is not None:
                raise ConflictError(f"tenant {tenant!r} has a key of version {version}", "read the latest key again")
            scoped.insert(tenant_keys, [row])

        self._rows(tenant).write(work)

    def key(self, tenant: str, version: int) -> KeyRow | None:
        """One version of the tenant's wrapped key."""
        row = self._rows(tenant).read(lambda scoped: scoped.first(tenant_keys, tenant_keys.c.version == version))
        return None if row is None else _rows.key_row(row)

    def latest_key(self, tenant: str) -> KeyRow | None:
        """The newest version of the tenant's wrapped key."""
        newest = [tenant_keys.c.version.desc()]
        row = self._rows(tenant).read(lambda scoped: scoped.first(tenant_keys, order_by=newest))
        return None if row is None else _rows.key_row(row)

    def destroy_keys(self, tenant: str) -> None:
        """Remove every version of the tenant's key: what was encrypted under them can never be read again."""
        self._rows(tenant).write(lambda scoped: scoped.delete(tenant_keys))
        self._database.scrub()

    # API keys, for `security.api_keys`.

    def add_api_key(self, key: ApiKeyRow) -> None:
        """Keep an API key. UnknownNameError where its tenant does not exist, ConflictError where its id does."""

        def work(scoped: Scoped) -> None:
            if key.tenant != EVERY_TENANT and scoped.first(tenants, lock=True) is None:
                raise self._directory.unknown(key.tenant)
            scoped.insert(api_keys, [_rows.api_key_values(key)])

        self._rows(key.tenant).write(work)

    def api_key(self, id: str) -> ApiKeyRow | None:
        """The API key of this id, revoked or not."""
        return self._directory.api_key(id)

    def api_keys(self, tenant: str) -> list[ApiKeyRow]:
        """The API keys of `tenant` (`EVERY_TENANT` for those of operators), oldest first."""
        order = [api_keys.c.created_at, api_keys.c.id]
        return [
            _rows.api_key(row)
            for row in self._rows(tenant).read(lambda scoped: scoped.select(api_keys, order_by=order))
        ]

    def revoke_api_key(self, tenant: str, id: str) -> bool:
        """Revoke a key of `tenant`; whether there was one to revoke."""
        now = {"revoked_at": _rows.micros(self._clock.now())}
        return bool(
            self._rows(tenant).write(
                lambda scoped: scoped.update(api_keys, now, api_keys.c.id == id, api_keys.c.revoked_at.is_(None))
            )
        )

    def _rows(self, tenant: str) -> TenantRows:
        return TenantRows(self._database, tenant)


def _url(config: StorageConfig) -> str:
    if config.catalog_url is not None:
        return config.catalog_url.get_secret_value()
    root = config.root.removeprefix("file://")
    if "://" in root:
        raise ConfigurationError(
            "storage.catalog_url", None, f"name a database, since SQLite cannot be kept at {config.root!r}"
        )
    # Absolute, so that it stays the same file when the process changes its folder.
    return URL.create("sqlite", database=str(Path(root).absolute() / FILE_NAME)).render_as_string()
