"""Processes as /proc shows them: their command, memory and CPU. Linux."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from benchmarks.tenantbench.adapter import Usage

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


def command_of(pid: int) -> str:
    """The command line with spaces between its words; empty where the process is gone."""
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def memory_of(pid: int) -> int:
    """Proportional set size in bytes: a page shared by n processes counts 1/n. 0 where the process is gone."""
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass
    return 0


def cpu_of(pid: int) -> float:
    """CPU seconds, of user and system, so far. 0 where the process is gone."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def usage_of(pids: Iterable[int]) -> Usage:
    """All of them together."""
    parts: dict[str, int] = defaultdict(int)
    cpu, count = 0.0, 0
    for pid in pids:
        memory = memory_of(pid)
        if memory:
            parts[_kind(command_of(pid))] += memory
            cpu += cpu_of(pid)
            count += 1
    return Usage(sum(parts.values()), cpu, count, dict(parts))


def _kind(command: str) -> str:
    """A short word for a process: `haproxy`, `raylet`, or the class of a Ray actor, whatever it is doing."""
    first = command.split(" ", 1)[0]
    if first.startswith("ray::"):
        return "ray::" + first.rpartition(":")[2].split(".", 1)[0]
    return Path(first).name or "?"
