"""Deadlines: one thread that interrupts what has run too long."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Deadline:
    """One call's deadline; `passed` once the call was interrupted."""

    interrupt: Callable[[], None]
    passed: bool = False
    done: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fire(self) -> None:
        """Interrupts the call unless it is over: afterwards the same connection may be at another one."""
        with self.lock:
            if not self.done:
                self.passed = True
                self.interrupt()


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
                self._thread = threading.Thread(target=self._watch, name="query-deadlines", daemon=True)
                self._thread.start()
            elif sooner:
                self._changed.notify()
        try:
            yield deadline
        finally:
            with deadline.lock:
                deadline.done = True

    def close(self) -> None:
        """Stops the thread; calls that still run are interrupted."""
        with self._changed:
            self._closed = True
            running = [deadline for _, _, deadline in self._heap]
            self._changed.notify()
        for deadline in running:
            deadline.fire()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while True:
            with self._changed:
                if self._closed:
                    return
                while self._heap and self._heap[0][2].done:
                    heapq.heappop(self._heap)
                wait_s = self._heap[0][0] - time.monotonic() if self._heap else None
                if wait_s is None or wait_s > 0:
                    self._changed.wait(wait_s)
                    continue
                due = heapq.heappop(self._heap)[2]
            due.fire()
