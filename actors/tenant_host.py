"""The host of one tenant: opens what the tenant needs, owns it under an epoch, serves it, and lets it go cold."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from actors.placement import Condition, Sight
from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, DatasetInfo, EngineStatus, HostResources
from tenancy.analytics.errors import StaleOwnerError, UnavailableError
from tenancy.analytics.query import QueryResult
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.types import DataSourceType, Receipts


@dataclass(frozen=True, slots=True)
class HostStatus:
    """A host as it sees itself."""

    tenant: str
    pid: int
    sight: Sight
    engine: EngineStatus | None
    """None before the tenant is open and after it was let go."""


class TenantHost:
    """Serves one tenant from one process; a plain class, which `TenantActor` puts into an actor.

    Nothing is answered until `open` made this host the tenant's owner. Once a newer owner took over, every
    call ends in StaleOwnerError, and after `retire` in UnavailableError: the caller asks the directory again.
    Methods may be called from several event loops at once, as Ray does with concurrency groups.
    """

    def __init__(self, tenant: str, config: AnalyticsConfig, clock: Clock | None = None) -> None:
        self._tenant = tenant
        self._config = config
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._opening: Future[None] | None = None
        self._resources: HostResources | None = None
        self._engine: AnalyticsEngine | None = None
        self._condition = Condition.NEW
        self._in_flight = 0
        self._last_call = self._clock.monotonic()
        self._maintenance: asyncio.Task[None] | None = None

    async def open(self) -> int:
        """Take the tenant over: a new epoch, and what was acknowledged before recovered. Returns the epoch.

        Repeated or concurrent calls open once; a caller that is cancelled leaves the opening to those after it.
        Raises UnknownNameError for a tenant nobody registered.
        """
        await asyncio.shield(asyncio.wrap_future(self._opened()))
        with self._serving() as engine:
            with self._lock:
                if self._maintenance is None and self._engine is engine:  # not closed meanwhile
                    self._maintenance = asyncio.create_task(engine.maintain_forever())
            return engine.epoch

    async def collect(
        self, dataset: str, payload: Payload, source: DataSourceType, idempotency_key: str | None
    ) -> Receipts:
        with self._serving() as engine:
            return await engine.collect(dataset, payload, source=source, idempotency_key=idempotency_key)

    async def query(self, request: Mapping[str, Any]) -> QueryResult:
        with self._serving() as engine:
            return await engine.query(request)

    async def explain(self, request: Mapping[str, Any]) -> str:
        with self._serving() as engine:
            return await engine.explain(request)

    async def datasets(self) -> list[DatasetInfo]:
        with self._serving() as engine:
            return await engine.datasets()

    async def declare(self, schema: DatasetSchema) -> DatasetSchema:
        with self._serving() as engine:
            return await engine.declare(schema)

    async def model(self) -> str:
        with self._serving() as engine:
            return await engine.model()

    async def set_model(self, text: str) -> int:
        with self._serving() as engine:
            return await engine.set_model(text)

    async def quarantine(self, dataset: str, limit: int, cursor: str | None) -> QueryResult:
        with self._serving() as engine:
            return await engine.quarantine(dataset, limit, cursor)

    async def replay_quarantine(self, dataset: str, limit: int) -> Receipts:
        with self._serving() as engine:
            return await engine.replay_quarantine(dataset, limit)

    async def flush(self) -> None:
        with self._serving() as engine:
            await engine.flush()

    async def status(self) -> HostStatus:
        """How this host is; answered in every condition, and no call that keeps a tenant warm."""
        with self._lock:
            engine = self._engine
            sight = Sight(
                self._condition,
                None if engine is None else engine.epoch,
                0.0 if self._in_flight else self._clock.monotonic() - self._last_call,
                self._in_flight,
            )
        return HostStatus(self._tenant, os.getpid(), sight, None if engine is None else engine.status())

    async def retire(self, idle_seconds: float) -> bool:
        """Let the tenant go cold: everything written out and closed. False, and nothing done, when it is not idle.

        The decision and the refusal of later calls are one step, so no call is lost in between.
        """
        with self._lock:
            if self._in_flight or self._clock.monotonic() - self._last_call < idle_seconds:
                return False
            if self._opening is not None and not self._opening.done():
                return False
            self._condition = Condition.RETIRED
        await self.close()
        return True

    async def close(self) -> None:
        """Stop serving and release everything; what was acknowledged stays durable either way."""
        with self._lock:
            self._condition = Condition.RETIRED
            opening = self._opening
        if opening is not None:
            await asyncio.wait([asyncio.wrap_future(opening)])  # what it opens is released as well
        with self._lock:
            engine, self._engine = self._engine, None
            resources, self._resources = self._resources, None
            maintenance, self._maintenance = self._maintenance, None
        if maintenance is not None:
            maintenance.get_loop().call_soon_threadsafe(maintenance.cancel)
        try:
            if engine is not None:
                await engine.close()
        finally:
            if resources is not None:
                await asyncio.to_thread(resources.close)

    def _opened(self) -> Future[None]:
        """The opening that is under way or succeeded, else a new one."""
        with self._lock:
            last = self._opening
            if last is None or (last.done() and last.exception() is not None):
                crew = ThreadPoolExecutor(1, f"open-{self._tenant}")
                self._opening = last = crew.submit(self._open)
                crew.shutdown(wait=False)  # its thread ends with the opening
            return last

    def _open(self) -> None:
        resources = HostResources.open(self._config, self._clock)
        try:
            engine = AnalyticsEngine.open(self._tenant, resources)
        except BaseException:
            resources.close()
            raise
        with self._lock:
            self._resources, self._engine = resources, engine
            if self._condition is Condition.NEW:  # or else it is being closed
                self._condition = Condition.SERVING
            self._last_call = self._clock.monotonic()

    @contextmanager
    def _serving(self) -> Iterator[AnalyticsEngine]:
        with self._lock:
            engine = self._engine
            if engine is None or self._condition is Condition.RETIRED:
                raise UnavailableError(f"the host of tenant {self._tenant!r}", f"it is {self._condition.value}")
            self._in_flight += 1
        try:
            yield engine
        except StaleOwnerError:
            with self._lock:
                self._condition = Condition.FENCED
            raise
        finally:
            with self._lock:
                self._in_flight -= 1
                self._last_call = self._clock.monotonic()
