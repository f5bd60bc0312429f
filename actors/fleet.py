"""The hosts that run, as the directory works with them: started, looked at, opened, retired, ended."""

from __future__ import annotations

import asyncio
from typing import Protocol, TypeAlias

import ray
from ray.actor import ActorHandle, ActorProxy
from ray.util import list_named_actors

from actors.answers import answer
from actors.placement import Condition, Sight
from actors.tenant_actor import TenantActor, TenantServant
from actors.tenant_host import HostStatus
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.errors import UnavailableError

TenantHostActor: TypeAlias = ActorProxy[TenantServant]

PREFIX = "tenant:"
LOOK_S = 5.0
"""A host that does not say how it is for so long is silent."""


class Fleet(Protocol):
    """What the directory needs of the machinery that runs hosts."""

    async def start(self, tenant: str) -> TenantHostActor:
        """The running host of `tenant`, or a new one: there is one at most by that name."""
        ...

    async def look(self, tenant: str, host: TenantHostActor) -> Sight:
        """How the host is. Never raises."""
        ...

    async def open(self, tenant: str, host: TenantHostActor) -> int:
        """Let it take its tenant over; returns the epoch. UnavailableError when it died meanwhile."""
        ...

    async def retire(self, tenant: str, host: TenantHostActor, idle_seconds: float) -> bool:
        """Let its tenant go cold if it is idle still."""
        ...

    async def end(self, host: TenantHostActor) -> None:
        """End its process at once."""
        ...

    async def running(self) -> list[str]:
        """The tenants that have a host, whoever started it."""
        ...


class RayFleet:
    """Hosts as detached, named Ray actors: they outlive the directory, and a new directory finds them by name."""

    def __init__(self, config: AnalyticsConfig) -> None:
        self._config = config
        self._namespace = config.placement.namespace
        self._patience_s = config.placement.call_timeout_seconds

    async def start(self, tenant: str) -> TenantHostActor:
        options = TenantActor.options(
            name=PREFIX + tenant, namespace=self._namespace, lifetime="detached", get_if_exists=True
        )
        return await asyncio.to_thread(options.remote, tenant, self._config)

    async def look(self, tenant: str, host: TenantHostActor) -> Sight:
        try:
            return (await self.status(tenant, host)).sight
        except UnavailableError as error:
            silent = error.__cause__ is None  # nothing failed: it just did not answer
            return Sight(Condition.SILENT if silent else Condition.DEAD, why=error.reason)

    async def status(self, tenant: str, host: TenantHostActor) -> HostStatus:
        """How the host sees itself. UnavailableError when it cannot say."""
        return await answer(host.status.remote(), _part(tenant), LOOK_S)

    async def open(self, tenant: str, host: TenantHostActor) -> int:
        return await answer(host.open.remote(), _part(tenant), self._patience_s)

    async def retire(self, tenant: str, host: TenantHostActor, idle_seconds: float) -> bool:
        return await answer(host.retire.remote(idle_seconds), _part(tenant), self._patience_s)

    async def end(self, host: TenantHostActor) -> None:
        assert isinstance(host, ActorHandle)  # at run time it is always one
        await asyncio.to_thread(ray.kill, host, no_restart=True)

    async def running(self) -> list[str]:
        named = await asyncio.to_thread(list_named_actors, all_namespaces=True)
        mine = (actor["name"] for actor in named if actor["namespace"] == self._namespace)
        return [name.removeprefix(PREFIX) for name in mine if name.startswith(PREFIX)]


def _part(tenant: str) -> str:
    return f"the host of tenant {tenant!r}"
