"""Streams to filesystems that are not local: kept, encrypted, in a temporary file, and put there whole at the end."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from fsspec import AbstractFileSystem

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class SpooledFile:
    """A file that is put with one atomic call, as object stores have it, so that half a file is never seen."""

    def __init__(self, base: AbstractFileSystem, path: str) -> None:
        self._base, self._path = base, path
        self._spool = tempfile.NamedTemporaryFile(prefix="tenancy-", buffering=0)  # noqa: SIM115 - closed by both ends

    def write(self, data: ReadableBuffer) -> None:
        with memoryview(data) as view:
            done = 0
            while done < len(view):
                done += self._spool.write(view[done:])

    def commit(self) -> None:
        self._base.put_file(self._spool.name, self._path)
        self._spool.close()

    def discard(self) -> None:
        self._spool.close()
