"""The three questions that are not for one tenant: which tenants there are, what is near a name, whose a key is."""

from __future__ import annotations

from sqlalchemy import select

from tenancy.analytics.errors import UnknownNameError, near
from tenancy.analytics.storage.catalog import _rows
from tenancy.analytics.storage.catalog._database import Database
from tenancy.analytics.storage.catalog._scoped import ScopedValue
from tenancy.analytics.storage.catalog._tables import api_keys, tenants
from tenancy.analytics.storage.catalog.values import ApiKeyRow, TenantRecord

NAMES_COMPARED = 10_000
"""Tenants that a mistyped name is compared with."""

_NOT_A_SHARD = tenants.c.tenant.notlike("%~%")
"""The shards of a tenant are nobody's but its own."""


class Directory:
    """Reads across tenants; it changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._epoch = ScopedValue(database, tenants.c.epoch)

    def page(self, after: str, limit: int) -> list[TenantRecord]:
        """Up to `limit` tenants whose name sorts after `after`, in order of name."""
        named = tenants.c.tenant > after, _NOT_A_SHARD
        statement = select(tenants).where(*named).order_by(tenants.c.tenant).limit(limit)
        found = self._database.read(lambda connection: connection.execute(statement).all())
        return [_rows.tenant_record(row) for row in found]

    def shards(self, tenant: str) -> list[str]:
        """The names of the shards of `tenant` but the first."""
        named = tenants.c.tenant > f"{tenant}~", tenants.c.tenant < f"{tenant}\x7f"
        statement = select(tenants.c.tenant).where(*named).order_by(tenants.c.tenant)
        return list(self._database.read(lambda connection: connection.execute(statement).scalars().all()))

    def epoch(self, tenant: str) -> int:
        """The current epoch of `tenant`. Raises UnknownNameError with near matches."""
        known: int | None = self._epoch.of(tenant)
        if known is None:
            raise self.unknown(tenant)
        return known

    def has(self, tenant: str) -> bool:
        return self._epoch.of(tenant) is not None

    def unknown(self, tenant: str) -> UnknownNameError:
        """The error that `tenant` does not exist, naming those it may have been meant to be."""
        statement = select(tenants.c.tenant).where(_NOT_A_SHARD).limit(NAMES_COMPARED)
        names = self._database.read(lambda connection: connection.execute(statement).scalars().all())
        return UnknownNameError("tenant", tenant, near(tenant, names))

    def api_key(self, id: str) -> ApiKeyRow | None:
        """The API key of this id; a caller who shows one has not yet said whose it is."""
        statement = select(api_keys).where(api_keys.c.id == id)
        row = self._database.read(lambda connection: connection.execute(statement).one_or_none())
        return None if row is None else _rows.api_key(row)
