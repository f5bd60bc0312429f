"""The kinds of work in a host, each with threads of its own: slow queries never keep events from being stored."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Work(StrEnum):
    """A kind of work."""

    COLLECTING = "collecting"
    """Reading and checking of batches: keeps a core busy for each thread."""
    STORING = "storing"
    """Group commits and small changes: wait for the disk most of the time."""
    ASKING = "asking"
    """Planning of queries, and those that are over soon."""
    PATIENT = "patient"
    """Queries that take long."""
    BACKGROUND = "background"
    """Flushes, compaction: nobody waits for them."""


@dataclass(frozen=True, slots=True)
class Slots:
    """How much of one kind of work is done at a time."""

    most: int
    """Threads."""
    most_each: int
    """Of them, those that one tenant may hold."""
    nice: int = 0
    """How far its threads give way to others (nice(2), 0 to 19)."""
    prior_s: float = 0.001
    """CPU seconds of a job before any was measured."""


def slots(workers: int, cores: int | None = None) -> Mapping[Work, Slots]:
    """`workers` threads for what is waited for, and a few more for what is not.

    Work of one tenant never holds all threads that others may need for long: of patient queries, which use every
    core each, one is left. What gives way still gets every core that nobody else wants. Threads that collect and
    that store give way alike, to those that answer: they take turns at the interpreter's lock, and one that
    holds it while others keep it from its core would keep it from everybody.

    >>> {kind.value: each.most for kind, each in slots(16, cores=2).items()}
    {'collecting': 2, 'storing': 5, 'asking': 9, 'patient': 2, 'background': 2}
    """
    cores = cores or os.cpu_count() or 1
    collecting = max(1, min(cores, workers // 4))
    storing = max(1, workers // 3)
    asking = max(1, workers - collecting - storing)
    patient = max(2, cores)
    background = max(1, min(4, cores))
    return {
        Work.COLLECTING: Slots(collecting, collecting, nice=10, prior_s=0.002),
        Work.STORING: Slots(storing, max(1, storing - 1), nice=10, prior_s=0.001),
        Work.ASKING: Slots(asking, max(1, asking - 1), prior_s=0.003),
        Work.PATIENT: Slots(patient, patient - 1, nice=15, prior_s=0.1),
        Work.BACKGROUND: Slots(background, max(1, background - 1), nice=15, prior_s=0.02),
    }
