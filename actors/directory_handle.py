"""What callers hold of the directory: typed calls that outlive the directory's process."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import ray
from ray import ObjectRef
from ray.actor import ActorHandle, ActorProxy

from actors.answers import answer
from actors.directory_actor import DirectoryActor, DirectoryServant
from actors.placement import HostSight, pauses
from actors.tenant_directory import NAME, Placement, Sleep
from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine.limits import Standing
from tenancy.analytics.errors import CatalogUnavailableError, StaleOwnerError, UnavailableError
from tenancy.analytics.storage.catalog import ShardLayout, TenantRecord

T = TypeVar("T")

_GRACE_S = 5.0
_PART = "the tenant directory"
_FROZEN_S = 7.0
"""A directory whose process says nothing at all for so long is ended; Ray starts it again."""


async def patiently(attempt: Callable[[], Awaitable[T]], patience_s: float, clock: Clock, sleep: Sleep) -> T:
    """What `attempt` gives, repeated while an actor is being replaced, for `patience_s` at most.

    Only errors that say that somebody else must be asked are repeated; every other one is the answer.
    """
    deadline = clock.monotonic() + patience_s
    for pause in pauses():
        try:
            return await attempt()
        except CatalogUnavailableError:
            raise  # another host would not reach it either
        except (UnavailableError, StaleOwnerError):
            if clock.monotonic() + pause >= deadline:
                raise
        # Callers that lost the same host must not come back in step.
        await sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - not a secret
    raise AssertionError("pauses never end")


class DirectoryHandle:
    """The directory of the settings' namespace; it is started where none runs.

    Every method raises UnavailableError when nothing answers for `placement.call_timeout_seconds`.
    """

    def __init__(self, config: AnalyticsConfig, clock: Clock | None = None, sleep: Sleep = asyncio.sleep) -> None:
        self._config = config.anchored()
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._actor: ActorProxy[DirectoryServant] | None = None
        self._answered = False

    async def process_id(self) -> int:
        """Of the process that the directory runs in, on its machine."""
        return await self._ask(lambda directory: directory.process_id.remote())

    async def settings(self) -> AnalyticsConfig:
        """The settings that the directory was started with."""
        return await self._ask(lambda directory: directory.settings.remote())

    async def locate(self, tenant: str, doubted: int | None = None) -> Placement:
        """Where `tenant` is served; see `TenantDirectory.locate`."""
        return await self._ask(lambda directory: directory.locate.remote(tenant, doubted))

    async def register(self, tenant: str, settings: Mapping[str, Any] | None = None) -> TenantRecord:
        """Make a tenant; see `TenantDirectory.register`."""
        return await self._ask(lambda directory: directory.register.remote(tenant, settings))

    async def set_limits(self, tenant: str, limits: Mapping[str, Any]) -> None:
        """Change what a tenant may use, at once; see `TenantDirectory.set_limits`."""
        await self._ask(lambda directory: directory.set_limits.remote(tenant, limits))

    async def standings(self, tenant: str) -> tuple[Standing, ...] | None:
        """How a tenant stands with its limits; None where it is cold."""
        return await self._ask(lambda directory: directory.standings.remote(tenant))

    async def tenants(self, after: str = "", limit: int = 1000) -> list[TenantRecord]:
        """Up to `limit` tenants that sort after `after`."""
        return await self._ask(lambda directory: directory.tenants.remote(after, limit))

    async def delete(self, tenant: str) -> None:
        """End the tenant and make its data unreadable for good; see `TenantDirectory.delete`."""
        await self._ask(lambda directory: directory.delete.remote(tenant))

    async def layouts(self, tenant: str) -> list[ShardLayout]:
        """How a tenant was spread over shards, oldest first; the last layout counts."""
        return await self._ask(lambda directory: directory.layouts.remote(tenant))

    async def reshard(self, tenant: str, shards: int, keys: Mapping[str, str] | None = None) -> ShardLayout:
        """Spread a tenant over another number of shards, live; see `TenantDirectory.reshard`."""
        return await self._ask(lambda directory: directory.reshard.remote(tenant, shards, keys or {}))

    async def hosts(self) -> list[HostSight]:
        """Every running host, looked at now."""
        return await self._ask(lambda directory: directory.hosts.remote())

    async def move(self, tenant: str, target: str) -> Placement:
        """Serve `tenant` from another host, live; see `TenantDirectory.move`."""
        return await self._ask(lambda directory: directory.move.remote(tenant, target))

    async def drain(self, host: str) -> list[str]:
        """End a host, its tenants written out; returns which it had; see `TenantDirectory.drain`."""
        return await self._ask(lambda directory: directory.drain.remote(host))

    async def renew(self, host: str) -> list[str]:
        """Replace the process of a host, live; returns the tenants that moved; see `TenantDirectory.renew`."""
        return await self._ask(lambda directory: directory.renew.remote(host))

    async def replace(self) -> None:
        """End the directory that runs, and start one with the settings of this handle. Callers wait for it."""

        def change() -> ActorProxy[DirectoryServant]:
            with suppress(ValueError):  # where none runs there is none to end
                ray.kill(ray.get_actor(NAME, self._config.placement.namespace), no_restart=True)
            return self._start()

        self._actor, self._answered = await asyncio.to_thread(change), False

    async def sweep(self) -> None:
        """Have the directory's round over the hosts now; it has one every few seconds anyway."""
        await self._ask(lambda directory: directory.sweep.remote())

    async def retire(self, tenant: str, idle_seconds: float = 0.0) -> bool:
        """Let a tenant go cold if it was idle for so long; whether it is cold now."""
        return await self._ask(lambda directory: directory.retire.remote(tenant, idle_seconds))

    async def _ask(self, call: Callable[[ActorProxy[DirectoryServant]], ObjectRef[T]]) -> T:
        patience = self._config.placement.call_timeout_seconds

        async def attempt() -> T:
            if self._actor is None:
                self._actor = await asyncio.to_thread(self._start)
            actor = self._actor
            try:
                # The directory gives up after the same time, and can say why; so it is heard out.
                found = await answer(call(actor), _PART, patience + _GRACE_S, lambda: self._lives(actor))
            except CatalogUnavailableError:
                raise
            except UnavailableError:
                self._actor = None  # by name, whoever is the directory now is found
                raise
            self._answered = True
            return found

        return await patiently(attempt, patience, self._clock, self._sleep)

    async def _lives(self, actor: ActorProxy[DirectoryServant]) -> None:
        """A directory that is frozen is ended, for Ray to start it again. One that was never heard may be starting."""
        if not self._answered:
            return
        try:
            await answer(actor.process_id.remote(), _PART, _FROZEN_S)
        except UnavailableError as error:
            if error.__cause__ is None:  # nothing failed: it just did not answer
                self._answered = False
                assert isinstance(actor, ActorHandle)  # at run time it is always one
                await asyncio.to_thread(ray.kill, actor, no_restart=False)
            raise

    def _start(self) -> ActorProxy[DirectoryServant]:
        options = DirectoryActor.options(
            name=NAME, namespace=self._config.placement.namespace, lifetime="detached", get_if_exists=True
        )
        return options.remote(self._config)
