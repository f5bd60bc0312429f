"""What an actor answered: our own errors as themselves, and one error for an actor that cannot answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ray import ObjectRef
from ray.exceptions import (
    ActorUnschedulableError,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    RayActorError,
    RayTaskError,
    RpcError,
    WorkerCrashedError,
)

from tenancy.analytics.errors import AnalyticsError, UnavailableError

T = TypeVar("T")

_OUT_OF_REACH = (
    RayActorError,
    ActorUnschedulableError,
    NodeDiedError,
    ObjectLostError,
    LocalRayletDiedError,
    RpcError,
    WorkerCrashedError,
)


_DOUBT_S = 1.0
"""How often a caller without an answer looks whether it still waits for the right one."""


async def answer(
    ref: ObjectRef[T], part: str, timeout_s: float, doubt: Callable[[], Awaitable[None]] | None = None
) -> T:
    """The value of `ref`. An error of ours that was raised in the actor is raised here as it was there.

    `doubt` is called about every second of waiting; what it raises ends the waiting. Raises UnavailableError
    naming `part` when its process ended, cannot be reached, or says nothing for `timeout_s`; whether the call
    took effect is then not known.
    """
    left = timeout_s
    while True:
        step = left if doubt is None else min(left, _DOUBT_S)
        try:
            async with asyncio.timeout(step):
                return await ref
        except RayTaskError as error:
            if isinstance(error.cause, AnalyticsError):
                raise error.cause from None
            raise
        except _OUT_OF_REACH as error:
            # Of an actor that failed while it was made, the last line says why.
            told = str(error).strip().splitlines() or [type(error).__name__]
            raise UnavailableError(part, told[-1].strip()[:300]) from error
        except TimeoutError:
            left -= step
            if left <= 0 or doubt is None:
                raise UnavailableError(part, f"no answer for {timeout_s:g} s") from None
        await doubt()
