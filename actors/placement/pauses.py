"""How long to wait before something that failed is tried again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setback:
    """A host came to nothing, once or several times in a row, and has not served since.

    A host is a process, and to start one takes a core for a second or so; a cause that stays, such as a key
    that is gone, must not cost more than that now and then, however many callers ask.
    """

    why: str
    """What is known about the last one."""
    pause_s: float
    not_before: float
    """When the next one may start, on the clock that measures."""


def set_back(before: Setback | None, why: str, now: float, first_s: float = 0.1, most_s: float = 15.0) -> Setback:
    """One more host came to nothing: the next may start at once, then after pauses that double up to `most_s`.

    >>> set_back(None, "it died", now=7.0)
    Setback(why='it died', pause_s=0.0, not_before=7.0)
    >>> set_back(set_back(None, "it died", now=7.0), "it died again", now=8.0)
    Setback(why='it died again', pause_s=0.1, not_before=8.1)
    """
    pause = 0.0 if before is None else min(max(before.pause_s * 2, first_s), most_s)
    return Setback(why, pause, now + pause)


def pauses(first_s: float = 0.01, most_s: float = 0.5) -> Iterator[float]:
    """Seconds to wait before each repetition of a call: none, then doubling up to `most_s`.

    >>> waits = pauses()
    >>> [next(waits) for _ in range(4)]
    [0.0, 0.01, 0.02, 0.04]
    """
    yield 0.0
    pause = first_s
    while True:
        yield pause
        pause = min(pause * 2, most_s)
