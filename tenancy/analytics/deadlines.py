"""Deadlines: one thread that interrupts what has run too long."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_AGAIN_S = 0.02


@dataclass(slots=True)
class Deadline:
    """One call's deadline; `passed` once the call was interrupted."""

    interrupt: Callable[[], None]
    passed: bool = False
    done: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fire(self) -> bool:
        """Interrupts the call unless it is over: afterwards the same connection may be at another one.

        True when it was interrupted, which is worth repeating: an interrupt that comes before the work is lost.
        """
        with self.lock:
            if not self.done:
                self.passed = True
                self.interrupt()
            return not self.done


class Deadlines:
    """Calls `interrupt` of what outlives its time. The thread starts with the first deadline and is a daemon."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Deadline]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def within(self, timeout_s: float, interrupt: Callable[[], None]) -> Iterator[Deadline]:
        """Runs the block; `interrupt` is called from another thread when it takes longer than `timeout_s`."""
        deadline = Deadline(interrupt)
        with self._changed:
            at = time.monotonic() + timeout_s
            sooner = not self._heap or at < self._heap[0][0]
            heapq.heappush(self._heap, (at, next(self._order), deadline))
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="deadlines", daemon=True)
                self._thread.start()
            elif sooner:
                self._changed.notify()
        try:
            yield deadline
        finally:
            with deadline.lock:
                deadline.done = True

    def close(self) -> None:
        """Interrupts what runs, waits until it is over, and stops the thread."""
        with self._changed:
            self._closed = True
            self._heap = [(0.0, number, deadline) for _, number, deadline in self._heap]
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while True:
            with self._changed:
                while self._heap and self._heap[0][2].done:
                    heapq.heappop(self._heap)
                if self._closed and not self._heap:
                    return
                wait_s = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait_s is None or wait_s > 0:
                    self._changed.wait(wait_s)
                    continue
                due = heapq.heappop(self._heap)[2]
            if due.fire():
                with self._changed:
                    heapq.heappush(self._heap, (time.monotonic() + _AGAIN_S, next(self._order), due))
