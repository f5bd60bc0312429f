"""Keeps a host's process small: what it never uses is not there to be loaded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


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
