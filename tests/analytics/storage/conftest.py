"""A tenant's storage on a local disk: catalog, encrypted files and threads, opened again as often as a test asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from tenancy.analytics.config import StorageConfig
from tenancy.analytics.errors import UnknownNameError
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.storage.catalog import Catalog
from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.storage.segments import read_rows
from tenancy.analytics.storage.store import DatasetStore
from tenancy.analytics.storage.tenant_store import TenantStore
from tenancy.analytics.testing import ManualClock

TENANT = "tenant_001"
WINDOW = timedelta(hours=24)
PLAYS = DatasetSchema(
    name="plays", fields={"song": FieldSpec(type=FieldType.STRING), "duration": FieldSpec(type=FieldType.INTEGER)}
)


class FixedKeys:
    """One key for each tenant, for tests of what lies above the keys."""

    def current(self, tenant: str) -> tuple[int, bytes]:
        return 1, tenant.encode().ljust(32, b"\0")

    def key(self, tenant: str, version: int) -> bytes:
        if version != 1:
            raise UnknownNameError("key", f"{tenant} {version}")
        return self.current(tenant)[1]


@dataclass
class Place:
    """Where one tenant's data is, and how it is taken over."""

    root: Path
    catalog: Catalog
    fs: EncryptedFileSystem
    executor: ThreadPoolExecutor
    clock: ManualClock = field(default_factory=ManualClock)
    schema: DatasetSchema = PLAYS

    def config(self, **settings: Any) -> StorageConfig:
        return StorageConfig(**{"root": str(self.root), "wal_linger_ms": 0, "dead_file_seconds": 0, **settings})

    def take_over(self, **settings: Any) -> TenantStore:
        """A new owner, beside the old one if that still lives."""
        return self.take_over_through(self.fs, self.catalog.tenant(TENANT), **settings)

    def take_over_through(self, fs: Any, rows: Any, **settings: Any) -> TenantStore:
        config = self.config(**settings)
        return TenantStore.open(TENANT, rows, fs, config, WINDOW, self.clock, self.executor)

    def plays(self, **settings: Any) -> DatasetStore:
        """The one dataset most tests need, of a new owner."""
        return self.take_over(**settings).create(self.schema)

    def events(self, ids: list[str], minutes: list[int] | None = None) -> pa.Table:
        """Rows of `plays`, `minutes` after the clock's time."""
        now = self.clock.now()
        times = [now + timedelta(minutes=m) for m in minutes or [0] * len(ids)]
        return pa.table(
            {
                "event_id": ids,
                "event_time": pa.array(times, pa.timestamp("us", "UTC")),
                "ingest_time": pa.array([now] * len(ids), pa.timestamp("us", "UTC")),
                "song": [f"song {id}" for id in ids],
                "duration": list(range(len(ids))),
            }
        )

    def ids(self, store: DatasetStore) -> list[str]:
        """The event ids a query would see now, from segments and buffer alike."""
        with store.snapshot() as snapshot:
            stored = read_rows(self.fs, snapshot.segments, snapshot.schema)
            assert stored.num_rows + snapshot.buffer.num_rows == snapshot.rows
            return [*stored["event_id"].to_pylist(), *snapshot.buffer["event_id"].to_pylist()]

    def files(self, folder: str) -> list[str]:
        """Names of the files in a folder of the dataset."""
        where = f"tenancy://{TENANT}/{self.schema.name}/{folder}"
        return sorted(n.rpartition("/")[2] for n in self.fs.ls(where, detail=False)) if self.fs.exists(where) else []


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty catalog, for tests to copy: migrating one takes longer than most of them."""
    root = tmp_path_factory.mktemp("migrated")
    Catalog.open(StorageConfig(root=str(root))).close()
    return root / "catalog.db"


@pytest.fixture
def new_place(tmp_path: Path, migrated: Path) -> Iterator[Callable[[], Place]]:
    """Makes places, each of its own; for tests that need many."""
    made: list[Place] = []

    def make() -> Place:
        root = tmp_path / f"place-{len(made)}"
        root.mkdir()
        (root / "catalog.db").write_bytes(migrated.read_bytes())
        clock = ManualClock()
        catalog = Catalog(f"sqlite:///{root}/catalog.db", clock)
        catalog.create_tenant(TENANT)
        fs = EncryptedFileSystem(LocalFileSystem(), str(root), FixedKeys())
        made.append(Place(root, catalog, fs, ThreadPoolExecutor(4), clock))
        return made[-1]

    yield make
    for place in made:
        place.executor.shutdown()
        place.catalog.close()


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    return new_place()
