"""A catalog with two tenants, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tenancy.analytics.config import StorageConfig
from tenancy.analytics.storage.catalog import Catalog
from tenancy.analytics.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def catalog(tmp_path: Path, clock: ManualClock) -> Iterator[Catalog]:
    catalog = Catalog.open(StorageConfig(root=str(tmp_path)), clock)
    catalog.create_tenant("tenant_001")
    catalog.create_tenant("tenant_002")
    yield catalog
    catalog.close()
