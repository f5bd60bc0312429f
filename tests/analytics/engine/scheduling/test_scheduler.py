from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, wait

import pytest

from tenancy.analytics.config import EngineConfig
from tenancy.analytics.engine.scheduling import FairScheduler, Work
from tenancy.analytics.engine.scheduling.work import Slots

WAIT_S = 30.0


def burn(cpu_s: float) -> str:
    until = time.thread_time() + cpu_s
    while time.thread_time() < until:
        pass
    return "done"


@pytest.fixture
def scheduler() -> Iterator[FairScheduler]:
    one_of_each = {kind: Slots(most=1, most_each=1) for kind in Work}
    made = FairScheduler(EngineConfig(), one_of_each)
    yield made
    made.close()


def held(scheduler: FairScheduler, tenant: str = "holder") -> tuple[threading.Event, Future[bool]]:
    """A job that keeps the only asking thread until the event is set."""
    release, started = threading.Event(), threading.Event()

    def hold() -> bool:
        started.set()
        return release.wait(WAIT_S)

    future = scheduler.lanes(tenant).asking.submit(hold)
    assert started.wait(WAIT_S)
    return release, future


def test_a_quiet_tenant_is_served_between_the_jobs_of_a_loud_one(scheduler: FairScheduler) -> None:
    release, _ = held(scheduler)
    order: list[str] = []
    loud, quiet = scheduler.lanes("loud"), scheduler.lanes("quiet")

    def job(tenant: str) -> None:
        burn(0.004)
        order.append(tenant)

    flood = [loud.asking.submit(job, "loud") for _ in range(50)]
    asked = [quiet.asking.submit(job, "quiet")]
    release.set()
    wait([*flood, *asked], WAIT_S)
    assert order.index("quiet") <= 4


def test_a_heavier_tenant_gets_the_larger_share(scheduler: FairScheduler) -> None:
    release, _ = held(scheduler)
    order: list[str] = []
    lanes = {"heavy": scheduler.lanes("heavy", 3.0), "light": scheduler.lanes("light", 1.0)}

    def job(tenant: str) -> None:
        burn(0.002)
        order.append(tenant)

    jobs = [lanes[tenant].asking.submit(job, tenant) for tenant in ("light", "heavy") for _ in range(60)]
    release.set()
    wait(jobs, WAIT_S)
    assert order[:60].count("heavy") == pytest.approx(45, abs=8)


def test_kinds_do_not_wait_for_each_other(scheduler: FairScheduler) -> None:
    release, future = held(scheduler)
    assert scheduler.lanes("other").storing.submit(burn, 0.0).result(WAIT_S) == "done"
    assert not future.done()
    release.set()


def test_cpu_time_is_counted_for_whose_work_it_was_and_waiting_is_not(scheduler: FairScheduler) -> None:
    busy, lazy = scheduler.lanes("busy"), scheduler.lanes("lazy")
    busy.asking.submit(burn, 0.02).result(WAIT_S)
    lazy.storing.submit(threading.Event().wait, 0.02).result(WAIT_S)
    busy.asking.submit(burn, 0.0).result(WAIT_S)  # after which the first has been counted
    lazy.storing.submit(burn, 0.0).result(WAIT_S)
    assert scheduler.used("busy") >= 0.02
    assert scheduler.used("lazy") < 0.015
    assert busy.used() == scheduler.used("busy")


def test_what_other_threads_did_for_a_job_counts_as_its_own(scheduler: FairScheduler) -> None:
    lanes = scheduler.lanes("ann")
    lanes.asking.submit(scheduler.charge, 0.5).result(WAIT_S)
    lanes.asking.submit(burn, 0.0).result(WAIT_S)
    lanes.asking.submit(burn, 0.0).result(WAIT_S)
    assert scheduler.used("ann") == pytest.approx(0.5, abs=0.05)


def test_an_error_is_the_answer_of_its_job_and_of_no_other(scheduler: FairScheduler) -> None:
    lanes = scheduler.lanes("ann")

    def fail() -> None:
        raise ValueError("as asked")

    failing, fine = lanes.asking.submit(fail), lanes.asking.submit(burn, 0.0)
    with pytest.raises(ValueError, match="as asked"):
        failing.result(WAIT_S)
    assert fine.result(WAIT_S) == "done"


def test_a_cancelled_job_is_never_run(scheduler: FairScheduler) -> None:
    release, _ = held(scheduler)
    ran: list[int] = []
    lanes = scheduler.lanes("ann")
    cancelled, kept = lanes.asking.submit(ran.append, 1), lanes.asking.submit(ran.append, 2)
    assert cancelled.cancel()
    release.set()
    kept.result(WAIT_S)
    assert ran == [2]


def test_a_thread_that_waits_keeps_no_answer_alive(scheduler: FairScheduler) -> None:
    class Answer:
        pass

    answer = weakref.ref(scheduler.lanes("ann").asking.submit(Answer).result(WAIT_S))
    other = scheduler.lanes("bob")
    until = time.monotonic() + WAIT_S
    while answer() is not None and time.monotonic() < until:
        other.storing.submit(gc.collect).result(WAIT_S)
    assert answer() is None


def test_lanes_that_are_closed_take_no_job_and_finish_those_they_have(scheduler: FairScheduler) -> None:
    release, _ = held(scheduler)
    lanes = scheduler.lanes("ann")
    queued = lanes.asking.submit(burn, 0.0)
    lanes.close()
    with pytest.raises(RuntimeError, match="ann"):
        lanes.asking.submit(burn, 0.0)
    release.set()
    assert queued.result(WAIT_S) == "done"


def test_a_tenant_that_comes_back_before_its_old_lanes_closed_is_served(scheduler: FairScheduler) -> None:
    old = scheduler.lanes("ann")
    new = scheduler.lanes("ann")
    old.close()
    assert new.asking.submit(burn, 0.0).result(WAIT_S) == "done"


def test_a_closed_scheduler_does_what_waits_and_takes_no_more() -> None:
    scheduler = FairScheduler(EngineConfig())
    lanes = scheduler.lanes("ann")
    jobs = [lanes.asking.submit(burn, 0.001) for _ in range(50)]
    scheduler.close()
    assert all(job.result(0) == "done" for job in jobs)
    with pytest.raises(RuntimeError, match="closed"):
        lanes.asking.submit(burn, 0.0)


def test_threads_that_answer_soon_come_before_those_that_collect_and_these_before_patient_ones() -> None:
    scheduler = FairScheduler(EngineConfig())
    lanes = scheduler.lanes("ann")

    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    try:
        for lane, by in (
            (lanes.collecting, 10),
            (lanes.storing, 10),
            (lanes.patient, 15),
            (lanes.background, 15),
        ):
            nested = lanes.collecting.submit(lane.submit, nice).result(WAIT_S)
            for submitted in (lane.submit(nice), nested):
                assert submitted.result(WAIT_S) == min(19, nice() + by)
        assert lanes.patient.submit(lambda: lanes.asking.submit(nice)).result(WAIT_S).result(WAIT_S) == nice()
    finally:
        scheduler.close()
