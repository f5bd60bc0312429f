"""The one place of a host that knows what its memory is used for, lets in what fits, and makes room."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

from tenancy.analytics.clock import Clock
from tenancy.analytics.engine.memory.budget import BODY_FACTOR, Budget
from tenancy.analytics.engine.memory.pressure import Demand, Holding, Level, level_of, refusal, relief
from tenancy.analytics.engine.memory.process import release_unused, resident_bytes
from tenancy.analytics.engine.memory.speed import Speed
from tenancy.analytics.errors import AnalyticsError, MemoryPressureError, PayloadTooLargeError

_SAMPLE_S = 0.01
"""How old a measurement of resident memory may be; it takes 10 µs."""
_FLUSH_S = 30.0
_WARN_S = 60.0

_log = logging.getLogger(__name__)


class Holder(Protocol):
    """Who holds memory for one tenant: its engine."""

    @property
    def tenant(self) -> str: ...

    def holding(self) -> Holding:
        """What it holds. Cheap."""
        ...

    def flush_largest(self) -> Future[None]:
        """Make segments of its largest buffer; never blocks."""
        ...

    def evict(self) -> None:
        """Give up what can be made again."""
        ...


class HostMemory:
    """The memory of a host, shared by its engines. From any thread; only `relieve_now` blocks.

    `query_bytes` tells what DuckDB holds, `resident` the memory of this process.
    """

    def __init__(
        self,
        budget: Budget,
        clock: Clock,
        query_bytes: Callable[[], int] = lambda: 0,
        resident: Callable[[], int] = resident_bytes,
    ) -> None:
        self.budget = budget
        self._clock, self._query_bytes, self._measure = clock, query_bytes, resident
        self._lock = threading.Lock()
        self._holders: dict[str, Holder] = {}
        self._buffers: Counter[str] = Counter()
        self._buffered = 0
        self._in_flight: Counter[str] = Counter()
        self._reserved = 0
        self._queries = 0
        self._merges = 0
        self._warn_at = float("-inf")
        self._level = Level.NORMAL
        self._sampled = (float("-inf"), 0)
        self._speed = Speed()
        self._relieving = threading.Lock()
        self._asked = threading.Event()
        self._crew = ThreadPoolExecutor(1, "relief")
        self._quiet_below = min(int(budget.total * 0.6), resident() + budget.buffers // 2)

    @property
    def level(self) -> Level:
        """How short memory was when it was looked at last."""
        return self._level

    @property
    def reserved(self) -> int:
        """Bytes reserved for bodies that are worked on."""
        return self._reserved

    def join(self, holder: Holder) -> None:
        """An engine takes part from now on."""
        with self._lock:
            self._holders[holder.tenant] = holder

    def leave(self, holder: Holder) -> None:
        """An engine holds nothing any more."""
        with self._lock:
            if self._holders.get(holder.tenant) is holder:
                del self._holders[holder.tenant]
                self._buffered -= self._buffers.pop(holder.tenant, 0)

    def admit(self, tenant: str, size: int) -> Reservation:
        """Room for a body of `size` bytes until it is stored; never blocks.

        Raises MemoryPressureError with nothing taken, PayloadTooLargeError for a body that never fits.
        """
        if size > self.budget.largest_body:
            remedy = "send smaller batches, or raise performance.host_memory_mb"
            raise PayloadTooLargeError(self.budget.largest_body, remedy)
        wanted = size * BODY_FACTOR
        short = self._short_for(tenant, wanted, bodies=True)
        if short is not None:
            raise short
        return Reservation(self, tenant, wanted)

    @contextmanager
    def asking(self, tenant: str) -> Iterator[None]:
        """Let a query in, for as long as the block runs. Raises MemoryPressureError."""
        short = self._short_for(tenant, 0, bodies=False)
        if short is not None:
            raise short
        try:
            yield
        finally:
            with self._lock:
                self._queries -= 1

    @contextmanager
    def merging(self) -> Iterator[bool]:
        """Whether there is room for merging segments, for as long as the block runs; who is told no tries later."""
        with self._lock:
            taken = self._reserved + self._merges * self.budget.merge
        room = self._resident() + taken + self.budget.merge <= self.budget.total
        with self._lock:
            may = self._level < Level.FLUSH and (room or not self._merges)
            self._merges += may
        try:
            yield may
        finally:
            with self._lock:
                self._merges -= may

    def settle(self, tenant: str, wanted: int) -> None:
        """Give back what was reserved for a body, which is in the buffers by now or nowhere."""
        with self._lock:
            self._reserved -= wanted
            self._in_flight[tenant] -= wanted
            if self._in_flight[tenant] <= 0:
                del self._in_flight[tenant]
            self._speed.passed(wanted, self._clock.monotonic())
        self._recount(tenant)

    def relieve(self) -> None:
        """Look at the memory, and make room beside if it is short; never blocks. To be called about once a second."""
        if self._resident() < self._quiet_below and not self._level and self._buffered < self.budget.buffers // 2:
            return
        if not self._asked.is_set():
            self._asked.set()
            try:
                self._crew.submit(self._relieve_logged)
            except RuntimeError:  # the host is closed
                _log.debug("a closed host makes no room")

    def relieve_now(self) -> Level:
        """Look at the memory and make room, one flush after the other; returns how short it was."""
        with self._relieving:
            self._asked.clear()
            with self._lock:
                holders = dict(self._holders)
            holdings = [holder.holding() for holder in holders.values()]
            with self._lock:
                self._buffers = Counter({each.tenant: each.buffers for each in holdings})
                self._buffered = sum(self._buffers.values())
            found = level = self._look()
            todo = relief(self.budget, level, self._resident(), holdings)
            for tenant in todo.evict:
                holders[tenant].evict()
            if todo.evict or (todo.release and not todo.flush):
                release_unused()
            for tenant in todo.flush:
                self._flush(holders[tenant])
                if level < Level.REFUSE and self._look() is Level.NORMAL:
                    break
            if todo.flush:
                release_unused()
            self._look()
            return found

    def close(self) -> None:
        """Make no room any more."""
        self._crew.shutdown(cancel_futures=True)

    def _short_for(self, tenant: str, wanted: int, *, bodies: bool) -> MemoryPressureError | None:
        self._recount(tenant)
        resident = self._resident()
        with self._lock:
            queries = self._queries
        # Asked for only where it matters: it takes DuckDB 0.3 ms.
        # Half of the share: with all of it kept for queries that run one after the other, bodies hardly ever got in.
        room = self.budget.query // 2 if queries or not bodies else 0
        if room and resident + self._reserved + room + wanted > 0.9 * self.budget.total:
            room = max(0, room - self._query_bytes())
        with self._lock:
            demand = Demand(
                wanted,
                resident,
                self._reserved,
                room,
                self._in_flight.get(tenant, 0),
                len(self._in_flight) + (tenant not in self._in_flight),
                self._buffered,
                self._buffers.get(tenant, 0),
                max(1, sum(1 for held in self._buffers.values() if held)),
                query=not bodies,
                alone=not self._reserved and not self._queries,
            )
            part = refusal(self.budget, self._level, demand)
            if part is None:
                if bodies:
                    self._reserved += wanted
                    self._in_flight[tenant] += wanted
                else:
                    self._queries += 1
                return None
            wait = self._speed.wait_s(max(wanted, demand.in_flight + wanted - self.budget.bodies))
        self.relieve()
        return MemoryPressureError(part, self.budget.total, resident, wait)

    def _recount(self, tenant: str) -> None:
        holder = self._holders.get(tenant)
        if holder is None:
            return
        held = holder.holding().buffers
        with self._lock:
            if tenant in self._holders:
                self._buffered += held - self._buffers[tenant]
                self._buffers[tenant] = held

    def _resident(self) -> int:
        now = self._clock.monotonic()
        if now - self._sampled[0] >= _SAMPLE_S:
            self._sampled = now, self._measure()
        return self._sampled[1]

    def _look(self) -> Level:
        """The level of this moment."""
        self._sampled = self._clock.monotonic(), self._measure()
        with self._lock:
            before = self._level
            self._level = level_of(self.budget, self._sampled[1], self._buffered, before)
        if self._level >= Level.EVICT > before and self._sampled[0] >= self._warn_at:
            self._warn_at = self._sampled[0] + _WARN_S
            _log.warning("memory is short: %s of %s MB are used", self._sampled[1] // 10**6, self.budget.total // 10**6)
        return self._level

    def _flush(self, holder: Holder) -> None:
        try:
            holder.flush_largest().result(_FLUSH_S)
        except (AnalyticsError, OSError, RuntimeError, TimeoutError) as error:
            _log.warning("memory is short, and tenant %r could not be flushed: %s", holder.tenant, error)
        self._recount(holder.tenant)

    def _relieve_logged(self) -> None:
        try:
            self.relieve_now()
        except Exception:  # noqa: BLE001 - the next round tries again
            _log.warning("no room could be made in memory, trying again", exc_info=True)


class Reservation:
    """The room of one body, until it is given back, once."""

    __slots__ = ("_memory", "_tenant", "_wanted")

    def __init__(self, memory: HostMemory, tenant: str, wanted: int) -> None:
        self._memory, self._tenant, self._wanted = memory, tenant, wanted

    def done(self, _: Future[Any] | None = None) -> None:
        """Give the room back. Fits `Future.add_done_callback`."""
        wanted, self._wanted = self._wanted, -1
        if wanted >= 0:
            self._memory.settle(self._tenant, wanted)
