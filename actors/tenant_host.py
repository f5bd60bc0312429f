"""A host: serves many tenants from one process, each under an epoch of its own, over shared resources."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from actors.placement import HostCondition, HostSight, TenantSight
from actors.seat import Presence, Seat
from actors.work import WorkMeter
from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.collection import Payload
from tenancy.analytics.collection.portion import Portion
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, DatasetInfo, EngineStatus, HostResources
from tenancy.analytics.engine.limits import Standing
from tenancy.analytics.engine.memory.process import resident_bytes
from tenancy.analytics.engine.sharding.shard import ALONE, PartAnswer, ShardCall, Union
from tenancy.analytics.errors import StaleOwnerError, UnavailableError
from tenancy.analytics.query import QueryResult
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.types import DataSourceType, Receipts

if TYPE_CHECKING:
    from tenancy.analytics.query.parts import PartOfAnswer
    from tenancy.analytics.query.plan import Plan

T = TypeVar("T")

_OPENINGS = 4
"""Tenants opened at once; after a crash hundreds come, and each waits for the catalog and the disk now and then."""
_LEAVE_S = 10.0
"""How long calls that run may keep a tenant that is to leave."""
_ROUND_S = 1.0


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A host as it sees itself."""

    pid: int
    sight: HostSight


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """One tenant as its host sees it."""

    host: str
    pid: int
    sight: TenantSight
    engine: EngineStatus


