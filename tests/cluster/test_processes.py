import os
import subprocess
import sys
import time
from uuid import uuid4

from cluster.processes import marked, started_at, stop
from cluster.serve_environment import MARKER

SLEEP = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)",
]


def start(command: list[str], marker: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, env={**os.environ, MARKER: marker}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_marked_processes_end_and_others_live() -> None:
    mine, theirs = uuid4().hex, uuid4().hex
    supervisor, child, other = start(SLEEP, mine), start(SLEEP, mine), start(SLEEP, theirs)
    try:
        assert set(marked(mine)) == {supervisor.pid, child.pid}
        killed = stop(supervisor.pid, started_at(supervisor.pid), mine, patience_s=1.0)
        assert killed == 1
        assert supervisor.wait(5) == -15
        assert child.wait(5) == -9
        assert other.poll() is None
    finally:
        for process in (supervisor, child, other):
            process.kill()
            process.wait()


def test_a_process_that_ignores_the_request_is_killed() -> None:
    marker = uuid4().hex
    process = start(STUBBORN, marker)
    assert stop(process.pid, started_at(process.pid), marker, patience_s=0.3) == 1
    assert process.wait(5) == -9


def test_a_number_given_to_another_process_meanwhile_is_left_alone() -> None:
    process = start(SLEEP, "another")
    try:
        began = started_at(process.pid)
        assert began is not None
        stop(process.pid, began - 1, uuid4().hex, patience_s=0.2)
        time.sleep(0.1)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_process_that_ended_has_no_beginning() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert started_at(process.pid) is None
