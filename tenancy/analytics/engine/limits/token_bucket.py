"""A token bucket: so much in so many seconds, saved up to a burst, and owed where it is known only afterwards.

Every amount is a whole number and time is counted in nanoseconds, so nothing is ever rounded away: the level is kept
as tokens × nanoseconds of the period. (Turner, "New directions in communications", 1986, calls it a leaky bucket.)
"""

from __future__ import annotations

_NS = 1_000_000_000
_MARGIN_NS = 1_000
"""More than a clock that counts seconds in floating point can be off by."""


class TokenBucket:
    """Lets `amount` through in `period_s` seconds, and at most `burst` at once. Handed the time, in seconds.

    >>> bucket = TokenBucket(amount=100, period_s=1, burst=100, now=0.0)
    >>> bucket.take(100, now=0.0), bucket.take(1, now=0.0)
    (0.0, 0.011)
    >>> bucket.take(1, now=0.011)
    0.0

    The law: in any time, no more than `amount` × time / `period_s` + `burst` is taken. A `charge` is taken in any
    case; what it took too much is owed, and nothing is let through until it has come back.
    """

    __slots__ = ("_at", "_level", "amount", "burst", "period_s")

    def __init__(self, amount: int, period_s: int, burst: int, now: float) -> None:
        self.amount, self.period_s, self.burst = amount, period_s, burst
        self._at = round(now * _NS)
        self._level = burst * period_s * _NS

    def level(self, now: float) -> int:
        """What may be taken now, rounded down; less than nothing where something is owed."""
        self._refill(now)
        return self._level // (self.period_s * _NS)

    def wait_s(self, now: float, amount: int = 1) -> float:
        """Seconds until `amount` may be taken, or what the bucket holds if that is less; 0.0 if it may be now.

        In whole milliseconds, rounded up: whoever waits so long, and takes nothing meanwhile, is let through.
        """
        self._refill(now)
        missing = min(amount, self.burst) * self.period_s * _NS - self._level
        if missing <= 0:
            return 0.0
        return -(-(-(-missing // self.amount) + _MARGIN_NS) // 1_000_000) / 1_000

    def take(self, amount: int, now: float) -> float:
        """Take `amount` and return 0.0, or take nothing and return the seconds to wait.

        An amount above the burst is let through by a full bucket, and owed from then on.
        """
        wait = self.wait_s(now, amount)
        if not wait:
            self.charge(amount, now)
        return wait

    def charge(self, amount: int, now: float) -> None:
        """Take `amount` whether it is there or not; a negative one is given back."""
        self._refill(now)
        full = self.burst * self.period_s * _NS
        self._level = min(self._level - amount * self.period_s * _NS, full)

    def _refill(self, now: float) -> None:
        at = round(now * _NS)
        if at > self._at:
            full = self.burst * self.period_s * _NS
            self._level = min(self._level + (at - self._at) * self.amount, full)
            self._at = at
