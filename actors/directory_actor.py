"""The actor around `TenantDirectory`: detached and named, restarted by Ray when its process ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import ray

from actors.placement import Sight
from actors.tenant_directory import Placement, TenantDirectory
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.storage.catalog import TenantRecord


class DirectoryServant:
    """`TenantDirectory`, reachable by actor calls, with its sweep running."""

    def __init__(self, config: AnalyticsConfig) -> None:
        self._directory = TenantDirectory(config)
        # Ray makes an asynchronous actor inside its event loop, so the task outlives this line.
        self._sweep = asyncio.get_running_loop().create_task(self._directory.sweep_forever())

    @ray.method
    async def process_id(self) -> int:
        return os.getpid()

    @ray.method
    async def settings(self) -> AnalyticsConfig:
        return await self._directory.settings()

    @ray.method
    async def locate(self, tenant: str, doubted: int | None) -> Placement:
        return await self._directory.locate(tenant, doubted)

    @ray.method
    async def register(self, tenant: str, settings: Mapping[str, Any] | None) -> TenantRecord:
        return await self._directory.register(tenant, settings)

    @ray.method
    async def tenants(self, after: str, limit: int) -> list[TenantRecord]:
        return await self._directory.tenants(after, limit)

    @ray.method
    async def delete(self, tenant: str) -> None:
        await self._directory.delete(tenant)

    @ray.method
    async def sights(self) -> dict[str, Sight]:
        return await self._directory.sights()

    @ray.method
    async def retire(self, tenant: str, idle_seconds: float) -> bool:
        return await self._directory.retire(tenant, idle_seconds)


DirectoryActor = ray.remote(num_cpus=0, max_restarts=-1)(DirectoryServant)
