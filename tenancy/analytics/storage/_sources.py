"""Where a reader's stored bytes come from: any range, from any thread, with as few copies as possible."""

from __future__ import annotations

import os
import threading
from typing import Any, Protocol

from fsspec import AbstractFileSystem

from tenancy.analytics.storage.framing import SEALED_BYTES


class Source(Protocol):
    """The stored bytes of one file."""

    size: int
    batch_frames: int
    """How many frames are best asked for at once."""

    def read(self, offset: int, size: int) -> memoryview:
        """`size` bytes from `offset`, fewer at the end. Valid until the same thread reads again, from any source."""
        ...

    def close(self) -> None:
        """Let go of the file; again, does nothing."""
        ...


class _Scratch(threading.local):
    """One buffer per thread for all files, so that a read neither allocates nor faults pages in."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(LocalSource.batch_frames * SEALED_BYTES))


class LocalSource:
    """A file on the local disk. `preadv` has no position, so threads share the descriptor and no lock."""

    batch_frames = 4  # with its plaintext, this stays in the second-level cache of a core

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, offset: int, size: int) -> memoryview:
        view = _scratch.view[:size]
        done = os.preadv(self._descriptor, [view], offset)
        while 0 < done < size:
            more = os.preadv(self._descriptor, [view[done:]], offset + done)
            if more == 0:
                break
            done += more
        return view[:done]

    def close(self) -> None:
        # A second close, or a read after it, must not touch a file that got the same number meanwhile.
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class RemoteSource:
    """A file on any other filesystem. Every read is one request of its own, so threads do not wait for each other.

    A thread that reads on from where it ended gets more and more read ahead, up to one batch.
    """

    batch_frames = 32

    def __init__(self, base: AbstractFileSystem, path: str) -> None:
        self._base, self._path = base, path
        self.size = int(base.info(path)["size"])
        self._here = threading.local()

    def read(self, offset: int, size: int) -> memoryview:
        ahead: tuple[int, memoryview, int] = getattr(self._here, "ahead", (0, memoryview(b""), 0))
        start, held, window = ahead
        if start <= offset and offset + size <= start + len(held):
            return held[offset - start : offset - start + size]
        # A first read is not followed by others often enough: readers of Parquet jump.
        follows = start <= offset <= start + len(held) and window > 0
        window = min(2 * window, self.batch_frames * SEALED_BYTES) if follows else size
        data: Any = self._base.cat_file(self._path, start=offset, end=min(self.size, offset + max(size, window)))
        held = memoryview(data)
        self._here.ahead = (offset, held, max(size, window))
        return held[:size]

    def close(self) -> None:
        self._here = threading.local()


_scratch = _Scratch()
