"""Group commit: what arrives while the last group is being written is written together.

One job on a shared executor for a queue that is not empty, and none for one that is; so a thousand idle
datasets cost no thread. DeWitt et al., "Implementation Techniques for Main Memory Database Systems" (1984).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tenancy.analytics.errors import UnavailableError

GROUP_BYTES = 16 * 1024 * 1024
"""Where a group ends, so that what replays it needs little memory."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[T]):
    item: T
    rows: int
    bytes: int
    done: Future[None] = field(default_factory=Future)


class GroupCommit(Generic[T]):
    """A queue that `write` is called on, a group at a time, in the order of arrival.

    When `write` raises, its group fails with that error and so does everything that is queued behind it,
    for what was admitted later may rest on what failed. `undo` is told of all that failed before any caller
    is, so a caller that repeats the call meets no trace of the first one.
    """

    def __init__(
        self,
        write: Callable[[Sequence[T]], None],
        undo: Callable[[Sequence[T]], None],
        executor: Executor,
        linger_s: float,
    ) -> None:
        self._write, self._undo, self._executor, self._linger_s = write, undo, executor, linger_s
        self._queue: deque[_Waiting[T]] = deque()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._scheduled = False
        self._closed = False
        self.pending_rows = 0
        self.pending_bytes = 0

    def submit(self, item: T, rows: int, size: int) -> Future[None]:
        """Queue `item`. The future is done when its group is written; it cannot be cancelled."""
        waiting = _Waiting(item, rows, size)
        waiting.done.set_running_or_notify_cancel()
        with self._lock:
            refused = self._closed
            if not refused:
                self._queue.append(waiting)
                self.pending_rows += rows
                self.pending_bytes += size
            schedule = not refused and not self._scheduled
            self._scheduled = self._scheduled or schedule
        if refused:
            self._undo([item])
            waiting.done.set_exception(UnavailableError("the dataset", "its owner is closing"))
        elif schedule:
            self._schedule(self._linger_s)
        return waiting.done

    def drive(self, timeout_s: float = 0.05) -> None:
        """Write a group in this thread, or wait until another has; so that waiting never needs a free worker."""
        if self._writing.acquire(timeout=timeout_s):
            try:
                self._write_group()
            finally:
                self._writing.release()

    def close(self) -> None:
        """Admit nothing more, and write what is queued."""
        with self._lock:
            self._closed = True
        while self._queue or self.pending_rows:
            self.drive()
        with self._writing:  # a group that is being written is finished
            return

    def _schedule(self, linger_s: float) -> None:
        try:
            self._executor.submit(self._job, linger_s)
        except RuntimeError:  # the executor is shut down: this thread does what is left
            _log.debug("the executor is shut down, a group is written by its caller")
            self._job(0.0)

    def _job(self, linger_s: float) -> None:
        if linger_s:
            time.sleep(linger_s)
        with self._writing:
            self._write_group()
        with self._lock:
            again = self._scheduled = bool(self._queue)
        if again:
            # A job of its own rather than a loop, so that other datasets get their turn.
            self._schedule(0.0)

    def _write_group(self) -> None:
        with self._lock:
            group = self._take()
        if not group:
            return
        try:
            self._write([waiting.item for waiting in group])
        except BaseException as error:
            with self._lock:
                group += self._queue
                self._queue.clear()
            self._undo([waiting.item for waiting in group])
            self._settle(group, error)
            if not isinstance(error, Exception):
                raise
        else:
            self._settle(group, None)

    def _take(self) -> list[_Waiting[T]]:
        group: list[_Waiting[T]] = []
        size = 0
        while self._queue and (not group or size + self._queue[0].bytes <= GROUP_BYTES):
            group.append(self._queue.popleft())
            size += group[-1].bytes
        return group

    def _settle(self, group: Sequence[_Waiting[T]], error: BaseException | None) -> None:
        with self._lock:
            self.pending_rows -= sum(waiting.rows for waiting in group)
            self.pending_bytes -= sum(waiting.bytes for waiting in group)
        for waiting in group:
            if error is None:
                waiting.done.set_result(None)
            else:
                waiting.done.set_exception(error)
