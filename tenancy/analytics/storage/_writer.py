"""Writing an encrypted file as a stream: little memory whatever its size, and all of it or nothing."""

from __future__ import annotations

import io
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from tenancy.analytics.storage._space import full_disk_is_an_error_of_ours
from tenancy.analytics.storage.framing import FRAME_BYTES, MOST_FRAMES, SEALED_BYTES, TAG_BYTES, FrameCipher
from tenancy.analytics.storage.traffic import Tally

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BATCH_FRAMES = 4
"""Frames that are written with one call of the system."""


class Sink(Protocol):
    """Takes stored bytes in order; they become a file at `commit`, or nothing at `discard`."""

    def write(self, data: ReadableBuffer) -> None: ...

    def commit(self) -> None: ...

    def discard(self) -> None: ...


class EncryptedWriter(io.RawIOBase):
    """A writable file, for one thread. It appears under its name when it is closed, whole.

    It is discarded when a write failed, when its `with` block is left by an exception, or when it is dropped
    without being closed. Raises StorageFullError from any of its methods.
    """

    def __init__(self, sink: Sink, header: bytes, cipher: FrameCipher, url: str, tally: Tally) -> None:
        super().__init__()
        self.url = url
        self._sink, self._cipher, self._tally = sink, cipher, tally
        self._stored = 0
        self._size = 0
        self._index = 0
        self._plain = memoryview(bytearray(FRAME_BYTES))
        self._filled = 0
        self._sealed = memoryview(bytearray(BATCH_FRAMES * SEALED_BYTES))
        self._waiting = len(header)
        self._sealed[: len(header)] = header

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: ReadableBuffer, /) -> int:
        if self.closed:
            raise ValueError(f"{self.url}: the file is closed")
        with memoryview(data).cast("B") as view:
            try:
                self._take(view)
            except BaseException:
                self.discard()
                raise
            self._size += len(view)
            return len(view)

    def flush(self) -> None:
        """Does nothing: a frame is sealed once, so what is not whole waits for `close`."""

    def close(self) -> None:
        """Write the last frame, sync, and give the file its name."""
        if self.closed:
            return
        try:
            self._seal(self._plain[: self._filled], last=True)
            self._drain()
            with full_disk_is_an_error_of_ours(self.url):
                self._sink.commit()
            self._tally.add_written(self._stored)
        except BaseException:
            self.discard()
            raise
        super().close()

    def discard(self) -> None:
        """Forget the file; nothing of it remains."""
        if not self.closed:
            super().close()
            self._sink.discard()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        # The one of IOBase would close, and so publish half a file. At the end of the interpreter, or where
        # __init__ failed, parts of the writer may be gone already.
        with suppress(AttributeError, OSError):
            self.discard()

    def _take(self, view: memoryview) -> None:
        done = 0
        while done < len(view):
            # A full frame is sealed only when more comes, for until then it may be the last.
            if self._filled == FRAME_BYTES:
                self._seal(self._plain, last=False)
                self._filled = 0
            left = len(view) - done
            if self._filled == 0 and left > FRAME_BYTES:
                self._seal(view[done : done + FRAME_BYTES], last=False)
                done += FRAME_BYTES
                continue
            count = min(left, FRAME_BYTES - self._filled)
            self._plain[self._filled : self._filled + count] = view[done : done + count]
            self._filled += count
            done += count

    def _seal(self, plain: memoryview, last: bool) -> None:
        if self._index == MOST_FRAMES:
            raise OverflowError(f"{self.url}: a file holds at most {MOST_FRAMES} frames")
        size = len(plain) + TAG_BYTES
        if self._waiting + size > len(self._sealed):
            self._drain()
        self._cipher.seal_into(self._index, last, plain, self._sealed[self._waiting : self._waiting + size])
        self._waiting += size
        self._index += 1

    def _drain(self) -> None:
        with full_disk_is_an_error_of_ours(self.url):
            self._sink.write(self._sealed[: self._waiting])
        self._stored += self._waiting
        self._waiting = 0
