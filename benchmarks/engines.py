"""A real engine on a folder of its own, as a host has it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources

TENANT = "tenant_001"


@contextmanager
def an_engine(
    settings: Mapping[str, Any] | None = None, tenant_settings: Mapping[str, Any] | None = None
) -> Iterator[AnalyticsEngine]:
    """An engine of a new tenant; its folder goes when it is closed."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        given = {**(settings or {})}
        given["storage"] = {**given.get("storage", {}), "root": folder}
        resources = HostResources.open(AnalyticsConfig.load(given, {}))
        try:
            resources.backing.register(TENANT, tenant_settings or {})
            yield AnalyticsEngine.open(TENANT, resources)
        finally:
            resources.close()
