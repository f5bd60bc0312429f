"""A database out of reach is found out by one caller at a time; the others are told at once.

A circuit breaker (Nygard, "Release It!", 2007): without it every thread of a host would wait for the same time-out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tenancy.analytics.errors import CatalogUnavailableError

PROBE_S = 0.5
"""How often, while it is out of reach, somebody tries."""


class Breaker:
    """Whether to try. From any thread.

    >>> now = [0.0]
    >>> breaker = Breaker(lambda: now[0])
    >>> breaker.failed("connection refused")
    >>> breaker.enter()
    Traceback (most recent call last):
    tenancy.analytics.errors.CatalogUnavailableError: catalog is not available (connection refused); repeat the call
    >>> now[0] = 1.0
    >>> breaker.enter(); breaker.succeeded(); breaker.enter()
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._next_try = 0.0

    def enter(self) -> None:
        """Returns when the caller shall try; raises CatalogUnavailableError when another one has just failed."""
        reason = self._reason
        if reason is None:
            return
        with self._lock:
            now = self._monotonic()
            if now < self._next_try:
                raise CatalogUnavailableError(reason)
            self._next_try = now + PROBE_S

    def failed(self, reason: str) -> None:
        """The database was out of reach."""
        with self._lock:
            self._reason, self._next_try = reason, self._monotonic() + PROBE_S

    def succeeded(self) -> None:
        """It answered."""
        self._reason = None
