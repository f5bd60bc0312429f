"""The threads of one host, and the fair queue that gives them work."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tenancy.analytics.config import EngineConfig
from tenancy.analytics.engine.scheduling.costs import Costs
from tenancy.analytics.engine.scheduling.deficit_round_robin import DeficitRoundRobin, Turn
from tenancy.analytics.engine.scheduling.lanes import Lane, Lanes
from tenancy.analytics.engine.scheduling.work import Slots, Work, slots

QUANTUM_S = 0.005
"""CPU seconds that a tenant of weight 1 may take at a turn."""


@dataclass(slots=True, eq=False)
class _Tenant:
    costs: Costs = field(default_factory=Costs)
    used_s: float = 0.0
    open: int = 1
    """How many owners of lanes there are: a tenant may come back before the last one left."""


class _Current(threading.local):
    """The job of each thread."""

    elsewhere_s = 0.0


@dataclass(slots=True, eq=False)
class _Job:
    owner: _Tenant
    call: Callable[[], Any]
    done: Future[Any]


class FairScheduler:
    """Does the work of many tenants on a few threads, in turns that are fair by CPU time and weight.

    Work is conserved: a thread that is free takes whatever of its kind waits. A job is charged to its tenant with
    what such jobs have cost, and with the difference once it is done, so one who is underestimated waits the longer
    for the next turn. Kinds have threads of their own (`work.py`), and a tenant has one account for all kinds.
    """

    def __init__(self, config: EngineConfig, slots_of: Mapping[Work, Slots] | None = None) -> None:
        self._slots = slots_of or slots(config.max_workers)
        self._queue = DeficitRoundRobin[Work, _Job](
            QUANTUM_S, {kind: each.most_each for kind, each in self._slots.items()}
        )
        self._tenants: dict[str, _Tenant] = {}
        self._lock = threading.Lock()
        self._wake = {kind: threading.Condition(self._lock) for kind in self._slots}
        self._sleeping = dict.fromkeys(self._slots, 0)
        self._closed = False
        self._current = _Current()
        # All at once and here: later one would inherit how far the thread gives way that happened to submit a job.
        self._threads = [
            threading.Thread(target=self._work, args=(kind,), name=f"{kind}-{number}", daemon=True)
            for kind, each in self._slots.items()
            for number in range(each.most)
        ]
        for thread in self._threads:
            thread.start()

    def lanes(self, tenant: str, weight: float = 1.0) -> Lanes:
        """The lanes of `tenant`, to be closed when it leaves."""
        with self._lock:
            known = self._tenants.get(tenant)
            if known is None:
                known = self._tenants[tenant] = _Tenant()
            else:
                known.open += 1
            self._queue.open(tenant, weight)
        closed = threading.Event()

        def submit(kind: Work, call: Callable[[], Any]) -> Future[Any]:
            if closed.is_set():
                raise RuntimeError(f"the lanes of tenant {tenant!r} are closed")
            return self._submit(tenant, known, kind, call)

        def close() -> None:
            if not closed.is_set():
                closed.set()
                self._leave(tenant, known)

        made = {kind: Lane(submit, kind) for kind in self._slots}
        return Lanes(
            made[Work.COLLECTING],
            made[Work.STORING],
            made[Work.ASKING],
            made[Work.PATIENT],
            made[Work.BACKGROUND],
            used=lambda: known.used_s,
            weigh=partial(self._weigh, tenant),
            close=close,
        )

    def used(self, tenant: str) -> float:
        """CPU seconds that the work of a tenant has taken so far."""
        known = self._tenants.get(tenant)
        return 0.0 if known is None else known.used_s

    def charge(self, cpu_s: float) -> None:
        """Count CPU time of other threads as that of the job that calls this."""
        self._current.elsewhere_s += cpu_s

    def waiting(self) -> int:
        """Jobs that wait for their turn."""
        with self._lock:
            return len(self._queue)

    def close(self) -> None:
        """End every thread once all work is done."""
        with self._lock:
            self._closed = True
            for condition in self._wake.values():
                condition.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def _submit(self, tenant: str, known: _Tenant, kind: Work, call: Callable[[], Any]) -> Future[Any]:
        done: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the scheduler is closed")
            cost = known.costs.guess(kind, self._slots[kind].prior_s)
            self._queue.push(tenant, kind, cost, _Job(known, call, done))
            if self._sleeping[kind]:
                self._sleeping[kind] -= 1
                self._wake[kind].notify()
        return done

    def _work(self, kind: Work) -> None:
        give_way(self._slots[kind].nice)
        with self._lock:
            turn = self._next(kind)
        while turn is not None:
            began = time.thread_time()
            self._current.elsewhere_s = 0.0
            _run(turn.job)
            cost = time.thread_time() - began + self._current.elsewhere_s
            with self._lock:
                self._settle(turn, cost)
                turn = None  # a thread that waits keeps nobody's answer alive
                turn = self._next(kind)

    def _settle(self, turn: Turn[Work, _Job], cost: float) -> None:
        turn.job.owner.used_s += cost
        turn.job.owner.costs.learn(turn.kind, cost)
        self._queue.settle(turn, cost)

    def _next(self, kind: Work) -> Turn[Work, _Job] | None:
        """The next job, waited for; None once the scheduler is closed. Called with the lock held."""
        while True:
            turn = self._queue.pop(kind)
            if turn is not None or self._closed:
                return turn
            self._sleeping[kind] += 1
            self._wake[kind].wait()

    def _weigh(self, tenant: str, weight: float) -> None:
        with self._lock:
            self._queue.open(tenant, weight)

    def _leave(self, tenant: str, known: _Tenant) -> None:
        with self._lock:
            known.open -= 1
            if not known.open:
                self._queue.close(tenant)
                del self._tenants[tenant]


def give_way(nice: int) -> None:
    """Let this thread, and threads that it starts, give way to others by so much (Linux has a nice value a thread)."""
    if nice:
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(19, os.getpriority(os.PRIO_PROCESS, thread) + nice))


def _run(job: _Job) -> None:
    if not job.done.set_running_or_notify_cancel():
        return
    try:
        result = job.call()
    except BaseException as error:  # noqa: BLE001 - it is the answer to whoever submitted the job
        job.done.set_exception(error)
    else:
        job.done.set_result(result)
