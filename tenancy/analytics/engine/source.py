"""A tenant's store as queries see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from tenancy.analytics.engine.sharding.shard import Union, united
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage.snapshot import Snapshot
from tenancy.analytics.storage.tenant_store import TenantStore
from tenancy.analytics.types import DatasetKind


class QueriedStore:
    """Lists what a tenant declared; quarantines are reached by name, but are nobody's default."""

    def __init__(self, store: TenantStore) -> None:
        self._store = store

    def datasets(self) -> list[DatasetSchema]:
        """All datasets but quarantines."""
        return [schema for schema in self._store.datasets() if schema.kind is not DatasetKind.QUARANTINE]

    def snapshot(self, name: str) -> AbstractContextManager[Snapshot]:
        return self._store.snapshot(name)


class UnitedStore:
    """The same with the rows of other shards among those of a tenant's own."""

    def __init__(self, store: QueriedStore, union: Union) -> None:
        self._store, self._union = store, union

    def datasets(self) -> list[DatasetSchema]:
        """All datasets but quarantines."""
        return self._store.datasets()

    @contextmanager
    def snapshot(self, name: str) -> Iterator[Snapshot]:
        with self._store.snapshot(name) as own:
            yield united(own, self._union.parts.get(name, ()))
