"""Injected time: everything that asks for the time is handed a clock, so tests advance it instead of sleeping."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored, monotonic time for what is measured."""

    def now(self) -> datetime:
        """The current time, timezone-aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never goes back."""
        ...

    def steady(self) -> datetime:
        """The wall time when the clock was made, and what passed since: for ages that outlive the process.

        It does not follow when somebody, or NTP, sets the wall clock, so nothing gets old or young by that.
        """
        ...


class SystemClock:
    """The machine's own clocks.

    >>> SystemClock().now().tzinfo
    datetime.timezone.utc
    """

    def __init__(self) -> None:
        self._began = datetime.now(UTC) - timedelta(seconds=time.monotonic())

    def __reduce__(self) -> tuple[type[SystemClock], tuple[()]]:
        return SystemClock, ()  # another machine's monotonic clock has another origin

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def steady(self) -> datetime:
        return self._began + timedelta(seconds=time.monotonic())
