from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pytest

from tenancy.analytics.engine.scheduling import CrewClock

TABLE = "CREATE TABLE numbers AS SELECT n, n % 1000 AS key FROM range(3_000_000) AS r(n)"
COUNT = "SELECT key, count(DISTINCT n % 77), sum(sqrt(n)) FROM numbers GROUP BY key"


def burn(cpu_s: float) -> None:
    until = time.thread_time() + cpu_s
    while time.thread_time() < until:
        pass


def test_what_the_threads_of_a_library_did_for_a_call_is_measured() -> None:
    clock, made = CrewClock("test-duckdb"), []

    def make() -> None:
        clock.adopt()
        made.append(duckdb.connect(config={"threads": 3}))
        made[0].execute(TABLE)

    with ThreadPoolExecutor(1) as crew:
        crew.submit(make).result()
    with made[0] as connection:
        process, own = time.process_time(), time.thread_time()
        with clock.using() as use:
            until = time.monotonic() + 30
            # On a busy machine the caller may be through before any of the others gets a core.
            while not use.cpu_s and time.monotonic() < until:
                connection.execute(COUNT).fetchall()
                with clock.using():  # somebody else comes, and what was used before is shared out
                    pass
        own, process = time.thread_time() - own, time.process_time() - process
    assert use.cpu_s > 0
    assert own + use.cpu_s <= process + 0.02


def test_who_uses_the_crew_at_the_same_time_shares_its_cost_and_nobody_pays_for_before() -> None:
    clock, work, done = CrewClock("test-crew"), threading.Semaphore(0), threading.Semaphore(0)

    def serve() -> None:
        for _ in range(4):
            work.acquire()
            burn(0.05)
            done.release()

    def adopted() -> None:
        clock.adopt()
        threading.Thread(target=serve, daemon=True).start()

    def one_job() -> None:
        work.release()
        assert done.acquire(timeout=30)

    founder = threading.Thread(target=adopted)
    founder.start()
    founder.join()
    one_job()
    with clock.using() as first:
        one_job()
        with clock.using() as second:
            one_job()
    assert first.cpu_s == pytest.approx(0.075, abs=0.02)
    assert second.cpu_s == pytest.approx(0.025, abs=0.01)
    one_job()
