"""Dimension tables as joins see them: the last row of each key, kept in memory while the table stays the same."""

from __future__ import annotations

import threading
from collections import OrderedDict

import pyarrow as pa
from sqlglot import exp

from tenancy.analytics.query._scan_sql import BUFFER, scan, segment_groups
from tenancy.analytics.query._values_sql import column_of
from tenancy.analytics.query.executor import DuckDBExecutor
from tenancy.analytics.query.names import columns
from tenancy.analytics.query.plan import EVENTS, Scan
from tenancy.analytics.query.time_range import Interval
from tenancy.analytics.schema import EVENT_ID, INGEST_TIME
from tenancy.analytics.storage.snapshot import Snapshot

DEFAULT_BYTES = 256 * 1024 * 1024


class DimensionCache:
    """Holds tables by dataset, key and version of the data, the least recently used given up beyond `max_bytes`."""

    def __init__(self, executor: DuckDBExecutor, max_bytes: int = DEFAULT_BYTES) -> None:
        self._executor, self._max_bytes = executor, max_bytes
        self._tables: OrderedDict[tuple[str, str], tuple[str, pa.Table]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[tuple[str, str], threading.Lock] = {}

    @property
    def bytes(self) -> int:
        """Bytes of the tables it holds."""
        with self._lock:
            return sum(held.nbytes for _, held in self._tables.values())

    def evict(self) -> None:
        """Give up every table; it is made again when it is asked for."""
        with self._lock:
            self._tables.clear()

    def table(self, snapshot: Snapshot, key: str, timeout_s: float) -> pa.Table:
        """The last row of each `key` in this snapshot; rows without a key are left out. A later row is one that
        was ingested later, or at the same time with a greater event id (the system's count up).

        Raises what `DuckDBExecutor.run` raises.
        """
        name = (snapshot.schema.name, key)
        with self._lock:
            making = self._making.setdefault(name, threading.Lock())
        # One thread makes a new version; the others wait for it instead of making it as well.
        with making:
            known = self._known(name, snapshot.version)
            if known is not None:
                return known
            table = self._make(snapshot, key, timeout_s)
            self._keep(name, snapshot.version, table)
            return table

    def _known(self, name: tuple[str, str], version: str) -> pa.Table | None:
        with self._lock:
            found = self._tables.get(name)
            if found is None or found[0] != version:
                return None
            self._tables.move_to_end(name)
            return found[1]

    def _keep(self, name: tuple[str, str], version: str, table: pa.Table) -> None:
        with self._lock:
            self._tables.pop(name, None)
            if table.nbytes > self._max_bytes:
                return
            self._tables[name] = (version, table)
            while sum(held.nbytes for _, held in self._tables.values()) > self._max_bytes:
                self._tables.popitem(last=False)

    def _make(self, snapshot: Snapshot, key: str, timeout_s: float) -> pa.Table:
        plan = Scan(
            snapshot.schema.name,
            tuple(columns(snapshot.schema).values()),
            Interval(),
            segments=snapshot.segments,
            buffer_rows=snapshot.buffer.num_rows,
        )
        last_first = [column_of(EVENTS, key), column_of(EVENTS, INGEST_TIME), column_of(EVENTS, EVENT_ID)]
        of_each_key = exp.Distinct(on=exp.Tuple(expressions=[last_first[0].copy()]))
        select = exp.Select(expressions=[exp.Star()], distinct=of_each_key)
        select.set("from_", exp.From(this=scan(plan, Interval())))
        present = exp.Not(this=exp.Is(this=column_of(EVENTS, key), expression=exp.Null()))
        select.set("where", exp.Where(this=present))
        order = [exp.Ordered(this=column, desc=index > 0, nulls_first=False) for index, column in enumerate(last_first)]
        select.set("order", exp.Order(expressions=order))
        files = [url for _, urls in segment_groups(plan) for url in urls]
        return self._executor.run(select, {BUFFER: snapshot.buffer}, timeout_s=timeout_s, files=files)
