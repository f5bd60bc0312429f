"""What may be in flight at once for one tenant: rows and bytes, refused before anything is done."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Lock
from typing import Any

from tenancy.analytics.clock import Clock
from tenancy.analytics.collection.sink import EventSink
from tenancy.analytics.errors import BackpressureError

_LEAST_WAIT_S, _MOST_WAIT_S, _FIRST_GUESS_S = 0.05, 10.0, 0.5
_WEIGHT = 0.2


class Admission:
    """Bounds the rows and bytes between the door and durable storage.

    A batch larger than a whole bound is admitted when nothing else is in flight, for it would never be
    otherwise.
    """

    def __init__(self, tenant: str, max_rows: int, max_bytes: int, clock: Clock) -> None:
        self._tenant = tenant
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = Lock()
        self._rows = self._bytes = self._at_door = 0
        self._seconds_per_row: float | None = None

    def admit(self, sink: EventSink, rows: int, size: int) -> Ticket:
        """Raises BackpressureError, with the time it should take to make room."""
        with self._lock:
            waiting_rows, waiting_bytes = max(self._rows, sink.pending_rows), max(self._bytes, sink.pending_bytes)
            if waiting_rows and waiting_rows + rows > self._max_rows:
                raise BackpressureError(self._tenant, "buffer_size", self._max_rows, self._wait(waiting_rows))
            if waiting_bytes and waiting_bytes + size > self._max_bytes:
                wait = self._wait(waiting_rows)
                raise BackpressureError(self._tenant, "max_in_flight_bytes", self._max_bytes, wait)
            self._rows += rows
            self._bytes += size
        return Ticket(self, rows, size, self._clock.monotonic())

    def enter(self, size: int) -> Room:
        """Room for a body from the moment it is in the process, before a thread has time for it; never blocks.

        The bound is that of `admit`, counted apart: what `admit` counts is a part of what entered.
        Raises BackpressureError, as `admit` does.
        """
        with self._lock:
            if self._at_door and self._at_door + size > self._max_bytes:
                wait = self._wait(self._rows)
                raise BackpressureError(self._tenant, "max_in_flight_bytes", self._max_bytes, wait)
            self._at_door += size
        return Room(self, size)

    def depart(self, size: int) -> None:
        """Gives back what a room took."""
        with self._lock:
            self._at_door -= size

    def _wait(self, rows: int) -> float:
        if self._seconds_per_row is None:
            return _FIRST_GUESS_S
        return round(min(max(rows * self._seconds_per_row, _LEAST_WAIT_S), _MOST_WAIT_S), 3)

    def leave(self, rows: int, size: int, seconds: float) -> None:
        """Gives back what a ticket took."""
        with self._lock:
            through = max(self._rows, 1)  # this many passed, or are passing, in the time this one took
            self._rows -= rows
            self._bytes -= size
            measured = seconds / through
            known = self._seconds_per_row
            self._seconds_per_row = measured if known is None else known + _WEIGHT * (measured - known)


class Room:
    """The bytes one body holds from the door on, until they are given back, once."""

    def __init__(self, admission: Admission, size: int) -> None:
        self._admission = admission
        self._size = size

    def done(self, _: Future[Any] | None = None) -> None:
        """Give the bytes back. Fits `Future.add_done_callback`."""
        size, self._size = self._size, 0
        if size:
            self._admission.depart(size)


class Ticket:
    """The room one batch takes, until it is given back, once."""

    def __init__(self, admission: Admission, rows: int, size: int, since: float) -> None:
        self._admission = admission
        self._rows, self._size, self._since = rows, size, since

    def done(self, _: Future[Any] | None = None) -> None:
        """Give the room back. Fits `Future.add_done_callback`."""
        rows, size, self._rows, self._size = self._rows, self._size, 0, 0
        if rows or size:
            self._admission.leave(rows, size, max(self._admission._clock.monotonic() - self._since, 0.0))