class TenantHost:
    """Serves tenants from one process; a plain class, which `TenantActor` puts into an actor.

    A tenant is answered for once `open` made this host its owner. Every call names its tenant first. It ends in
    StaleOwnerError once a newer owner took over, and in UnavailableError for a tenant that is not served here:
    then the caller asks the directory again. Methods may be called from several event loops at once, as Ray
    does with concurrency groups.
    """

    def __init__(self, name: str, config: AnalyticsConfig, clock: Clock | None = None, node: str = "") -> None:
        self.name = name
        self._config = config
        self._clock = clock or SystemClock()
        self._node = node
        self._lock = threading.Lock()
        self._opening_resources = threading.Lock()
        self._resources: HostResources | None = None
        self._seats: dict[str, Seat] = {}
        self._openers = ThreadPoolExecutor(_OPENINGS, "open")
        self._draining = False
        self._work = WorkMeter()
        self._rounds: asyncio.Task[None] | None = None

    async def open(self, tenant: str) -> int:
        """Take a tenant over: a new epoch, and what was acknowledged before recovered. Returns the epoch.

        Repeated or concurrent calls open once. A tenant that was fenced off here is taken over anew. Raises
        UnknownNameError for a tenant nobody registered, UnavailableError while the host is drained.
        """
        self._begin_rounds()
        while True:
            seat = self._seat_of(tenant)
            try:
                await seat.open()
            except BaseException:
                if seat.failed:  # and not only given up by this caller
                    self._forget(seat)
                raise
            try:
                if seat.presence is Presence.SERVING:
                    return await seat.confirm()
            except StaleOwnerError:
                pass
            # It is over, or on its way out: once it is gone another one is made.
            await self._give_up(seat)

    async def serves(self, tenant: str) -> int | None:
        """Under which epoch this host serves a tenant; None where it does not, or knows that it is over."""
        seat = self._seats.get(tenant)
        sight = None if seat is None else seat.sight(0.0)
        return None if sight is None or sight.fenced else sight.epoch

    async def collect(
        self, tenant: str, dataset: str, payload: Payload, source: DataSourceType, idempotency_key: str | None
    ) -> Receipts:
        with self._serving(tenant) as engine:
            return await engine.collect(dataset, payload, source=source, idempotency_key=idempotency_key)

    async def collect_part(
        self,
        tenant: str,
        dataset: str,
        payload: Payload,
        source: DataSourceType,
        idempotency_key: str,
        portion: Portion,
    ) -> PartAnswer:
        with self._serving(tenant) as engine:
            return await engine.collect_part(dataset, payload, source, idempotency_key, portion)

    async def ask_shard(self, tenant: str, call: ShardCall[T]) -> T:
        with self._serving(tenant) as engine:
            return await engine.ask_shard(call)

    async def query(self, tenant: str, request: Mapping[str, Any], union: Union = ALONE) -> QueryResult:
        with self._serving(tenant) as engine:
            return await engine.query(request, union)

    async def part(self, tenant: str, plan: Plan, layout: int) -> PartOfAnswer | None:
        with self._serving(tenant) as engine:
            return await engine.part(plan, layout)

    async def whole(
        self, tenant: str, request: Mapping[str, Any], plan: Plan, parts: Sequence[PartOfAnswer]
    ) -> QueryResult:
        with self._serving(tenant) as engine:
            return await engine.whole(request, plan, parts)

    async def explain(self, tenant: str, request: Mapping[str, Any], union: Union = ALONE) -> str:
        with self._serving(tenant) as engine:
            return await engine.explain(request, union)

    async def datasets(self, tenant: str, layout: int = 0) -> list[DatasetInfo]:
        with self._serving(tenant) as engine:
            return await engine.datasets(layout)

    async def declare(self, tenant: str, schema: DatasetSchema, layout: int = 0) -> DatasetSchema:
        with self._serving(tenant) as engine:
            return await engine.declare(schema, layout)

    async def model(self, tenant: str) -> str:
        with self._serving(tenant) as engine:
            return await engine.model()

    async def set_model(self, tenant: str, text: str) -> int:
        with self._serving(tenant) as engine:
            return await engine.set_model(text)

    async def quarantine(
        self, tenant: str, dataset: str, limit: int, cursor: str | None, union: Union = ALONE
    ) -> QueryResult:
        with self._serving(tenant) as engine:
            return await engine.quarantine(dataset, limit, cursor, union)

    async def replay_quarantine(self, tenant: str, dataset: str, limit: int, layout: int = 0) -> Receipts:
        with self._serving(tenant) as engine:
            return await engine.replay_quarantine(dataset, limit, layout)

    async def flush(self, tenant: str) -> None:
        with self._serving(tenant) as engine:
            await engine.flush()

    async def read_limits(self, tenant: str) -> None:
        """Take over what the catalog says a tenant may use, at once. Does nothing where it is not served here."""
        engine = self._engine_of(tenant)
        if engine is not None:
            with suppress(RuntimeError):  # its lanes are closed: it is leaving, and the next owner reads them anyway
                await engine.read_limits()

    async def standings(self, tenant: str) -> tuple[Standing, ...] | None:
        """How a tenant stands with its limits, its accounts settled up to now; None where it is not served here.

        No call that keeps a tenant warm.
        """
        engine = self._engine_of(tenant)
        if engine is None:
            return None
        try:
            await engine.settle_usage()
        except RuntimeError:  # its lanes are closed: it is leaving, its accounts settled
            return None
        return engine.standings()

    async def tenant_status(self, tenant: str) -> TenantStatus:
        """How one tenant is."""
        seat = self._seats.get(tenant)
        sight = None if seat is None else seat.sight(self._work.of(tenant))
        engine = self._engine_of(tenant)
        if sight is None or engine is None:
            raise self._not_here(tenant)
        return TenantStatus(self.name, os.getpid(), sight, engine.status())

    async def status(self) -> HostStatus:
        """How this host is; no call that keeps a tenant warm."""
        sights = [seat.sight(self._work.of(seat.tenant)) for seat in list(self._seats.values())]
        tenants = tuple(sight for sight in sights if sight is not None)
        condition = HostCondition.DRAINING if self._draining else HostCondition.SERVING
        work, memory = sum(sight.work for sight in tenants), resident_bytes()
        return HostStatus(os.getpid(), HostSight(self.name, condition, self._node, tenants, work, memory))

    async def beat(self) -> str:
        """That this host lives: its name."""
        return self.name

    async def retire(self, idle_seconds: float) -> list[str]:
        """Let every tenant go cold that had no call for so long, written out and closed; returns which."""
        idle = [seat for seat in list(self._seats.values()) if seat.leave_when_idle(idle_seconds)]
        await asyncio.gather(*(self._give_up(seat) for seat in idle))
        return [seat.tenant for seat in idle]

    async def release(self, tenant: str) -> None:
        """Let one tenant go, idle or not: calls that run finish, later ones are refused, everything is written out."""
        seat = self._seats.get(tenant)
        if seat is not None:
            await self._give_up(seat)

    async def drain(self) -> list[str]:
        """Take no tenant any more, and let all go; returns which."""
        with self._lock:
            self._draining = True
            seats = list(self._seats.values())
        await asyncio.gather(*(self._give_up(seat) for seat in seats))
        return [seat.tenant for seat in seats]

    async def drain_if_empty(self) -> bool:
        """Take no tenant any more, if there is none; whether it is so."""
        with self._lock:
            self._draining = self._draining or not self._seats
            return self._draining and not self._seats

    async def close(self) -> None:
        """Let every tenant go and release everything; what was acknowledged stays durable either way."""
        await self.drain()
        with self._lock:
            rounds, self._rounds = self._rounds, None
            resources, self._resources = self._resources, None
        if rounds is not None:
            rounds.get_loop().call_soon_threadsafe(rounds.cancel)
        await asyncio.to_thread(self._openers.shutdown)
        if resources is not None:
            await asyncio.to_thread(resources.close)

    def _seat_of(self, tenant: str) -> Seat:
        with self._lock:
            if self._draining:
                raise UnavailableError(f"host {self.name!r}", "it is being drained")
            if tenant not in self._seats:
                self._seats[tenant] = Seat(tenant, self._opener(tenant), self._openers, self._clock)
            return self._seats[tenant]

    def _opener(self, tenant: str) -> Callable[[], AnalyticsEngine]:
        return lambda: AnalyticsEngine.open(tenant, self._shared(), self.name)

    def _shared(self) -> HostResources:
        with self._opening_resources:
            if self._resources is None:
                self._resources = HostResources.open(self._config, self._clock)
            return self._resources

    async def _give_up(self, seat: Seat) -> None:
        await seat.leave(_LEAVE_S)
        self._forget(seat)

    def _forget(self, seat: Seat) -> None:
        with self._lock:
            if self._seats.get(seat.tenant) is seat:
                del self._seats[seat.tenant]
                self._work.forget(seat.tenant)

    @contextmanager
    def _serving(self, tenant: str) -> Iterator[AnalyticsEngine]:
        seat = self._seats.get(tenant)
        if seat is None:
            raise self._not_here(tenant)
        with seat.serving() as engine:
            yield engine

    def _engine_of(self, tenant: str) -> AnalyticsEngine | None:
        """What answers for a tenant, for what is no call of it."""
        seat = self._seats.get(tenant)
        return None if seat is None else seat.engine

    def _not_here(self, tenant: str) -> UnavailableError:
        return UnavailableError(f"tenant {tenant!r}", f"host {self.name!r} does not serve it")

    def _begin_rounds(self) -> None:
        with self._lock:
            if self._rounds is None and not self._draining:
                self._rounds = asyncio.create_task(self._look_after())

    async def _look_after(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """About once a second: room is made in memory, storage gets what it needs, the work of tenants is measured."""
        going: set[asyncio.Task[None]] = set()
        while True:
            await sleep(_ROUND_S)
            resources = self._resources
            if resources is not None:
                resources.memory.relieve()
            seats = list(self._seats.values())
            for seat in seats:
                engine = seat.engine
                if engine is not None:
                    self._work.update(seat.tenant, engine.cpu_seconds(), self._clock.monotonic())
                    if engine.due():
                        task = asyncio.create_task(seat.keep_up())
                        going.add(task)
                        task.add_done_callback(going.discard)
