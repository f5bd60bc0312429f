"""Keeps a host's process small: what it never uses is not there to be loaded."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8
"""Of glibc's malloc.h."""


class Hidden:
    """A finder that hides packages. pyarrow loads pandas, 32 MB, at its first conversion wherever it finds it."""

    def __init__(self, *packages: str) -> None:
        self.packages = frozenset(packages)

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in self.packages:
            raise ModuleNotFoundError(f"{name} is not loaded in the process of a host", name=name)
        return None


def hide(*packages: str) -> None:
    """From now on this process finds none of `packages`; what it has loaded already stays."""
    sys.meta_path.insert(0, Hidden(*packages))


def give_back_memory() -> None:
    """Let memory that is freed go back to the system. To be called before pyarrow is loaded; glibc only.

    Measured under load: Arrow's own allocator kept 200 MB when 5 MB were in use, a heap for each thread, and
    `release_unused` did not change that; glibc's keeps less, and malloc_trim(3) gives all of it back. What is large is
    mapped by itself, and so given back at once (mallopt(3)); CPU time of collecting is the same.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)
        mallopt(_M_ARENA_MAX, 4)
