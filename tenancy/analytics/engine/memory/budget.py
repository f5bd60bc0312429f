"""How much memory a host may use, and for what."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

from tenancy.analytics.config import AnalyticsConfig, StorageConfig

MEBIBYTE = 1024 * 1024

OWN = 224 * MEBIBYTE
"""What a host takes before it holds anything: Ray's worker, Python, PyArrow and DuckDB (measured: 182 to 245 MB)."""

BODY_FACTOR = 8
"""Bytes that a body takes, for each of its own, until it is stored. Measured, at the peak: 3.3 for 30 MB of clean
NDJSON, 7.4 to 8.1 where a bad row makes every row be read by itself."""

MERGE = 170 * MEBIBYTE
"""What merging segments takes at the most (`storage/compaction.py`)."""

_MACHINE_SHARE = 0.6
_LEAST_TOTAL = 512 * MEBIBYTE
_LEAST_QUERY = 96 * MEBIBYTE
_QUERY, _BODIES, _BUFFERS, _CACHES = 0.40, 0.30, 0.22, 0.08
_FLUSHES_IN_BUFFERS = 8


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes of a host's resident memory, and the shares of what is left of them once the host itself is there.

    >>> Budget.of_total(2048 * MEBIBYTE, query_limit=4096 * MEBIBYTE).buffers // MEBIBYTE
    401
    """

    total: int
    query: int
    """For DuckDB, which is told so as its limit."""
    bodies: int
    """For bodies from the door until they are stored, each counted as `BODY_FACTOR` times its bytes."""
    buffers: int
    """For rows that are in no segment yet, those that wait for their group commit too."""
    caches: int
    """For what can be made again: tables of dimensions, runs of ids; and for answers until they are sent."""

    @property
    def largest_body(self) -> int:
        """Bytes of the largest body that can be worked on."""
        return self.bodies // BODY_FACTOR

    @property
    def flush_bytes(self) -> int:
        """Bytes that a dataset's buffer may reach before it is flushed; while it is written it is there twice."""
        return self.buffers // _FLUSHES_IN_BUFFERS

    @property
    def merge(self) -> int:
        """Bytes that merging segments may take."""
        return min(MERGE, 8 * self.flush_bytes)

    @classmethod
    def of(cls, config: AnalyticsConfig, machine: int | None = None) -> Self:
        """The budget that `config` says; else a host's part of 60 % of the `machine`, of this one if none is given."""
        given = config.performance.host_memory_mb
        if given is not None:
            total = given * MEBIBYTE
        else:
            hosts = config.placement.shared_hosts or os.cpu_count() or 1
            total = max(_LEAST_TOTAL, int((machine or machine_bytes()) * _MACHINE_SHARE) // hosts)
        return cls.of_total(total, config.performance.memory_limit_mb * MEBIBYTE)

    @classmethod
    def of_total(cls, total: int, query_limit: int) -> Self:
        """The shares of `total`, that of queries no more than `query_limit`."""
        free = max(total - OWN, total // 4)
        query = max(_LEAST_QUERY, int(_QUERY * free))
        return cls(total, min(query, query_limit), int(_BODIES * free), int(_BUFFERS * free), int(_CACHES * free))


def leaning(storage: StorageConfig, budget: Budget) -> StorageConfig:
    """`storage` with buffers that are flushed before one of them takes what is there for all, and merges to match.

    What merging takes grows with the segments that are merged at once, and so with what they are merged into.
    """
    most = budget.flush_bytes
    flush, target = min(storage.flush_bytes, most), min(storage.segment_target_bytes, most)
    return storage.model_copy(update={"flush_bytes": flush, "segment_target_bytes": target})


def machine_bytes() -> int:
    """Memory of this machine, or what the control group of this process may use of it."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(path, encoding="ascii") as file:
                found = min(found, int(file.read()))
        except (OSError, ValueError):  # there is no such group, or its limit is "max"
            continue
    return found
