"""Start a Ray of our own, and later end exactly its processes. Linux: processes are told apart by /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cluster.serve_environment import MARKER
from tenancy.analytics.errors import UnavailableError

_POLL_S = 0.1
_PROC = Path("/proc")


def start_ray(
    folder: Path, ports: Mapping[str, int], environment: Mapping[str, str], extra: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """`ray start --head` under a supervisor that ends it all on SIGTERM; logs to `folder`/ray.log."""
    kind = ("--head", "--dashboard-host=127.0.0.1", f"--temp-dir={folder / 'ray'}")
    return _ray(folder, kind, ports, environment, extra)


def join_ray(
    address: str, folder: Path, ports: Mapping[str, int], environment: Mapping[str, str], extra: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """`ray start --address` under a supervisor: another node of a Ray; logs to `folder`/ray.log."""
    return _ray(folder, (f"--address={address}",), ports, environment, extra)


def _ray(
    folder: Path, kind: Sequence[str], ports: Mapping[str, int], environment: Mapping[str, str], extra: Sequence[str]
) -> subprocess.Popen[bytes]:
    command = [
        str(Path(sys.executable).with_name("ray")),
        *("start", "--block", "--disable-usage-stats"),
        *kind,
        *(f"--{name}={port}" for name, port in ports.items()),
        *extra,
    ]
    with (folder / "ray.log").open("wb") as log:
        # A session of its own: Ctrl-C at the terminal is for `tenancy`, not for Ray.
        return subprocess.Popen(  # noqa: S603 - our own interpreter's `ray`, with arguments of ours
            command, env=dict(environment), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )


def started_at(pid: int) -> int | None:
    """When the process `pid` began, in ticks since boot (proc(5), field 22); None where there is none.

    With it, a number that was given to another process meanwhile is told apart.
    """
    try:
        # The second field is a name in parentheses that may hold anything, so count from after it.
        state, *fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(fields[18])


def marked(marker: str, variable: str = MARKER) -> Iterator[int]:
    """The living processes that carry `marker` in their environment, and so were started by one `tenancy up`."""
    needle = f"{variable}={marker}".encode()
    for entry in _PROC.iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # gone meanwhile, or another user's


def stop(pid: int | None, started: int | None, marker: str, patience_s: float = 20.0) -> int:
    """End a system that was started here: its supervisor first, kindly, then what remains.

    Returns how many had to be killed. Raises UnavailableError when something would not die.
    """
    if pid is not None and started is not None and started_at(pid) == started:
        os.kill(pid, signal.SIGTERM)
    _await_end(marker, patience_s)
    rest = list(marked(marker))
    for process in rest:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    if alive := _await_end(marker, 5.0):
        raise UnavailableError("the machine", f"processes {alive} would not end")
    return len(rest)


def _await_end(marker: str, patience_s: float) -> list[int]:
    deadline = time.monotonic() + patience_s
    while (alive := list(marked(marker))) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return alive
