"""The hosts that run, as the directory works with them: started, looked at, asked to open tenants, ended."""

from __future__ import annotations

import asyncio
from typing import Protocol, TypeAlias

import ray
from ray.actor import ActorHandle, ActorProxy
from ray.util import list_named_actors

from actors.answers import answer
from actors.placement import HostCondition, HostSight
from actors.tenant_actor import TenantActor, TenantServant
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine.limits import Standing
from tenancy.analytics.errors import UnavailableError

TenantHostActor: TypeAlias = ActorProxy[TenantServant]

PREFIX = "host:"


class Fleet(Protocol):
    """What the directory needs of the machinery that runs hosts. Every call but `look` may raise UnavailableError."""

    async def start(self, name: str) -> TenantHostActor:
        """The running host of that name, or a new one: there is one at most."""
        ...

    async def find(self, name: str) -> TenantHostActor | None:
        """The host of that name, however it is; None where there is none."""
        ...

    async def up(self, name: str, host: TenantHostActor) -> HostSight:
        """How a host is that may just have been started; waits until it can tell."""
        ...

    async def beat(self, name: str, host: TenantHostActor) -> None:
        """Returns when the host answers; UnavailableError when it is dead, or silent for too long."""
        ...

    async def look(self, name: str, host: TenantHostActor) -> HostSight:
        """How the host is. Never raises."""
        ...

    async def serves(self, name: str, host: TenantHostActor, tenant: str) -> int | None:
        """Under which epoch the host serves a tenant; None where it does not."""
        ...

    async def open(self, name: str, host: TenantHostActor, tenant: str) -> int:
        """Let it take a tenant over; returns the epoch."""
        ...

    async def release(self, name: str, host: TenantHostActor, tenant: str) -> None:
        """Let it write everything of a tenant out and let the tenant go."""
        ...

    async def read_limits(self, name: str, host: TenantHostActor, tenant: str) -> None:
        """Let it take over what the catalog says a tenant may use, if it serves the tenant."""
        ...

    async def standings(self, name: str, host: TenantHostActor, tenant: str) -> tuple[Standing, ...] | None:
        """How a tenant stands with its limits, its accounts settled; None where it is not served there."""
        ...

    async def retire(self, name: str, host: TenantHostActor, idle_seconds: float) -> list[str]:
        """Let its tenants go cold that were idle for so long; returns which."""
        ...

    async def drain(self, name: str, host: TenantHostActor) -> list[str]:
        """Let all its tenants go, and take none any more; returns which."""
        ...

    async def drain_if_empty(self, name: str, host: TenantHostActor) -> bool:
        """Let it take no tenant any more, if it has none; whether that is so."""
        ...

    async def end(self, host: TenantHostActor) -> None:
        """End its process at once."""
        ...

    async def running(self) -> list[str]:
        """The names of the hosts there are, whoever started them."""
        ...

    async def cores(self) -> int:
        """Cores of all nodes together."""
        ...


class RayFleet:
    """Hosts as detached, named Ray actors: they outlive the directory, and a new directory finds them by name."""

    def __init__(self, config: AnalyticsConfig) -> None:
        self._config = config
        self._namespace = config.placement.namespace
        self._patience_s = config.placement.call_timeout_seconds
        self._silence_s = config.placement.silence_seconds

    async def start(self, name: str) -> TenantHostActor:
        options = TenantActor.options(
            name=PREFIX + name,
            namespace=self._namespace,
            lifetime="detached",
            get_if_exists=True,
            scheduling_strategy="SPREAD",
        )
        return await asyncio.to_thread(options.remote, name, self._config)

    async def find(self, name: str) -> TenantHostActor | None:
        try:
            return await asyncio.to_thread(ray.get_actor, PREFIX + name, self._namespace)
        except ValueError:
            return None

    async def up(self, name: str, host: TenantHostActor) -> HostSight:
        return (await answer(host.status.remote(), _part(name), self._patience_s)).sight

    async def beat(self, name: str, host: TenantHostActor) -> None:
        await answer(host.beat.remote(), _part(name), self._silence_s)

    async def look(self, name: str, host: TenantHostActor) -> HostSight:
        try:
            return (await answer(host.status.remote(), _part(name), self._silence_s)).sight
        except UnavailableError as error:
            silent = error.__cause__ is None  # nothing failed: it just did not answer
            return HostSight(name, HostCondition.SILENT if silent else HostCondition.DEAD, why=error.reason)

    async def serves(self, name: str, host: TenantHostActor, tenant: str) -> int | None:
        return await answer(host.serves.remote(tenant), _part(name), self._silence_s)

    async def open(self, name: str, host: TenantHostActor, tenant: str) -> int:
        return await answer(host.open.remote(tenant), _part(name), self._patience_s)

    async def release(self, name: str, host: TenantHostActor, tenant: str) -> None:
        await answer(host.release.remote(tenant), _part(name), self._patience_s)

    async def read_limits(self, name: str, host: TenantHostActor, tenant: str) -> None:
        await answer(host.read_limits.remote(tenant), _part(name), self._silence_s)

    async def standings(self, name: str, host: TenantHostActor, tenant: str) -> tuple[Standing, ...] | None:
        return await answer(host.standings.remote(tenant), _part(name), self._silence_s)

    async def retire(self, name: str, host: TenantHostActor, idle_seconds: float) -> list[str]:
        return await answer(host.retire.remote(idle_seconds), _part(name), self._patience_s)

    async def drain(self, name: str, host: TenantHostActor) -> list[str]:
        return await answer(host.drain.remote(), _part(name), self._patience_s)

    async def drain_if_empty(self, name: str, host: TenantHostActor) -> bool:
        return await answer(host.drain_if_empty.remote(), _part(name), self._patience_s)

    async def end(self, host: TenantHostActor) -> None:
        assert isinstance(host, ActorHandle)  # at run time it is always one
        await asyncio.to_thread(ray.kill, host, no_restart=True)

    async def running(self) -> list[str]:
        named = await asyncio.to_thread(list_named_actors, all_namespaces=True)
        mine = (actor["name"] for actor in named if actor["namespace"] == self._namespace)
        return sorted(name.removeprefix(PREFIX) for name in mine if name.startswith(PREFIX))

    async def cores(self) -> int:
        resources = await asyncio.to_thread(ray.cluster_resources)
        return max(1, int(resources.get("CPU", 1)))


def _part(name: str) -> str:
    return f"host {name!r}"
