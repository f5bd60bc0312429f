"""The time that a tenant's storage lives by: what is remembered for a while is, whatever is done to the wall clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from tenancy.analytics.clock import Clock


class StorageClock:
    """A clock that is never set, neither forward nor back, and goes on from where earlier owners left it.

    Within a process it counts what passes. A process that begins while the wall clock is behind starts from the
    newest time that is stored, so that what was stored stays older than what is stored now, and is remembered as
    long. One that begins while the wall clock is ahead cannot be told from one that begins that much later. The idea
    is that of Kulkarni et al., "Logical Physical Clocks" (2014).

    >>> from tenancy.analytics.testing import ManualClock
    >>> machine = ManualClock()
    >>> clock = StorageClock(machine)
    >>> machine.jump(timedelta(days=1))
    >>> clock.now() == ManualClock().now()
    True
    >>> clock.not_before(machine.now())
    >>> clock.now() == machine.now()
    True
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return self._clock.steady() + self._ahead

    def steady(self) -> datetime:
        return self.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def not_before(self, stored: datetime) -> None:
        """Something was stored at that time, so it is at least as late now. For the owner, before it stores."""
        self._ahead = max(self._ahead, stored - self._clock.steady())
