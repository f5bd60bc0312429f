"""The actor around `TenantDirectory`: detached and named, restarted by Ray when its process ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

import ray
from ray.actor import ActorClass

from actors.placement import HostSight
from actors.tenant_directory import Placement, TenantDirectory
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine.limits import Standing
from tenancy.analytics.storage.catalog import ShardLayout, TenantRecord


class DirectoryServant:
    """`TenantDirectory`, reachable by actor calls, with its sweep running."""

    def __init__(self, config: AnalyticsConfig) -> None:
        self._directory = TenantDirectory(config)
        # Ray makes an asynchronous actor inside its event loop, so the tasks outlive this line.
        loop = asyncio.get_running_loop()
        self._rounds = [
            loop.create_task(each) for each in (self._directory.watch_forever(), self._directory.sweep_forever())
        ]

    @ray.method(concurrency_group="health")
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
    async def set_limits(self, tenant: str, limits: Mapping[str, Any]) -> None:
        await self._directory.set_limits(tenant, limits)

    @ray.method
    async def standings(self, tenant: str) -> tuple[Standing, ...] | None:
        return await self._directory.standings(tenant)

    @ray.method
    async def tenants(self, after: str, limit: int) -> list[TenantRecord]:
        return await self._directory.tenants(after, limit)

    @ray.method
    async def delete(self, tenant: str) -> None:
        await self._directory.delete(tenant)

    @ray.method
    async def layouts(self, tenant: str) -> list[ShardLayout]:
        return await self._directory.layouts(tenant)

    @ray.method
    async def reshard(self, tenant: str, shards: int, keys: Mapping[str, str]) -> ShardLayout:
        return await self._directory.reshard(tenant, shards, keys)

    @ray.method
    async def hosts(self) -> list[HostSight]:
        return await self._directory.hosts()

    @ray.method
    async def move(self, tenant: str, target: str) -> Placement:
        return await self._directory.move(tenant, target)

    @ray.method
    async def drain(self, host: str) -> list[str]:
        return await self._directory.drain(host)

    @ray.method
    async def renew(self, host: str) -> list[str]:
        return await self._directory.renew(host)

    @ray.method
    async def sweep(self) -> None:
        await self._directory.sweep()

    @ray.method
    async def retire(self, tenant: str, idle_seconds: float) -> bool:
        return await self._directory.retire(tenant, idle_seconds)


# Health has a group of its own, so that a directory is not taken for frozen because it is busy.
# Ray's own stubs do not know `concurrency_groups`; the annotation keeps the methods typed.
DirectoryActor: ActorClass[DirectoryServant] = ray.remote(  # type: ignore[call-overload]
    num_cpus=0, max_restarts=-1, concurrency_groups={"health": 4}
)(DirectoryServant)
