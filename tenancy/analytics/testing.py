"""Fakes for tests of code that uses the library: a clock that moves only when told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class ManualClock:
    """A clock that stands still until it is advanced.

    >>> clock = ManualClock(datetime(2025, 7, 15, tzinfo=UTC))
    >>> clock.advance(timedelta(hours=1))
    >>> clock.now().isoformat()
    '2025-07-15T01:00:00+00:00'
    """

    def __init__(self, now: datetime = datetime(2025, 1, 1, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, by: timedelta) -> None:
        """Move both clocks forward by `by`."""
        self._now += by
        self._monotonic += by.total_seconds()
