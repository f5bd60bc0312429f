"""Repeats a call while what stands in its way passes by itself: a limit, a replaced replica, a lost connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cluster.client import RefusedError
from tenancy.analytics.clock import Clock
from tenancy.analytics.errors import UnavailableError

T = TypeVar("T")

PASSING = frozenset({502, 503, 504})
"""What a proxy answers, in plain text and with no time to wait, while nobody is behind it."""

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 5.0


def patiently(
    attempt: Callable[[], T],
    patience_s: float,
    clock: Clock,
    sleep: Callable[[float], None],
    waiting: Callable[[], bool] = lambda: True,
) -> T:
    """What `attempt` gives. It is repeated for `patience_s` at most, and only as long as `waiting()` says so.

    Pauses are as long as the service asks for, or else double from a quarter of a second to five seconds.
    Raises RefusedError and UnavailableError as the last attempt did.
    """
    deadline = clock.monotonic() + patience_s
    backoff = _FIRST_PAUSE_S
    while True:
        try:
            return attempt()
        except RefusedError as error:
            asked = error.retry_after_s
            if asked is None and error.status not in PASSING:
                raise
            pause = backoff if asked is None else asked
            if clock.monotonic() + pause > deadline or not waiting():
                raise
        except UnavailableError:
            pause = backoff
            if clock.monotonic() + pause > deadline or not waiting():
                raise
        sleep(pause)
        backoff = min(backoff * 2, _LONGEST_PAUSE_S)
