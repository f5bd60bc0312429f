"""The write-ahead log of one dataset: encrypted objects, written one after another.

An object is called `wal/<epoch>-<sequence>-<bytes of plaintext>.wal`. Its length is in its name so that recovery
can tell an object that its owner died writing, which is shorter, from one that was damaged since.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby

import pyarrow as pa

from tenancy.analytics.errors import UnavailableError
from tenancy.analytics.storage._removal import removed
from tenancy.analytics.storage._wal_format import LogBatch, LogObject, decode, encode
from tenancy.analytics.storage.catalog import WalPosition
from tenancy.analytics.storage.filesystem import EncryptedFileSystem

_NAME = re.compile(r"(\d{10})-(\d{12})-(\d+)\.wal")
_log = logging.getLogger(__name__)


def object_name(position: WalPosition, plain_bytes: int) -> str:
    """What the object at `position` is called; names sort as positions do.

    >>> object_name(WalPosition(2, 7), 4096)
    '0000000002-000000000007-4096.wal'
    """
    return f"{position.epoch:010d}-{position.sequence:012d}-{plain_bytes}.wal"


class WriteAheadLog:
    """Objects of one dataset, as one owner (`epoch`) writes and reads them. Written by one thread at a time."""

    def __init__(self, fs: EncryptedFileSystem, folder: str, epoch: int) -> None:
        self._fs, self._folder = fs, folder
        self._next = WalPosition(epoch, 1)
        self._written: dict[WalPosition, str] = {}
        self._lock = threading.Lock()
        self._debris: list[str] = []

    def write(self, batches: Sequence[LogBatch], events: pa.Table, quarantined: pa.Table | None) -> WalPosition:
        """Make one object durable; returns its position.

        An object that could not be written may still be there in part. It must be gone before another is
        written, or recovery would find a damaged object where only the last one may be, so it is removed
        first. Raises StorageFullError, or UnavailableError for other failures of the storage.
        """
        try:
            self._clear()
        except OSError as error:
            raise UnavailableError("the write-ahead log", str(error)) from error
        position = self._next
        self._next = WalPosition(position.epoch, position.sequence + 1)
        data = encode(batches, events, quarantined)
        url = self._url(object_name(position, memoryview(data).nbytes))
        try:
            self._fs.write_durable(url, data)
        except OSError as error:
            self._debris.append(url)
            raise UnavailableError("the write-ahead log", str(error)) from error
        except BaseException:
            self._debris.append(url)
            raise
        with self._lock:
            self._written[position] = url
        return position

    def withdraw(self, position: WalPosition) -> None:
        """The object just written was not acknowledged and shall not be replayed."""
        with self._lock:
            url = self._written.pop(position)
        if not removed(self._fs, url):
            self._debris.append(url)

    def forget(self, folded: WalPosition) -> None:
        """Remove the objects up to `folded`, whose rows are in segments. What cannot be removed is left for later."""
        with self._lock:
            done = [(position, url) for position, url in self._written.items() if position <= folded]
        gone = [position for position, url in done if removed(self._fs, url)]
        with self._lock:
            for position in gone:
                del self._written[position]

    def positions(self) -> list[WalPosition]:
        """The objects that are there, in order."""
        return [position for position, _, _ in self._objects()]

    def replay(self, folded: WalPosition) -> Iterator[tuple[WalPosition, LogObject]]:
        """The objects of earlier owners beyond `folded`, read one at a time; `forget` removes them.

        The last object of an epoch may be cut, since its owner may have died writing it; nothing in it was
        acknowledged, so it is reported, left where it is, and passed over. It is removed when the next owner
        takes over. Any other damage, to the last object too, raises IntegrityError that names the object.
        """
        there = self._objects()
        with self._lock:
            self._written |= {position: url for position, url, _ in there if position <= folded}
        for _, group in groupby((each for each in there if each[0] > folded), key=lambda each: each[0].epoch):
            objects = list(group)
            for position, url, plain_bytes in objects:
                found = self._read(url, plain_bytes, last=position == objects[-1][0])
                if found is not None:
                    with self._lock:
                        self._written[position] = url
                    yield position, found

    def _objects(self) -> list[tuple[WalPosition, str, int]]:
        """The objects that are there, in order: their positions, urls, and the lengths they were to have."""
        try:
            names: list[str] = self._fs.ls(self._folder, detail=False)
        except FileNotFoundError:
            return []
        found = (_NAME.fullmatch(name.rpartition("/")[2]) for name in names)
        return sorted((WalPosition(int(m[1]), int(m[2])), self._url(m[0]), int(m[3])) for m in found if m)

    def _read(self, url: str, plain_bytes: int, last: bool) -> LogObject | None:
        try:
            # Asked before it is read: an owner that is over may be writing it still, and finish meanwhile.
            if last and self._fs.is_torn(url, plain_bytes):
                _log.warning("%s, the last object of an epoch, was never finished and is passed over", url)
                return None
            with self._fs.open(url, "rb") as file:
                return decode(file.read(), url)
        except FileNotFoundError:
            # Withdrawn by its owner, who has just found out that it is one no more.
            _log.warning("%s disappeared before it was replayed: it had not been acknowledged", url)
        return None

    def _clear(self) -> None:
        for url in self._debris:
            try:
                self._fs.rm_file(url)
            except FileNotFoundError:
                continue
        self._debris = []

    def _url(self, name: str) -> str:
        return f"{self._folder}/{name}"
