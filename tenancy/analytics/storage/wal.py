"""The write-ahead log of one dataset: encrypted objects `wal/<epoch>-<sequence>.wal`, written one after another."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby

import pyarrow as pa

from tenancy.analytics.errors import IntegrityError, UnavailableError
from tenancy.analytics.storage._wal_format import LogBatch, LogObject, decode, encode
from tenancy.analytics.storage.catalog import WalPosition
from tenancy.analytics.storage.filesystem import EncryptedFileSystem

_NAME = re.compile(r"(\d{10})-(\d{12})\.wal")
_log = logging.getLogger(__name__)


def object_name(position: WalPosition) -> str:
    """What the object at `position` is called; names sort as positions do.

    >>> object_name(WalPosition(2, 7))
    '0000000002-000000000007.wal'
    """
    return f"{position.epoch:010d}-{position.sequence:012d}.wal"


class WriteAheadLog:
    """Objects of one dataset, as one owner (`epoch`) writes and reads them. Written by one thread at a time."""

    def __init__(self, fs: EncryptedFileSystem, folder: str, epoch: int) -> None:
        self._fs, self._folder = fs, folder
        self._next = WalPosition(epoch, 1)
        self._written: list[WalPosition] = []
        self._lock = threading.Lock()
        self._debris: list[WalPosition] = []

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
        try:
            self._fs.write_durable(self._url(position), encode(batches, events, quarantined))
        except OSError as error:
            self._debris.append(position)
            raise UnavailableError("the write-ahead log", str(error)) from error
        except BaseException:
            self._debris.append(position)
            raise
        with self._lock:
            self._written.append(position)
        return position

    def withdraw(self, position: WalPosition) -> None:
        """The object just written was not acknowledged and shall not be replayed."""
        with self._lock:
            self._written.remove(position)
        if not self._removed(position):
            self._debris.append(position)

    def forget(self, folded: WalPosition) -> None:
        """Remove the objects up to `folded`, whose rows are in segments. What cannot be removed is left for later."""
        with self._lock:
            done = [position for position in self._written if position <= folded]
        gone = {position for position in done if self._removed(position)}
        with self._lock:
            self._written = [position for position in self._written if position not in gone]

    def positions(self) -> list[WalPosition]:
        """The objects that are there, in order."""
        try:
            names: list[str] = self._fs.ls(self._folder, detail=False)
        except FileNotFoundError:
            return []
        found = (_NAME.fullmatch(name.rpartition("/")[2]) for name in names)
        return sorted(WalPosition(int(match[1]), int(match[2])) for match in found if match)

    def replay(self, folded: WalPosition) -> Iterator[tuple[WalPosition, LogObject]]:
        """The objects of earlier owners beyond `folded`, read one at a time; `forget` removes them.

        The last object of an epoch may be cut, since its owner may have died writing it; nothing in it was
        acknowledged, so it is reported, left where it is, and passed over. It is removed when the next owner
        takes over. Damage anywhere else raises IntegrityError that names the object.
        """
        there = self.positions()
        with self._lock:
            self._written += [position for position in there if position <= folded]
        for _, group in groupby((p for p in there if p > folded), key=lambda position: position.epoch):
            positions = list(group)
            for position in positions:
                found = self._read(position, last=position == positions[-1])
                if found is not None:
                    with self._lock:
                        self._written.append(position)
                    yield position, found

    def _read(self, position: WalPosition, last: bool) -> LogObject | None:
        url = self._url(position)
        try:
            with self._fs.open(url, "rb") as file:
                return decode(file.read(), url)
        except FileNotFoundError:
            # Withdrawn by its owner, who has just found out that it is one no more.
            _log.warning("%s disappeared before it was replayed: it had not been acknowledged", url)
        except IntegrityError as error:
            if not last:
                raise
            _log.warning("the last object of an epoch is cut and is passed over: %s", error)
        return None

    def _clear(self) -> None:
        for position in self._debris:
            try:
                self._fs.rm_file(self._url(position))
            except FileNotFoundError:
                continue
        self._debris = []

    def _removed(self, position: WalPosition) -> bool:
        url = self._url(position)
        try:
            self._fs.rm_file(url)
        except FileNotFoundError:
            return True
        except OSError as error:
            _log.warning("%s is not needed any more and cannot be removed yet: %s", url, error)
            return False
        return True

    def _url(self, position: WalPosition) -> str:
        return f"{self._folder}/{object_name(position)}"
