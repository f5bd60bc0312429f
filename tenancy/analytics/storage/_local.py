"""Durable files on the local disk: what `fsync` must be called on, and in what order."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_MODE = 0o600

PARTIAL_PREFIX = ".partial-"
"""Begins the names of files that are still being written; no whole file's name begins with a dot."""


def create(path: str) -> int:
    """A descriptor of the new file `path`, its folder made where there is none; FileExistsError if there is one."""
    try:
        return os.open(path, _CREATE, _MODE)
    except FileNotFoundError:
        make_folders(os.path.dirname(path))
        return os.open(path, _CREATE, _MODE)


def write_all(descriptor: int, data: ReadableBuffer) -> None:
    """Write all of `data`; the system may take less at a time, as it does just before the disk is full."""
    with memoryview(data) as view:
        done = os.write(descriptor, view)
        while done < len(view):
            done += os.write(descriptor, view[done:])


def sync_folder(path: str) -> None:
    """Make the names in a folder durable; without it a new file may be gone after a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(path: str) -> None:
    """Make `path` and the folders above it, durably. Those that exist are left alone."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise
        sync_folder(os.path.dirname(folder) or ".")


def write_durable(path: str, data: ReadableBuffer) -> None:
    """Create `path` with `data`, synced with its name. On failure the file is removed again."""
    descriptor = create(path)
    try:
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(os.path.dirname(path))
    except BaseException:
        os.unlink(path)
        raise


class PartialFile:
    """A file that gets its name when it is whole and synced, and leaves nothing behind when it does not."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._partial = os.path.join(os.path.dirname(path), f"{PARTIAL_PREFIX}{uuid4().hex}")
        self._descriptor = create(self._partial)

    def write(self, data: ReadableBuffer) -> None:
        write_all(self._descriptor, data)

    def commit(self) -> None:
        """Sync, take the name (replacing what had it), sync the name."""
        os.fsync(self._descriptor)
        os.rename(self._partial, self._path)
        self._partial = self._path  # should the name not become durable, the file goes
        sync_folder(os.path.dirname(self._path))
        os.close(self._descriptor)

    def discard(self) -> None:
        os.close(self._descriptor)
        os.unlink(self._partial)
