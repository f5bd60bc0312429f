"""A catalog on each database: every test that asks for `catalog` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tenancy.analytics.storage.catalog import Catalog, DedupRun, IdempotencyRecord, TenantCatalog
from tenancy.analytics.storage.snapshot import ColumnStats, Segment
from tenancy.analytics.testing import ManualClock

NOON = datetime(2025, 7, 15, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/catalog.db"
    url: str = request.getfixturevalue("postgresql_url")
    return url


@pytest.fixture
def catalog(catalog_url: str, clock: ManualClock) -> Iterator[Catalog]:
    opened = Catalog(catalog_url, clock)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def rows(catalog: Catalog) -> TenantCatalog:
    """The rows of a tenant that nobody took over yet."""
    catalog.create_tenant("tenant_001")
    return catalog.tenant("tenant_001")


@pytest.fixture
def segment() -> Callable[..., Segment]:
    """Makes a segment of this id."""

    def make(id: str, dataset: str = "plays", rows: int = 3) -> Segment:
        return Segment(
            id=id,
            url=f"tenancy://tenant_001/{dataset}/segments/{id}.parquet",
            rows=rows,
            bytes=1_000,
            min_time=datetime(2025, 7, 14, 23, 59, 59, 999_999, tzinfo=UTC),
            max_time=None,
            columns={"genre": "string", "duration": "integer"},
            stats={"genre": ColumnStats(1, "a\x00b", "ü"), "duration": ColumnStats(0, -(2**63), 2.5)},
        )

    return make


@pytest.fixture
def remembered() -> Callable[[str], IdempotencyRecord]:
    """Makes an idempotency record of this key."""
    return lambda key: IdempotencyRecord(key, b"\x00" * 32, b"receipts of " + key.encode(), NOON)


@pytest.fixture
def run() -> Callable[..., DedupRun]:
    """Makes a dedup run of this id that ends at this time."""
    return lambda id, end=NOON: DedupRun(id, f"tenancy://tenant_001/plays/ids/{id}.ids", 7, end, end)
