"""Bytes that go to and come from the storage below the encryption, counted for each tenant."""

from __future__ import annotations

import threading
from collections import defaultdict


class Tally:
    """Bytes of files of one tenant, as they are stored. From any thread."""

    __slots__ = ("_lock", "_read", "_taken", "_written")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read = self._written = 0
        self._taken = (0, 0)

    def add_read(self, size: int) -> None:
        with self._lock:
            self._read += size

    def add_written(self, size: int) -> None:
        """Of a file that is whole and has its name; those that were given up do not count."""
        with self._lock:
            self._written += size

    def take(self) -> tuple[int, int]:
        """Bytes read and written since `take` was called last, so that each is accounted for once."""
        with self._lock:
            read, written = self._read - self._taken[0], self._written - self._taken[1]
            self._taken = self._read, self._written
        return read, written

    @property
    def moved(self) -> bool:
        """Whether there is something to `take`."""
        return self._taken != (self._read, self._written)

    @property
    def read(self) -> int:
        return self._read

    @property
    def written(self) -> int:
        return self._written


class Traffic:
    """The tallies of a process.

    >>> traffic = Traffic()
    >>> traffic.of("tenant_001").add_written(7)
    >>> traffic.of("tenant_001").written, traffic.of("tenant_002").written
    (7, 0)
    """

    def __init__(self) -> None:
        self._tallies: defaultdict[str, Tally] = defaultdict(Tally)

    def of(self, tenant: str) -> Tally:
        """That of one tenant, from now on always the same one."""
        return self._tallies[tenant]
