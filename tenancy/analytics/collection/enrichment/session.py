"""Sessions: events of one user with no gap longer than half an hour between them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from threading import Lock

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from tenancy.analytics.collection.enrichment.step import Context, Options, column_or_nulls
from tenancy.analytics.schema import EVENT_TIME, FieldSpec, FieldType


class SessionOptions(Options):
    """Options of `session`."""

    field: str = "user_id"
    """The column that says whose event it is."""
    column: str = "session_id"
    """The column to write."""
    gap_minutes: float = Field(default=30.0, gt=0)
    """A longer pause begins a new session."""
    max_users: int = Field(default=100_000, ge=1)
    """Users remembered; beyond it the one not seen for longest is forgotten, and begins anew."""


class Session:
    """Writes a session id: a digest of dataset, user and the time of the session's first event.

    Of each user the current session is remembered: 3 values, whatever the number of events. An event within
    the gap of it, before or after, belongs to it; any other begins a new one. So ids are the same for the
    same events in the same order, also after a restart: what is remembered is rebuilt, with the first batch,
    from the events stored within the last gap.
    """

    def __init__(self, options: Mapping[str, object], context: Context) -> None:
        read: SessionOptions = SessionOptions.read("session", options)
        self._options = read
        self._context = context
        self._gap = round(read.gap_minutes * 60_000_000)
        self._users: OrderedDict[str, tuple[int, int, str]] | None = None
        self._lock = Lock()

    @property
    def columns(self) -> Mapping[str, FieldSpec]:
        return {self._options.column: FieldSpec(type=FieldType.STRING)}

    def apply(self, events: pa.Table) -> Mapping[str, pa.Array]:
        users = column_or_nulls(events, self._options.field, pa.string()).to_pylist()
        times = column_or_nulls(events, EVENT_TIME, events.schema.field(EVENT_TIME).type)
        order = pc.sort_indices(times).to_pylist()
        stamps = times.cast(pa.int64()).to_pylist()
        ids: list[str | None] = [None] * events.num_rows
        with self._lock:
            known = self._users
            if known is None:
                known = self._users = self._rebuilt()
            for row in order:
                user = users[row]
                if user is not None:
                    ids[row] = self._session(known, user, stamps[row])
            while len(known) > self._options.max_users:
                known.popitem(last=False)
        return {self._options.column: pa.array(ids, pa.string())}

    def _session(self, known: OrderedDict[str, tuple[int, int, str]], user: str, stamp: int) -> str:
        current = known.get(user)
        if current is not None and current[0] - self._gap <= stamp <= current[1] + self._gap:
            begin, end, name = min(current[0], stamp), max(current[1], stamp), current[2]
        else:
            begin, end, name = stamp, stamp, self._name(user, stamp)
            if current is not None and stamp < current[0]:
                return name  # far behind: a session of its own, and the current one stays current
        known[user] = (begin, end, name)
        known.move_to_end(user)
        return name

    def _name(self, user: str, begin: int) -> str:
        seed = f"{self._context.schema.name}\0{user}\0{begin}".encode()
        return hashlib.blake2b(seed, digest_size=12).hexdigest()

    def _rebuilt(self) -> OrderedDict[str, tuple[int, int, str]]:
        options = self._options
        since = self._context.clock.now() - timedelta(minutes=options.gap_minutes)
        rows = self._context.recent(self._context.schema.name, (options.field, options.column, EVENT_TIME), since)
        known: OrderedDict[str, tuple[int, int, str]] = OrderedDict()
        users = column_or_nulls(rows, options.field, pa.string()).to_pylist()
        names = column_or_nulls(rows, options.column, pa.string()).to_pylist()
        stamps = column_or_nulls(rows, EVENT_TIME, pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
        for stamp, user, name in sorted(
            (stamp, user, name)
            for stamp, user, name in zip(stamps, users, names, strict=True)
            if user is not None and name is not None
        ):
            before = known.get(user)
            begin = before[0] if before is not None and before[2] == name else stamp
            known[user] = (begin, stamp, name)
            known.move_to_end(user)
        return known
