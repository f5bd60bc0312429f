"""Who serves whom: finds the host of a tenant, starts one where there is none, and lets idle tenants go cold."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ray.exceptions import RayError

from actors.fleet import Fleet, RayFleet, TenantHostActor
from actors.placement import Condition, Setback, Sight, Step, may_retire, set_back, when_asked
from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import Backing, TenantConfig
from tenancy.analytics.errors import AnalyticsError, UnavailableError
from tenancy.analytics.storage.catalog import TenantRecord
from tenancy.analytics.types import tenant_id

NAME = "directory"

Sleep = Callable[[float], Awaitable[None]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a tenant is served, and under which epoch."""

    tenant: str
    epoch: int
    host: TenantHostActor


class TenantDirectory:
    """Maps tenants to hosts. Its truth is the catalog and the names of running actors, so it may die at any time.

    What it keeps in memory is a shortcut only: a new directory finds every host by name. Two owners can never
    both acknowledge: names are unique, and an owner whose epoch is over can commit nothing.
    """

    def __init__(
        self,
        config: AnalyticsConfig,
        backing: Backing | None = None,
        fleet: Fleet | None = None,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._config = config
        self._clock = clock or SystemClock()
        self._backing = backing or Backing.open(config, self._clock)
        self._fleet = fleet or RayFleet(config)
        self._sleep = sleep
        self._placements: dict[str, Placement] = {}
        self._setbacks: dict[str, Setback] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._users: defaultdict[str, int] = defaultdict(int)

    async def settings(self) -> AnalyticsConfig:
        """The settings this directory was started with, which are those of every host it starts."""
        return self._config

    async def locate(self, tenant: str, doubted: int | None) -> Placement:
        """Where `tenant` is served. `doubted` is the epoch of a placement that did not answer.

        However many callers ask, one host is started, and while hosts of the tenant fail, ever more rarely.
        Raises UnknownNameError with near matches, and UnavailableError, saying why the last host failed, when
        none could be brought up within `placement.call_timeout_seconds` or no other one may start until then.
        """
        # Counted from here, so that callers who gave up while they waited in line do not start hosts for nobody.
        deadline = self._clock.monotonic() + self._config.placement.call_timeout_seconds
        known = self._placements.get(tenant)
        if known is not None and (doubted is None or known.epoch > doubted):
            return known
        async with self._alone(tenant):
            known = self._placements.get(tenant)
            if known is not None and (doubted is None or known.epoch > doubted):
                return known
            placement = await self._place(tenant, deadline)
            self._placements[tenant] = placement
            self._setbacks.pop(tenant, None)
            return placement

    async def register(self, tenant: str, settings: Mapping[str, Any] | None) -> TenantRecord:
        """Make a tenant, with a key of its own. Again with equal settings it is the same tenant.

        Raises InvalidRequestError for a name no tenant may have, ConfigurationError for settings that are not
        right, ConflictError when the tenant has other settings.
        """
        checked = TenantConfig.load(settings).settings()
        return await asyncio.to_thread(self._backing.register, tenant_id(tenant), checked)

    async def tenants(self, after: str, limit: int) -> list[TenantRecord]:
        """Up to `limit` tenants that sort after `after`."""
        return await asyncio.to_thread(self._backing.catalog.tenants, after, limit)

    async def delete(self, tenant: str) -> None:
        """End the tenant: its host, its key (so that no copy of its data can be read), its rows, its files."""
        async with self._alone(tenant):
            await asyncio.to_thread(self._backing.catalog.tenant, tenant)  # raises where there is none
            self._placements.pop(tenant, None)
            self._setbacks.pop(tenant, None)
            if tenant in await self._fleet.running():
                await self._fleet.end(await self._fleet.start(tenant))
            await asyncio.to_thread(self._backing.erase, tenant)

    async def sights(self) -> dict[str, Sight]:
        """Every running host by tenant."""
        tenants = await self._fleet.running()
        hosts = [await self._fleet.start(tenant) for tenant in tenants]
        seen = await asyncio.gather(*map(self._fleet.look, tenants, hosts))
        return dict(zip(tenants, seen, strict=True))

    async def retire(self, tenant: str, idle_seconds: float) -> bool:
        """Let `tenant` go cold if it was idle for so long; whether it is cold now."""
        async with self._alone(tenant):
            if tenant not in await self._fleet.running():
                self._placements.pop(tenant, None)
                return True
            host = await self._fleet.start(tenant)
            sight = await self._fleet.look(tenant, host)
            if not may_retire(sight, idle_seconds):
                return False
            # A host that is idle decides itself, at the moment it refuses new calls; one that is over is ended.
            working = sight.condition is Condition.SERVING or sight.condition is Condition.NEW
            if working and not await self._fleet.retire(tenant, host, idle_seconds):
                return False
            self._placements.pop(tenant, None)
            await self._fleet.end(host)
            return True

    async def sweep(self) -> int:
        """Retire every tenant that is idle; returns how many went cold."""
        idle = self._config.placement.idle_seconds
        found = [tenant for tenant, sight in (await self.sights()).items() if may_retire(sight, idle)]
        return sum(await asyncio.gather(*(self.retire(tenant, idle) for tenant in found)))

    async def sweep_forever(self) -> None:
        """`sweep`, four times in `placement.idle_seconds` and at least every half minute."""
        while True:
            await asyncio.sleep(min(self._config.placement.idle_seconds / 4, 30.0))
            try:
                await self.sweep()
            except (AnalyticsError, RayError):
                _log.warning("idle tenants could not be retired; the next sweep tries again", exc_info=True)

    async def _place(self, tenant: str, deadline: float) -> Placement:
        rows = await asyncio.to_thread(self._backing.catalog.tenant, tenant)
        while True:
            await self._turn(tenant, deadline)
            host = await self._fleet.start(tenant)
            sight = await self._fleet.look(tenant, host)
            before = self._setbacks.get(tenant)
            match when_asked(sight, await asyncio.to_thread(rows.epoch)):
                case Step.SERVE:
                    assert sight.epoch is not None
                    return Placement(tenant, sight.epoch, host)
                case Step.OPEN:
                    try:
                        return Placement(tenant, await self._fleet.open(tenant, host), host)
                    except UnavailableError as error:
                        why = error.reason
                case Step.REPLACE:
                    why = sight.why or (before.why if before else f"its host was {sight.condition}")
                    await self._fleet.end(host)
            self._setbacks[tenant] = set_back(before, why, self._clock.monotonic())

    async def _turn(self, tenant: str, deadline: float) -> None:
        """Wait until a host of `tenant` may be started. Raises UnavailableError when that is after `deadline`."""
        setback = self._setbacks.get(tenant)
        now = self._clock.monotonic()
        if max(now, setback.not_before if setback else now) > deadline:
            why = setback.why if setback else "none could be started in time"
            raise UnavailableError(f"the host of tenant {tenant!r}", why)
        if setback is not None:
            await self._sleep(max(0.0, setback.not_before - now))

    @asynccontextmanager
    async def _alone(self, tenant: str) -> AsyncIterator[None]:
        """One at a time for each tenant; the lock is forgotten with its last user."""
        self._users[tenant] += 1
        try:
            async with self._locks[tenant]:
                yield
        finally:
            self._users[tenant] -= 1
            if not self._users[tenant]:
                del self._users[tenant], self._locks[tenant]
