"""CPU time of threads that a library started by itself, shared out among those that it worked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TASKS = Path("/proc/self/task")
_CPUCLOCK_SCHED, _CPUCLOCK_PERTHREAD = 2, 4


@dataclass(slots=True, eq=False)
class Use:
    """What one user of the crew has cost so far; final when its block is over."""

    cpu_s: float = 0.0


class CrewClock:
    """Measures the threads that an adopted thread starts: the kernel hands its name down to them (Linux only).

    Users at the same time share what is used equally, moment by moment: whose work a thread did is not told.
    """

    def __init__(self, name: str) -> None:
        self._name = name[:15]  # as long as a thread's name may be
        self._lock = threading.Lock()
        self._clocks: list[int] | None = None
        self._last_s = 0.0
        self._users: list[Use] = []

    def adopt(self) -> None:
        """Give this thread the name of the crew, to be handed down to every thread that it starts."""
        if _TASKS.exists():
            (_TASKS / str(threading.get_native_id()) / "comm").write_text(self._name)

    @contextmanager
    def using(self) -> Iterator[Use]:
        """Count what the crew does while the block runs; all of its threads were started before."""
        use = Use()
        with self._lock:
            self._share()
            self._users.append(use)
        try:
            yield use
        finally:
            with self._lock:
                self._share()
                self._users.remove(use)

    def _share(self) -> None:
        now_s = self._total_s()
        for use in self._users:
            use.cpu_s += max(0.0, now_s - self._last_s) / len(self._users)
        self._last_s = now_s

    def _total_s(self) -> float:
        if self._clocks is None:
            self._clocks = [_clock(int(task.name)) for task in _tasks() if _name(task) == self._name]
        return sum(map(_cpu_s, self._clocks))


def _tasks() -> list[Path]:
    return list(_TASKS.iterdir()) if _TASKS.exists() else []


def _name(task: Path) -> str:
    try:
        return (task / "comm").read_text().strip()
    except OSError:  # it ended meanwhile
        return ""


def _clock(thread: int) -> int:
    """The clock of any thread of this process, as the C library's `pthread_getcpuclockid` makes it.

    Files below /proc lag behind while the thread is on a core.
    """
    return (~thread << 3) | _CPUCLOCK_PERTHREAD | _CPUCLOCK_SCHED


def _cpu_s(clock: int) -> float:
    try:
        return time.clock_gettime(clock)
    except OSError:  # the thread has ended
        return 0.0
