"""Who serves whom: finds the host of a tenant, places cold tenants, moves warm ones, and replaces hosts that fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

from ray.exceptions import RayError

from actors.fleet import Fleet, RayFleet, TenantHostActor
from actors.placement import (
    End,
    History,
    HostCondition,
    HostSight,
    Move,
    Rules,
    Setback,
    Start,
    Step,
    TenantSight,
    dedicated_to,
    free_name,
    host_for,
    rebalance,
    set_back,
)
from actors.turns import Turns
from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import Backing, TenantConfig
from tenancy.analytics.engine.limits import Standing, TenantLimits
from tenancy.analytics.engine.sharding.resharding import members, reshard
from tenancy.analytics.errors import AnalyticsError, UnavailableError, UnknownNameError
from tenancy.analytics.storage.catalog import ShardLayout, TenantCatalog, TenantRecord
from tenancy.analytics.types import tenant_id

NAME = "directory"

Sleep = Callable[[float], Awaitable[None]]

_BEAT_S = 0.5
"""How often every host is asked whether it lives."""
_MOST_SWEEP_S = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a tenant is served, and under which epoch."""

    tenant: str
    epoch: int
    name: str
    """Of the host."""
    host: TenantHostActor


class TenantDirectory:
    """Maps tenants to hosts. Its truth is the catalog and the names of running actors, so it may die at any time.

    What it keeps in memory is a shortcut only: the catalog names the host that took a tenant over last, and a new
    directory asks that host. Two owners can never both acknowledge: an owner whose epoch is over can commit nothing.
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
        self._hosts: dict[str, TenantHostActor] = {}
        """Those that have answered; a host that is still starting is in none of the rounds."""
        self._sights: dict[str, HostSight] = {}
        self._setbacks: dict[str, Setback] = {}
        self._history = History()
        self._cores = 1
        self._turns = Turns(1)
        self._found: asyncio.Task[None] | None = None

    async def settings(self) -> AnalyticsConfig:
        """The settings this directory was started with, which are those of every host it starts."""
        return self._config

    async def locate(self, tenant: str, doubted: int | None) -> Placement:
        """Where `tenant` is served. `doubted` is the epoch of a placement that did not answer.

        However many callers ask, the tenant is opened once, and hosts that fail are started ever more rarely.
        Raises UnknownNameError with near matches, and UnavailableError, saying why the last host failed, when
        the tenant could not be opened within `placement.call_timeout_seconds`.
        """
        # Counted from here, so that callers who gave up while they waited in line do not start hosts for nobody.
        deadline = self._clock.monotonic() + self._config.placement.call_timeout_seconds
        known = self._placements.get(tenant)
        if known is not None and (doubted is None or known.epoch > doubted):
            return known
        await self._acquainted()
        async with self._turns.of(tenant):
            known = self._placements.get(tenant)
            if known is not None and (doubted is None or known.epoch > doubted):
                return known
            self._placements.pop(tenant, None)
            placement = await self._place(tenant, deadline)
            self._keep(placement)
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

    async def set_limits(self, tenant: str, limits: Mapping[str, Any]) -> None:
        """Let a tenant use this much from now on, in place of what it was registered with; its host takes it at once.

        Raises ConfigurationError for limits that are not right, and UnavailableError when the tenant's host does
        not answer: then they are kept, but may not hold yet, and the call is to be repeated.
        """
        checked = TenantLimits.load(limits).given()
        await self._acquainted()
        async with self._turns.of(tenant):  # who opens the tenant after this reads the new ones
            for shard in (tenant, *await asyncio.to_thread(self._backing.catalog.shards, tenant)):
                rows = await asyncio.to_thread(self._backing.catalog.tenant, shard)
                await asyncio.to_thread(rows.set_limits, checked)
                name, host = await self._owner(rows)
                if host is not None:
                    await self._fleet.read_limits(name, host, shard)

    async def standings(self, tenant: str) -> tuple[Standing, ...] | None:
        """How a tenant stands with its limits, its accounts settled up to now; None where it is cold."""
        await self._acquainted()
        name, host = await self._owner(await asyncio.to_thread(self._backing.catalog.tenant, tenant))
        return None if host is None else await self._fleet.standings(name, host, tenant)

    async def delete(self, tenant: str) -> None:
        """End the tenant and its shards: the keys (so that no copy of the data can be read), the rows, the files."""
        async with self._turns.of(tenant):
            await asyncio.to_thread(self._backing.catalog.tenant, tenant)  # raises where there is none
            owners = {}
            for shard in (tenant, *await asyncio.to_thread(self._backing.catalog.shards, tenant)):
                rows = await asyncio.to_thread(self._backing.catalog.tenant, shard)
                owners[shard] = (await asyncio.to_thread(rows.record)).owner
                self._placements.pop(shard, None)
            await asyncio.to_thread(self._backing.erase, tenant)
            for shard, name in owners.items():
                owner = self._hosts.get(name)
                if owner is not None:
                    try:  # it is fenced off already: this frees its memory only
                        await self._fleet.release(name, owner, shard)
                    except UnavailableError as error:
                        _log.info("the host of deleted tenant %r is gone as well: %s", shard, error)

    async def layouts(self, tenant: str) -> list[ShardLayout]:
        """How `tenant` was spread over shards, oldest first; the last layout counts."""
        await asyncio.to_thread(self._backing.catalog.tenant, tenant)  # raises where there is none
        return await asyncio.to_thread(self._backing.catalog.layouts, tenant)

    async def reshard(self, tenant: str, shards: int, keys: Mapping[str, str]) -> ShardLayout:
        """Spread what `tenant` collects from now on over `shards`, live: calls wait meanwhile.

        `keys` are the fields of events by dataset whose hash says where a row belongs, where that is not `user_id`.
        Raises InvalidRequestError for a number that none may have, ConflictError for a tenant that has to stay
        together, and for one whose shard was opened elsewhere meanwhile: then nothing is changed.
        """
        await self._acquainted()
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._turns.of(tenant))
            names = await asyncio.to_thread(members, self._backing, tenant, shards)
            for name in names[1:]:
                await held.enter_async_context(self._turns.of(name))
            present = {tenant, *await asyncio.to_thread(self._backing.catalog.shards, tenant)}
            await asyncio.gather(*(self._let_go(name) for name in names if name in present))
            return await asyncio.to_thread(reshard, self._backing, self._config, self._clock, tenant, shards, keys)

    async def hosts(self) -> list[HostSight]:
        """Every running host, looked at now."""
        await self._acquainted()
        await self._look()
        return sorted(self._sights.values(), key=lambda sight: sight.name)

    async def move(self, tenant: str, target: str) -> Placement:
        """Serve `tenant` from the host called `target`, started where it does not run. Calls wait meanwhile.

        The owner of now finishes what runs, writes everything out and lets go; then the target takes over under a
        higher epoch. Calls that meet neither are repeated by their handles, and counted once.
        """
        await self._acquainted()
        async with self._turns.of(tenant):
            host = await self._started(target)
            await self._let_go(tenant)
            epoch = await self._fleet.open(target, host, tenant)
            placement = Placement(tenant, epoch, target, host)
            self._keep(placement)
            return placement

    async def retire(self, tenant: str, idle_seconds: float) -> bool:
        """Let `tenant` go cold if it was idle for so long; whether it is cold now."""
        await self._acquainted()
        async with self._turns.of(tenant):
            sight = await self._seen(tenant)
            if sight is not None and (sight.in_flight or sight.idle_s < idle_seconds):
                return False
            await self._let_go(tenant)
            return True

    async def drain(self, name: str) -> list[str]:
        """Let host `name` serve nobody any more, and end it; its tenants are placed anew when they are asked for."""
        host = await self._running(name)
        gone = await self._fleet.drain(name, host)
        await self._lost(name, "it was drained")
        return gone

    async def renew(self, name: str) -> list[str]:
        """Replace the process of host `name`, live: a new one is started and takes its tenants over one after another.

        So new code, and the settings of this directory, get in. Returns which tenants were moved. What a dedicated
        host served is served by a shared one meanwhile.
        """
        host = await self._running(name)
        target = free_name(self._sights.values())
        await self._started(target)
        moved = [seen.tenant for seen in (await self._fleet.look(name, host)).tenants]
        for tenant in moved:
            await self.move(tenant, target)
        if self._hosts.get(name) is host:
            await self.drain(name)  # and with it whoever came meanwhile
        own = dedicated_to(name)
        if own is not None and own in moved:
            await self.move(own, name)
        return moved

    async def sweep(self) -> None:
        """One round: idle tenants go cold, tenants move where they are served better, empty hosts end."""
        await self._acquainted()
        await self._look()
        await asyncio.gather(*(self._retire_idle(name) for name in list(self._hosts)))
        rules, now = self._rules(), self._clock.monotonic()
        steps, self._history = rebalance(list(self._sights.values()), self._history, rules, now)
        for step in steps:
            try:
                await self._take(step)
            except (AnalyticsError, RayError):
                _log.warning("%s could not be done; a later round decides anew", step, exc_info=True)

    async def sweep_forever(self) -> None:
        """`sweep`, four times in `placement.idle_seconds` and at least every ten seconds."""
        while True:
            await self._sleep(min(self._config.placement.idle_seconds / 4, _MOST_SWEEP_S))
            try:
                await self.sweep()
            except (AnalyticsError, RayError):
                _log.warning("a round over the hosts failed; the next one tries again", exc_info=True)

    async def watch(self) -> None:
        """Ask every host whether it lives; those that do not are ended, and their tenants free to be placed."""
        await self._acquainted()
        hosts = dict(self._hosts)
        found = await asyncio.gather(
            *(self._fleet.beat(name, host) for name, host in hosts.items()), return_exceptions=True
        )
        for name, error in zip(hosts, found, strict=True):
            if isinstance(error, UnavailableError):
                await self._lost(name, error.reason)
            elif error is not None:
                raise error

    async def watch_forever(self) -> None:
        """`watch`, twice a second."""
        while True:
            await self._sleep(_BEAT_S)
            try:
                await self.watch()
            except (AnalyticsError, RayError):
                _log.warning("the hosts could not be watched; the next round tries again", exc_info=True)

    async def _place(self, tenant: str, deadline: float) -> Placement:
        rows = await asyncio.to_thread(self._backing.catalog.tenant, tenant)
        record = await asyncio.to_thread(rows.record)
        owner = self._hosts.get(record.owner)
        if owner is not None and await self._serves(record.owner, owner, tenant) == record.epoch:
            return Placement(tenant, record.epoch, record.owner, owner)
        while True:
            name = host_for(tenant, list(self._sights.values()), self._rules())
            await self._turn(tenant, name, deadline)
            try:
                host = await self._started(name)
                return Placement(tenant, await self._fleet.open(name, host, tenant), name, host)
            except UnavailableError as error:
                await self._failed(name, error.reason)

    async def _running(self, name: str) -> TenantHostActor:
        """The host of that name. UnknownNameError where none runs."""
        await self._acquainted()
        try:
            return self._hosts[name]
        except KeyError:
            raise UnknownNameError("host", name, tuple(sorted(self._hosts))) from None

    async def _owner(self, rows: TenantCatalog) -> tuple[str, TenantHostActor | None]:
        """The host that took the tenant over last; None where it does not run any more."""
        name = (await asyncio.to_thread(rows.record)).owner
        return name, self._hosts.get(name)

    async def _serves(self, name: str, host: TenantHostActor, tenant: str) -> int | None:
        try:
            return await self._fleet.serves(name, host, tenant)
        except UnavailableError as error:
            await self._lost(name, error.reason)
            return None

    async def _failed(self, name: str, why: str) -> None:
        """A host could not open a tenant. It may be well, and the catalog out of reach: then it is kept."""
        self._setbacks[name] = set_back(self._setbacks.get(name), why, self._clock.monotonic())
        host = self._hosts.get(name)
        if host is None:  # it never came up; the name must be free for the next one
            await self._lost(name, why)
            return
        await self._look_at(name, host)  # where it is being drained, it is not asked again

    async def _turn(self, tenant: str, name: str, deadline: float) -> None:
        """Wait until host `name` may be asked. Raises UnavailableError when that is after `deadline`."""
        setback = self._setbacks.get(name)
        now = self._clock.monotonic()
        if max(now, setback.not_before if setback else now) > deadline:
            why = setback.why if setback else "none could be started in time"
            raise UnavailableError(f"the host of tenant {tenant!r}", why)
        if setback is not None:
            await self._sleep(max(0.0, setback.not_before - now))

    async def _started(self, name: str) -> TenantHostActor:
        """The host of that name, up and answering."""
        async with self._turns.of(f"host {name}"):  # no tenant may be called so
            host = self._hosts.get(name)
            if host is None:
                host = await self._fleet.start(name)
                sight = await self._fleet.up(name, host)
                self._hosts[name] = host
                self._sights[name] = sight
            return host

    async def _lost(self, name: str, why: str) -> None:
        """Host `name` is over: its process is ended if it is still there, its tenants are free to be placed."""
        host = self._hosts.pop(name, None)
        self._sights.pop(name, None)
        for tenant, placement in list(self._placements.items()):
            if placement.name == name and placement.host is host:
                del self._placements[tenant]
        _log.warning("host %r is given up: %s", name, why)
        host = host or await self._fleet.find(name)
        if host is not None:
            await self._fleet.end(host)

    async def _let_go(self, tenant: str) -> None:
        """Whoever serves `tenant` writes everything out and stops. One that cannot be reached is fenced off anyway."""
        self._placements.pop(tenant, None)
        name, host = await self._owner(await asyncio.to_thread(self._backing.catalog.tenant, tenant))
        if host is None:
            return
        try:
            await self._fleet.release(name, host, tenant)
        except UnavailableError as error:
            _log.warning("host %r did not let go of %r: %s", name, tenant, error)

    async def _seen(self, tenant: str) -> TenantSight | None:
        placement = self._placements.get(tenant)
        if placement is None:
            return None
        sight = await self._fleet.look(placement.name, placement.host)
        return next((seen for seen in sight.tenants if seen.tenant == tenant), None)

    async def _retire_idle(self, name: str) -> None:
        host, idle = self._hosts.get(name), self._config.placement.idle_seconds
        sight = self._sights.get(name)
        if host is None or sight is None or not any(seen.idle_s >= idle for seen in sight.tenants):
            return
        try:
            gone = set(await self._fleet.retire(name, host, idle))
        except UnavailableError as error:
            _log.info("host %r did not retire its tenants: %s", name, error)
            return
        for tenant in gone:
            placement = self._placements.get(tenant)
            if placement is not None and placement.host is host:
                del self._placements[tenant]
        if name in self._sights:
            kept = tuple(seen for seen in self._sights[name].tenants if seen.tenant not in gone)
            self._sights[name] = replace(self._sights[name], tenants=kept)

    async def _take(self, step: Step) -> None:
        _log.info("%s", step)
        match step:
            case Start(name):
                await self._started(name)
            case Move(tenant, _, target):
                await self.move(tenant, target)
            case End(name):
                host = self._hosts.get(name)
                if host is not None and await self._fleet.drain_if_empty(name, host):
                    await self._lost(name, "nobody needs it")

    async def _look(self) -> None:
        """Look at every host, at once; those that are dead or silent are over."""
        self._cores = await self._fleet.cores()
        await asyncio.gather(*(self._look_at(name, host) for name, host in list(self._hosts.items())))

    async def _look_at(self, name: str, host: TenantHostActor) -> None:
        sight = await self._fleet.look(name, host)
        if sight.condition in (HostCondition.DEAD, HostCondition.SILENT):
            await self._lost(name, sight.why)
        elif self._hosts.get(name) is host:
            self._sights[name] = sight

    async def _acquainted(self) -> None:
        """Once: a new directory gets to know the hosts that run."""
        if self._found is None or (self._found.done() and self._found.exception() is not None):
            self._found = asyncio.create_task(self._find())
        await asyncio.shield(self._found)

    async def _find(self) -> None:
        names = await self._fleet.running()
        found = dict(zip(names, await asyncio.gather(*map(self._fleet.find, names)), strict=True))
        self._hosts |= {name: host for name, host in found.items() if host is not None}
        await self._look()

    def _keep(self, placement: Placement) -> None:
        self._placements[placement.tenant] = placement
        self._setbacks.pop(placement.name, None)
        # Until the next look, so that a rush of cold tenants is spread.
        sight = self._sights.get(placement.name)
        if sight is not None and all(seen.tenant != placement.tenant for seen in sight.tenants):
            new = TenantSight(placement.tenant, placement.epoch, 0.0, 0, 0.0, 0)
            self._sights[placement.name] = replace(sight, tenants=(*sight.tenants, new))

    def _rules(self) -> Rules:
        placement = self._config.placement
        shared = placement.shared_hosts or self._cores
        return Rules(shared_hosts=shared, idle_seconds=placement.idle_seconds, most_dedicated=max(2, self._cores))
