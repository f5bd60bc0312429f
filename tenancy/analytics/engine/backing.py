"""What lies under every tenant: the catalog, the keys, and the encrypted filesystem, opened from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.security.keys import TenantKeyRing, key_provider
from tenancy.analytics.storage.catalog import Catalog, TenantRecord
from tenancy.analytics.storage.filesystem import EncryptedFileSystem, open_storage


@dataclass(frozen=True, slots=True)
class Backing:
    """Opened once for each process; safe from many threads."""

    catalog: Catalog
    keys: TenantKeyRing
    filesystem: EncryptedFileSystem

    @classmethod
    def open(cls, config: AnalyticsConfig, clock: Clock | None = None) -> Self:
        """What `config` names, made where it is not there yet."""
        catalog = Catalog.open(config.storage, clock or SystemClock())
        try:
            keys = TenantKeyRing(catalog, key_provider(config))
            return cls(catalog, keys, open_storage(config.storage, keys))
        except BaseException:
            catalog.close()
            raise

    def register(self, tenant: str, settings: Mapping[str, Any]) -> TenantRecord:
        """Make a tenant with a key of its own; again with equal settings, nothing changes.

        Raises ConflictError when the tenant has other settings.
        """
        record = self.catalog.create_tenant(tenant, settings)
        # After a crash between the two lines the call is repeated, and finishes.
        self.keys.create(tenant)
        return record

    def erase(self, tenant: str) -> None:
        """End a tenant: fence its owner off, destroy its key, then remove files and rows. Repeatable.

        From the moment the key is gone no copy of the tenant's data can be read, backups included.
        """
        # The tenant itself last: as long as it is there, a repetition finds its shards.
        names = [*self.catalog.shards(tenant), tenant]
        for name in names:
            self.catalog.tenant(name).raise_epoch()
            self.keys.destroy(name)
        for name in names:
            with suppress(FileNotFoundError):  # it may never have written anything
                self.filesystem.rm(f"tenancy://{name}", recursive=True)
            self.catalog.delete_tenant(name)

    def close(self) -> None:
        self.catalog.close()
