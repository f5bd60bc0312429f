"""One tenant in a host: opened once, served from, left once; whoever comes too early or too late is told."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from enum import StrEnum

from actors.placement import TenantSight
from tenancy.analytics.clock import Clock
from tenancy.analytics.engine import AnalyticsEngine
from tenancy.analytics.errors import StaleOwnerError, UnavailableError

_log = logging.getLogger(__name__)


class Presence(StrEnum):
    """How far a tenant is in a host."""

    OPENING = "being opened"
    SERVING = "served"
    FENCED = "fenced off"
    """A newer owner took over, and this one knows it."""
    LEAVING = "leaving"


class Seat:
    """A tenant's place in a host. Methods may be called from several event loops at once.

    `open_engine` takes the tenant over; it blocks, and runs on `crew`.
    """

    def __init__(self, tenant: str, open_engine: Callable[[], AnalyticsEngine], crew: Executor, clock: Clock) -> None:
        self.tenant = tenant
        self.presence = Presence.OPENING
        self._open_engine, self._crew, self._clock = open_engine, crew, clock
        self._lock = threading.Lock()
        self._opening: Future[None] | None = None
        self._leaving: Future[None] | None = None
        self._engine: AnalyticsEngine | None = None
        self._in_flight = 0
        self._alone: Future[None] | None = None
        self._last_call = clock.monotonic()
        self._maintaining = False

    @property
    def engine(self) -> AnalyticsEngine | None:
        """What answers; None until it is open and after it was left."""
        return self._engine

    @property
    def failed(self) -> bool:
        """Whether the tenant could not be opened."""
        opening = self._opening
        return opening is not None and opening.done() and opening.exception() is not None

    async def open(self) -> None:
        """Take the tenant over, once, however many ask. Raises what the opening raises.

        A caller that is cancelled leaves the opening to those after it.
        """
        with self._lock:
            if self._opening is None:
                self._opening = self._crew.submit(self._open)
            opening = self._opening
        await asyncio.shield(asyncio.wrap_future(opening))

    async def confirm(self) -> int:
        """The epoch, found current. StaleOwnerError when a newer owner took over, UnavailableError once it is left."""
        with self.serving() as engine:
            await engine.check_owner()
            return engine.epoch

    @contextmanager
    def serving(self) -> Iterator[AnalyticsEngine]:
        """The engine, for one call; the seat is not left meanwhile. Remembers when the tenant was fenced off."""
        with self._lock:
            engine = self._engine
            if engine is None or self.presence is Presence.LEAVING:
                raise UnavailableError(f"tenant {self.tenant!r}", f"here it is {self.presence.value}")
            self._in_flight += 1
        try:
            yield engine
        except StaleOwnerError:
            with self._lock:
                if self.presence is Presence.SERVING:
                    self.presence = Presence.FENCED
            raise
        finally:
            with self._lock:
                self._in_flight -= 1
                self._last_call = self._clock.monotonic()
                alone = self._alone if not self._in_flight else None
            if alone is not None:
                alone.set_result(None)

    def sight(self, work: float) -> TenantSight | None:
        """How the tenant is; None while it is opened or left."""
        with self._lock:
            engine = self._engine
            if engine is None or self.presence is Presence.LEAVING:
                return None
            idle_s = 0.0 if self._in_flight else self._clock.monotonic() - self._last_call
            in_flight, fenced = self._in_flight, self.presence is Presence.FENCED
        return TenantSight(self.tenant, engine.epoch, idle_s, in_flight, work, engine.buffered_bytes, fenced=fenced)

    async def keep_up(self) -> None:
        """What storage needs now, if it needs anything and nobody is at it."""
        with self._lock:
            engine = self._engine
            if self._maintaining or engine is None or self.presence is not Presence.SERVING or not engine.due():
                return
            self._maintaining = True
        try:
            await engine.keep_up()
        except StaleOwnerError as error:
            _log.info("%s", error)
            with self._lock:
                if self.presence is Presence.SERVING:
                    self.presence = Presence.FENCED
        finally:
            self._maintaining = False

    def leave_when_idle(self, idle_seconds: float) -> bool:
        """Refuse calls from now on, if there was none for so long; whether it does. Then `leave` is to be called.

        The decision and the refusal are one step, so no call is lost in between.
        """
        with self._lock:
            if self._in_flight or self._engine is None or self.presence is Presence.LEAVING:
                return False
            if self._clock.monotonic() - self._last_call < idle_seconds:
                return False
            self.presence = Presence.LEAVING
            return True

    async def leave(self, patience_s: float) -> None:
        """Refuse calls, let those that run finish for `patience_s` at most, write everything out, close.

        Nothing depends on its success: what was acknowledged is durable. Repeated calls wait for the first one.
        """
        with self._lock:
            self.presence = Presence.LEAVING
            first = self._leaving is None
            leaving = self._leaving = self._leaving or Future()
        if first:
            # The task holds on when its caller is cancelled.
            await asyncio.shield(asyncio.create_task(self._leave(leaving, patience_s)))
        else:
            await asyncio.wrap_future(leaving)

    async def _leave(self, done: Future[None], patience_s: float) -> None:
        try:
            if self._opening is not None:
                await asyncio.wait([asyncio.wrap_future(self._opening)])
            with self._lock:
                self._alone = Future() if self._in_flight else None
                alone = self._alone
            if alone is not None:
                await asyncio.wait([asyncio.wrap_future(alone)], timeout=patience_s)
            with self._lock:
                engine, self._engine = self._engine, None
            if engine is not None:
                await engine.close()
        except Exception:  # noqa: BLE001 - the next owner replays what could not be written out
            _log.warning("tenant %r was left without writing everything out", self.tenant, exc_info=True)
        finally:
            done.set_result(None)

    def _open(self) -> None:
        engine = self._open_engine()
        with self._lock:
            self._engine = engine
            if self.presence is Presence.OPENING:  # or else it is being left already
                self.presence = Presence.SERVING
            self._last_call = self._clock.monotonic()
