"""A tenant's way into the fair queue: an executor for each kind of work."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from tenancy.analytics.engine.scheduling.work import Work

P = ParamSpec("P")
T = TypeVar("T")


class Lane(Executor):
    """Jobs of one tenant and one kind, as whoever expects an executor submits them."""

    def __init__(self, submit: Callable[[Work, Callable[[], Any]], Future[Any]], kind: Work) -> None:
        self._submit, self._kind = submit, kind

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call. RuntimeError once the tenant's lanes are closed, as of any executor that is shut down."""
        call = (lambda: fn(*args, **kwargs)) if args or kwargs else fn
        return self._submit(self._kind, call)


@dataclass(frozen=True, slots=True)
class Lanes:
    """The lanes of one tenant."""

    collecting: Lane
    storing: Lane
    asking: Lane
    patient: Lane
    background: Lane
    used: Callable[[], float]
    """CPU seconds that the tenant's work has taken so far."""
    weigh: Callable[[float], None]
    """Change the tenant's share."""
    close: Callable[[], None]
    """Take no job any more; those that wait are done."""
