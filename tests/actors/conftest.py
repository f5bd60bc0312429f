"""A registered tenant, served by real actors of this test's own namespace."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.directory_handle import DirectoryHandle
from actors.tenant_handle import TenantHandle
from tenancy.analytics.config import AnalyticsConfig


@pytest.fixture
def config(tmp_path: Path, namespace: str) -> AnalyticsConfig:
    return AnalyticsConfig.load(
        {
            "storage": {"root": str(tmp_path)},
            "placement": {"namespace": namespace, "idle_seconds": 600, "call_timeout_seconds": 60},
        },
        {},
    )


@pytest.fixture
def directory(config: AnalyticsConfig) -> DirectoryHandle:
    return DirectoryHandle(config)


@pytest.fixture
async def tenant(config: AnalyticsConfig, directory: DirectoryHandle) -> TenantHandle:
    await directory.register("tenant_001")
    return TenantHandle("tenant_001", config, directory)
