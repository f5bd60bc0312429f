"""The memory of this process, as Linux counts it, and how allocators give back what they keep."""

from __future__ import annotations

import ctypes
import os

import pyarrow as pa

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Resident memory (proc(5), statm: the second field, in pages)."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * _PAGE


def release_unused() -> None:
    """Give back to the system what allocators keep for later: Arrow's, and glibc's (malloc_trim(3)) where it is."""
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
