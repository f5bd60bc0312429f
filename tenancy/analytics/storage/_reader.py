"""Reading an encrypted file: any range, from many threads, decrypting only the frames it touches."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

from tenancy.analytics.errors import IntegrityError
from tenancy.analytics.storage._sources import Source
from tenancy.analytics.storage.framing import FRAME_BYTES, HEADER_BYTES, SEALED_BYTES, FrameCipher, frames_of
from tenancy.analytics.storage.traffic import Tally

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Here(threading.local):
    """What one thread knows of one file: where it is, and the last frame that it used only a part of."""

    position = 0
    index = -1
    frame = b""


class EncryptedReader(io.RawIOBase):
    """A readable, seekable file. Many threads may share it; each has a position of its own.

    DuckDB's threads share one handle and call `seek` and then `read`, so one position for all would race.
    """

    def __init__(self, source: Source, cipher: FrameCipher, size: int, url: str, tally: Tally) -> None:
        """`source` is closed with the reader. IntegrityError where the last frame is not the last of this file."""
        super().__init__()
        self.size = size
        self.url = url
        self._source, self._cipher, self._tally = source, cipher, tally
        self._last = frames_of(size) - 1
        self._here = _Here()
        # Opening the last frame now proves that nothing is cut off, whatever is read later; it is kept, for
        # it holds the footer that readers of Parquet ask for first.
        self._tail = cipher.open(self._last, True, self._sealed(self._last, 1))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        self._check()
        return self._here.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._check()
        here = self._here
        position = offset + (0, here.position, self.size)[whence]
        if position < 0:
            raise ValueError(f"{self.url}: cannot seek to {position}")
        here.position = position
        return position

    def read(self, size: int | None = -1, /) -> bytes:
        """`size` bytes from this thread's position, or all the rest; fewer only at the end of the file."""
        self._check()
        here = self._here
        start = here.position
        stop = self.size if size is None or size < 0 else min(start + size, self.size)
        if stop <= start:
            return b""
        data = self._span(here, start, stop)
        here.position = stop
        return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        with memoryview(buffer).cast("B") as view:
            data = self.read(len(view))
            view[: len(data)] = data
            return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._source.close()

    def _check(self) -> None:
        if self.closed:
            raise ValueError(f"{self.url}: the file is closed")

    def _span(self, here: _Here, start: int, stop: int) -> bytes:
        first, last = start // FRAME_BYTES, (stop - 1) // FRAME_BYTES
        if first == last:
            origin = first * FRAME_BYTES
            return self._frame(here, first)[start - origin : stop - origin]
        # A BytesIO gives out the very bytes that were written through its buffer: nothing is copied again.
        result = io.BytesIO(bytes(stop - start))
        with result.getbuffer() as out:
            self._fill(here, out, start, stop)
        return result.getvalue()

    def _frame(self, here: _Here, index: int) -> bytes:
        if index == self._last:
            return self._tail
        if index != here.index:
            here.frame = self._cipher.open(index, False, self._sealed(index, 1))
            here.index = index
        return here.frame

    def _fill(self, here: _Here, out: memoryview, start: int, stop: int) -> None:
        """Put the plaintext from `start` to `stop` into `out`: whole frames directly, parts of frames by way of one."""
        first, end = start // FRAME_BYTES, -(-stop // FRAME_BYTES)
        if first == here.index:
            _place(out, start, first, here.frame)
            first += 1
        if end > self._last:
            _place(out, start, self._last, self._tail)
            end = self._last
        for batch in range(first, end, self._source.batch_frames):
            count = min(self._source.batch_frames, end - batch)
            sealed = self._sealed(batch, count)
            for index in range(batch, batch + count):
                piece = sealed[(index - batch) * SEALED_BYTES : (index - batch + 1) * SEALED_BYTES]
                origin = index * FRAME_BYTES - start
                if origin >= 0 and origin + FRAME_BYTES <= len(out):
                    self._cipher.open_into(index, False, piece, out[origin : origin + FRAME_BYTES])
                else:
                    here.frame = self._cipher.open(index, False, piece)
                    here.index = index
                    _place(out, start, index, here.frame)

    def _sealed(self, index: int, count: int) -> memoryview:
        """The stored bytes of `count` frames from `index`."""
        offset = HEADER_BYTES + index * SEALED_BYTES
        size = min(count * SEALED_BYTES, self._source.size - offset)
        sealed = self._source.read(offset, size)
        self._tally.add_read(len(sealed))
        if len(sealed) != size:
            raise IntegrityError(self.url, "it became shorter while it was read")
        return sealed


def _place(out: memoryview, start: int, index: int, frame: bytes) -> None:
    """Copy the part of `frame` that `out`, which begins at `start` of the file, has room for."""
    origin = index * FRAME_BYTES - start
    begin, end = max(origin, 0), min(origin + len(frame), len(out))
    out[begin:end] = memoryview(frame)[begin - origin : end - origin]
