"""Clients: one that waits as long as it is told and tries again, and one that does not care."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How a request ended, as its sender sees it."""

    OK = "ok"
    REFUSED = "refused"
    """Nothing happened, by the answer's own word (429, 507)."""
    UNKNOWN = "unknown"
    """No answer, or one that leaves open whether it happened (5xx, a lost connection, too late)."""
    WRONG = "wrong"
    """It will never work (4xx)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One try. `status` is 0 where no answer came."""

    outcome: Outcome
    status: int = 0
    retry_after_s: float | None = None
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Told:
    """One request, with all its tries."""

    answer: Answer
    tries: int
    added_s: float
    """From the end of the first try to the end of the last: what failing cost."""

    @property
    def at_once(self) -> bool:
        """Whether the first try succeeded."""
        return self.tries == 1 and self.answer.outcome is Outcome.OK


@dataclass(frozen=True, slots=True)
class Patience:
    """How a client behaves when it is refused."""

    honours: bool = True
    """Whether it waits `Retry-After` and tries again; otherwise the first answer is the last."""
    without_s: float = 0.2
    """The first wait where the answer does not say how long (a lost connection); it doubles up to `most_wait_s`."""
    most_wait_s: float = 2.0
    most_s: float = 60.0
    """After so long the request has failed."""


PATIENT = Patience()
IMPATIENT = Patience(honours=False)

Attempt = Callable[[], Awaitable[Answer]]


async def persist(
    attempt: Attempt,
    patience: Patience = PATIENT,
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    chance: Callable[[], float] = random.random,
) -> Told:
    """Make a request until it succeeds, will never work, or patience ends.

    An attempt must be safe to repeat: a query, or a batch with its idempotency key. Waits are lengthened by up to a
    tenth at random, so that clients refused together do not return together.
    """
    began = now()
    answer, tries, unguided = await attempt(), 1, patience.without_s
    first = now()
    while patience.honours and answer.outcome in (Outcome.REFUSED, Outcome.UNKNOWN):
        wait = answer.retry_after_s
        if wait is None:
            wait, unguided = unguided, min(2 * unguided, patience.most_wait_s)
        wait *= 1 + chance() / 10
        if now() + wait - began > patience.most_s:
            break
        await sleep(wait)
        answer, tries = await attempt(), tries + 1
    return Told(answer, tries, now() - first)
