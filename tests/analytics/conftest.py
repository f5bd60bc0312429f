"""A disk that tests make slow, broken or full: real files, whose calls of the system are held up or refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tenancy.analytics.storage import _local

Fault = Callable[[str, str], None]
"""Told the name of a call and its path before it is made; raises what the system shall say, or takes its time."""

_BY_PATH = {"open", "mkdir", "rename", "unlink"}
_BY_DESCRIPTOR = {"write", "fsync"}


class FaultyDisk:
    """Stands where `os` does for whatever writes local files."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.done: list[tuple[str, str]] = []
        """Calls that were made, and on what."""

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name not in _BY_PATH | _BY_DESCRIPTOR:
            return real

        def call(target: Any, *rest: Any) -> Any:
            path = os.readlink(f"/proc/self/fd/{target}") if name in _BY_DESCRIPTOR else str(target)
            if self.fault is not None:
                self.fault(name, path)
            result = real(target, *rest)
            self.done.append((name, path))
            return result

        return call


class Held:
    """Calls that wait until they are let go."""

    def __init__(self, names: set[str], part: str = "") -> None:
        self._names, self._part = names, part
        self._go = threading.Event()
        self.reached = threading.Event()

    def __call__(self, name: str, path: str) -> None:
        if name in self._names and self._part in path:
            self.reached.set()
            assert self._go.wait(60), f"{name} of {path} was never let go"

    def let_go(self) -> None:
        self._go.set()


@pytest.fixture
def faulty_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyDisk]:
    disk = FaultyDisk()
    monkeypatch.setattr(_local, "os", disk)
    yield disk
    disk.fault = None


@pytest.fixture
def held() -> Iterator[Callable[..., Held]]:
    """Makes calls wait; none does after the test."""
    made: list[Held] = []

    def hold(*names: str, part: str = "") -> Held:
        made.append(Held(set(names), part))
        return made[-1]

    yield hold
    for each in made:
        each.let_go()
