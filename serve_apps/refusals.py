"""Refusals that a replica repeats by itself, so that a flood of refused calls does not load the tenant's host."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from tenancy.analytics.errors import LimitExceededError

_MOST = 10_000
_GUESSED = {"concurrent_queries": 0.2}
"""Where nobody knows when there is room again, how long at most a refusal is repeated."""


class Kind(StrEnum):
    """Calls that the same limits are for."""

    COLLECTING = "collecting"
    QUERYING = "querying"


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: LimitExceededError
    over_at: float
    ask_at: float


class Refusals:
    """Remembers until when which calls of which tenant are refused. Handed the time; of one event loop.

    >>> refusals = Refusals(remembered_s=5.0)
    >>> refusals.remember(Kind.QUERYING, LimitExceededError("t", "queries_per_second", 1, 1, 0.5), now=10.0)
    >>> refusals.repeated("t", Kind.QUERYING, now=10.2)
    LimitExceededError('t', 'queries_per_second', 1, 1, 0.3)
    >>> refusals.repeated("t", Kind.QUERYING, now=10.5), refusals.repeated("t", Kind.COLLECTING, now=10.2)
    (None, None)
    """

    def __init__(self, remembered_s: float) -> None:
        """After `remembered_s` the host is asked again, for its limits may have been raised."""
        self._remembered_s = remembered_s
        self._known: OrderedDict[tuple[str, Kind], _Refusal] = OrderedDict()

    def remember(self, kind: Kind, error: LimitExceededError, now: float) -> None:
        """The host refused a call; one that gives no time to come back is not remembered."""
        if error.wait_s is None:
            return
        place = error.tenant, kind
        lasting = min(error.wait_s, self._remembered_s, _GUESSED.get(error.limit, math.inf))
        self._known.pop(place, None)
        self._known[place] = _Refusal(error, now + error.wait_s, now + lasting)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def repeated(self, tenant: str, kind: Kind, now: float) -> LimitExceededError | None:
        """The refusal that still holds, with the time that is left; None where the host is to be asked."""
        known = self._known.get((tenant, kind))
        if known is None:
            return None
        if now >= known.ask_at:
            del self._known[tenant, kind]
            return None
        error, left = known.error, math.ceil((known.over_at - now) * 1000 - 1e-6) / 1000
        return LimitExceededError(error.tenant, error.limit, error.allowed, error.used, left)

    def forget(self, tenant: str) -> None:
        """The tenant's limits were changed here."""
        for kind in Kind:
            self._known.pop((tenant, kind), None)


class Slots:
    """How many requests of one tenant a replica works on at once, so that none fills a replica.

    >>> slots = Slots(most=1)
    >>> with slots.taken("t"), slots.taken("u"), slots.taken("t"):
    ...     pass
    Traceback (most recent call last):
    tenancy.analytics.errors.LimitExceededError: tenant 't' is over its limit concurrent_requests=1 (1 used); \
retry in 1.0 s
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._busy: Counter[str] = Counter()

    @contextmanager
    def taken(self, tenant: str) -> Iterator[None]:
        """One of them, while the block runs; LimitExceededError when all are taken."""
        if self._busy[tenant] >= self._most:
            raise LimitExceededError(tenant, "concurrent_requests", self._most, self._busy[tenant], 1.0)
        self._busy[tenant] += 1
        try:
            yield
        finally:
            self._busy[tenant] -= 1
            if not self._busy[tenant]:
                del self._busy[tenant]
