"""The one place that sees all of a tenant's calls, and lets in no more of them than the tenant may make."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from tenancy.analytics.clock import Clock
from tenancy.analytics.engine.limits.tenant_limits import TenantLimits
from tenancy.analytics.engine.limits.token_bucket import TokenBucket
from tenancy.analytics.errors import LimitExceededError

EVENTS, BYTES, QUERIES = "events_per_second", "bytes_per_second", "queries_per_second"
CONCURRENT, STORED, SCANNED = "concurrent_queries", "stored_bytes", "scanned_bytes_per_hour"

_HOUR_S = 3600
_PERIODS_S: Mapping[str, int] = {EVENTS: 1, BYTES: 1, QUERIES: 1, SCANNED: _HOUR_S}
_FIRST_GUESS_S, _LEAST_WAIT_S, _MOST_WAIT_S, _WEIGHT = 0.5, 0.05, 10.0, 0.2
_STORED_VALID_S = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant stands with one of its limits."""

    limit: str
    allowed: int
    used: int
    """What was used and has not come back."""
    wait_s: float | None = 0.0
    """Seconds until a call would be let in; None where no waiting helps."""


@dataclass(slots=True)
class Ticket:
    """A body that was let in."""

    rows: int = 0
    """How many rows it were in the end."""


class Gate:
    """Admission of one tenant. From any thread; never blocks.

    A limit per second lets a call in while anything of it is left and counts the whole call, so a large body passes
    like a small one and what it took too much is owed. Nothing that was let in is ever cancelled.
    """

    def __init__(
        self,
        tenant: str,
        limits: TenantLimits,
        burst_seconds: int,
        clock: Clock,
        stored: Callable[[], int],
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`stored` tells the bytes of the tenant's segments; it is asked about once a second, under a limit on them.

        `refused` is told the limit of every call that is refused.
        """
        self._tenant, self._burst_s, self._clock, self._stored = tenant, burst_seconds, clock, stored
        self._refused = refused
        self._lock = threading.Lock()
        self._limits = TenantLimits()
        self._buckets: dict[str, TokenBucket] = {}
        self._running = 0
        self._query_s: float | None = None
        self._share = 1.0
        """Of the rows that a body has at most, how many it has: objects in objects look like rows at a glance."""
        self._known_stored = (float("-inf"), 0)
        self.change(limits)

    @property
    def limits(self) -> TenantLimits:
        """What the tenant may use now."""
        return self._limits

    def change(self, limits: TenantLimits) -> None:
        """Other limits from now on; what was used of a limit that stays counts on, debts too."""
        with self._lock:
            now = self._clock.monotonic()
            before, self._buckets = self._buckets, {}
            for name, period_s in _PERIODS_S.items():
                amount = getattr(limits, name)
                if amount is None:
                    continue
                burst = amount * self._burst_s if period_s == 1 else amount
                old = before.get(name)
                if old is not None and old.amount == amount:
                    self._buckets[name] = old
                    continue
                bucket = self._buckets[name] = TokenBucket(amount, period_s, burst, now)
                if old is not None:
                    bucket.charge(old.burst - old.level(now), now)
            self._limits = limits

    @contextmanager
    def collecting(self, rows_at_most: Callable[[], int], size: int) -> Iterator[Ticket]:
        """Let a body in, or raise LimitExceededError.

        While the block runs it counts as `rows_at_most`, less by what bodies of this tenant had less so far; from then
        on as the rows that its ticket says.
        """
        most = rows_at_most() if EVENTS in self._buckets else 0
        with self._lock:
            now = self._clock.monotonic()
            taken = math.ceil(most * self._share)
            self._refuse_over(self._over_stored(now), *self._over(now, EVENTS, BYTES))
            for name, amount in ((EVENTS, taken), (BYTES, size)):
                if name in self._buckets:
                    self._buckets[name].charge(amount, now)
        ticket = Ticket()
        try:
            yield ticket
        finally:
            self._charge(EVENTS, ticket.rows - taken)
            if most and ticket.rows:
                self._share += _WEIGHT * (min(ticket.rows / most, 1.0) - self._share)

    @contextmanager
    def querying(self) -> Iterator[None]:
        """Let a query in, for as long as the block runs, or raise LimitExceededError."""
        with self._lock:
            started = self._clock.monotonic()
            self._refuse_over(self._over_concurrent(), *self._over(started, QUERIES, SCANNED))
            if QUERIES in self._buckets:
                self._buckets[QUERIES].charge(1, started)
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
                took, known = self._clock.monotonic() - started, self._query_s
                self._query_s = took if known is None else known + _WEIGHT * (took - known)

    def scanned(self, size: int) -> None:
        """A query has read so many bytes."""
        self._charge(SCANNED, size)

    def standings(self) -> tuple[Standing, ...]:
        """How the tenant stands with each limit it has."""
        with self._lock:
            now = self._clock.monotonic()
            found = [self._standing(name, now) for name in self._buckets]
            if self._limits.concurrent_queries is not None:
                found.append(
                    Standing(CONCURRENT, self._limits.concurrent_queries, self._running, self._wait_for_query())
                )
            if self._limits.stored_bytes is not None:
                used = self._stored_now(now)
                left = used < self._limits.stored_bytes
                found.append(Standing(STORED, self._limits.stored_bytes, used, 0.0 if left else None))
        return tuple(found)

    def _charge(self, name: str, amount: int) -> None:
        with self._lock:
            bucket = self._buckets.get(name)
            if bucket is not None:
                bucket.charge(amount, self._clock.monotonic())

    def _standing(self, name: str, now: float) -> Standing:
        bucket = self._buckets[name]
        return Standing(name, bucket.amount, bucket.burst - bucket.level(now), bucket.wait_s(now))

    def _over(self, now: float, *names: str) -> Iterator[Standing]:
        for name in names:
            if name in self._buckets:
                standing = self._standing(name, now)
                if standing.wait_s:
                    yield standing

    def _over_concurrent(self) -> Standing | None:
        wait = self._wait_for_query()
        allowed = self._limits.concurrent_queries
        return Standing(CONCURRENT, allowed, self._running, wait) if allowed is not None and wait else None

    def _wait_for_query(self) -> float:
        """A guess, from how long queries took: nobody knows when one ends."""
        allowed = self._limits.concurrent_queries
        if allowed is None or self._running < allowed:
            return 0.0
        if self._query_s is None:
            return _FIRST_GUESS_S
        return round(min(max(self._query_s / self._running, _LEAST_WAIT_S), _MOST_WAIT_S), 3)

    def _over_stored(self, now: float) -> Standing | None:
        allowed = self._limits.stored_bytes
        if allowed is None:
            return None
        used = self._stored_now(now)
        return Standing(STORED, allowed, used, None) if used >= allowed else None

    def _stored_now(self, now: float) -> int:
        if now - self._known_stored[0] >= _STORED_VALID_S:
            self._known_stored = now, self._stored()
        return self._known_stored[1]

    def _refuse_over(self, *over: Standing | None) -> None:
        """Raise for the limit that takes longest, so that waiting as long as it says is enough."""
        found = [standing for standing in over if standing is not None]
        if found:
            worst = max(found, key=lambda standing: float("inf") if standing.wait_s is None else standing.wait_s)
            self._refused(worst.limit)
            raise LimitExceededError(self._tenant, worst.limit, worst.allowed, worst.used, worst.wait_s)
