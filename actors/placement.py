"""What to do with a host, decided from what was seen of it: values in, a step out, nothing else.

>>> when_asked(Sight(Condition.SERVING, epoch=3), current_epoch=3)
<Step.SERVE: 'serve'>
>>> when_asked(Sight(Condition.SERVING, epoch=3), current_epoch=4)
<Step.REPLACE: 'replace'>
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """How a host was found."""

    NEW = "new"
    """Started, or opening its tenant: it answers nothing yet."""
    SERVING = "serving"
    """It owns its tenant, as far as it knows."""
    FENCED = "fenced"
    """It knows that a newer owner took over."""
    RETIRED = "retired"
    """It was idle, wrote everything out and closed."""
    SILENT = "silent"
    """Its process is there, but it did not answer in time."""
    DEAD = "dead"
    """Its process ended."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A host at one moment. `epoch` is None until its tenant is open."""

    condition: Condition
    epoch: int | None = None
    idle_s: float = 0.0
    in_flight: int = 0
    why: str = ""
    """Of a host that is dead or silent, what is known about it."""


class Step(StrEnum):
    """What the directory does next."""

    SERVE = "serve"
    """Hand the host to the caller."""
    OPEN = "open"
    """Let the host take its tenant over, then hand it out."""
    REPLACE = "replace"
    """End the host if it is still there, and start another one."""


def when_asked(sight: Sight, current_epoch: int) -> Step:
    """What to do when a caller asks for the tenant of this host; `current_epoch` is the catalog's.

    A host that serves under an older epoch was fenced off and does not know it yet. One that is silent may
    be alive, so it is replaced too: the epoch, not its end, is what keeps it from committing.
    """
    match sight.condition:
        case Condition.SERVING:
            return Step.SERVE if sight.epoch == current_epoch else Step.REPLACE
        case Condition.NEW:
            return Step.OPEN
        case _:
            return Step.REPLACE


def may_retire(sight: Sight, idle_seconds: float) -> bool:
    """Whether a host has been without work for so long that its tenant may go cold.

    A host that never opened its tenant counts: whoever started it is gone.
    """
    if sight.condition is Condition.SERVING or sight.condition is Condition.NEW:
        return sight.in_flight == 0 and sight.idle_s >= idle_seconds
    return sight.condition is not Condition.SILENT


@dataclass(frozen=True, slots=True)
class Setback:
    """Hosts of one tenant came to nothing, one after the other, and none has served since.

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
