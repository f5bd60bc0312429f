"""Runs statements on DuckDB: one instance for a host, a cursor for each query at a time.

The instance reads through the filesystem it is given and nothing else: no local files, no network, no extensions to
load, and its settings are locked. It does not spill to disk unless it is given a folder, since what it spills is
not encrypted; a query that needs more memory than there is ends with QueryMemoryError.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

import duckdb
import pyarrow as pa
from fsspec import AbstractFileSystem
from sqlglot import exp

from tenancy.analytics.config import PerformanceConfig
from tenancy.analytics.deadlines import Deadline, Deadlines
from tenancy.analytics.errors import InvalidRequestError, QueryMemoryError, QueryTimeoutError, UnavailableError
from tenancy.analytics.query._watched_filesystem import WatchedFileSystem

_NONE: Final[Mapping[str, pa.Table]] = MappingProxyType({})
_IDLE_CURSORS = 64
_MEMORY: Final = exp.select(exp.Sum(this=exp.column("memory_usage_bytes"))).from_("duckdb_memory()").sql("duckdb")


class DuckDBExecutor:
    """Safe for many threads at once."""

    def __init__(
        self,
        filesystem: AbstractFileSystem,
        performance: PerformanceConfig,
        *,
        spill_directory: str | None = None,
        spill_limit_mb: int = 16_384,
    ) -> None:
        self.performance = performance
        self._filesystem = WatchedFileSystem(filesystem)
        self._deadlines = Deadlines()
        self._idle: list[duckdb.DuckDBPyConnection] = []
        self._lock = threading.Lock()
        self._closed = False
        self._running = 0
        self._gauging = threading.Lock()
        self._connection = duckdb.connect(
            ":memory:",
            config={
                "threads": min(performance.cpu_limit_cores, os.cpu_count() or 1),
                "memory_limit": f"{performance.memory_limit_mb}MB",
                "temp_directory": spill_directory or "",
                "max_temp_directory_size": f"{spill_limit_mb}MB",
                "autoload_known_extensions": False,
                "autoinstall_known_extensions": False,
                "allow_community_extensions": False,
                # Order is what ORDER BY says; keeping another one costs memory.
                "preserve_insertion_order": False,
            },
        )
        self._connection.register_filesystem(self._filesystem)
        self._settle()
        self._gauge = self._connection.cursor()

    def run(
        self,
        statement: exp.Query,
        tables: Mapping[str, pa.Table] = _NONE,
        *,
        timeout_s: float,
        files: Collection[str] = (),
    ) -> pa.Table:
        """The rows of `statement`, in which `tables` are known by their names and `files` are read.

        Raises QueryTimeoutError after `timeout_s` seconds, QueryMemoryError beyond the memory limit, and what the
        filesystem raised, as IntegrityError, as it was raised.
        """
        return self.run_text(statement.sql(dialect="duckdb", copy=False), tables, timeout_s=timeout_s, files=files)

    def run_text(
        self, sql: str, tables: Mapping[str, pa.Table], *, timeout_s: float, files: Collection[str]
    ) -> pa.Table:
        """As `run`, of a statement already generated. Never of a caller's text."""
        with self._filesystem.reading(files), self._cursor() as cursor:
            try:
                with self._deadlines.within(timeout_s, cursor.interrupt) as deadline:
                    return self._answer(cursor, sql, tables, files, deadline, timeout_s)
            finally:
                # Beyond the deadline's reach: interrupted here, the cursor would keep a query's tables for the next.
                for name in tables:
                    cursor.unregister(name)

    def _answer(
        self,
        cursor: duckdb.DuckDBPyConnection,
        sql: str,
        tables: Mapping[str, pa.Table],
        files: Collection[str],
        deadline: Deadline,
        timeout_s: float,
    ) -> pa.Table:
        try:
            for name, table in tables.items():
                cursor.register(name, table)
            return cursor.sql(sql).to_arrow_table()
        except duckdb.InterruptException:
            if deadline.passed and not self._closed:
                raise QueryTimeoutError(timeout_s) from None
            raise UnavailableError("query engine", "it was closed") from None
        except duckdb.OutOfMemoryException:
            raise QueryMemoryError(self.performance.memory_limit_mb) from None
        except (duckdb.OutOfRangeException, duckdb.ConversionException) as error:
            remedy = "a sum or average of whole numbers is beyond 64 bits; narrow the query or store fractions"
            raise InvalidRequestError("query", str(error).splitlines()[0][:200], remedy) from error
        except duckdb.Error as error:
            cause = self._filesystem.failure(files, str(error))
            if cause is None:
                raise
            raise cause from None

    @property
    def memory_bytes(self) -> int:
        """Bytes that DuckDB counts against its limit now; 0 once it is closed. Takes 0.3 ms."""
        with self._gauging:
            if self._closed:
                return 0
            found = self._gauge.execute(_MEMORY).fetchone()
            return int(found[0] or 0) if found else 0

    @property
    def running(self) -> int:
        """How many statements run now."""
        return self._running

    def close(self) -> None:
        """Interrupts what still runs and frees the instance."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            idle, self._idle = self._idle, []
        self._deadlines.close()
        with self._gauging:
            self._gauge.close()
        for cursor in idle:
            cursor.close()
        self._connection.close()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._lock:
            if self._closed:
                raise UnavailableError("query engine", "it was closed")
            cursor = self._idle.pop() if self._idle else self._connection.cursor()
            self._running += 1
        try:
            yield cursor
        finally:
            with self._lock:
                self._running -= 1
                keep = not self._closed and len(self._idle) < _IDLE_CURSORS
                if keep:
                    self._idle.append(cursor)
            if not keep:
                cursor.close()

    def _settle(self) -> None:
        """What can only be set once DuckDB runs; then nothing can be set any more."""
        directory = exp.Array(expressions=[exp.Literal.string(f"{self._filesystem.protocol}://")])
        settings: tuple[tuple[str, exp.Expression], ...] = (
            ("TimeZone", exp.Literal.string("UTC")),
            # Footers are kept in memory; pages are not, since this cache never holds the files of a filesystem
            # written in Python, and asking it costs time (measured: 6 % of a scan).
            ("parquet_metadata_cache", exp.true()),
            ("enable_external_file_cache", exp.false()),
            ("allowed_directories", directory),
            ("enable_external_access", exp.false()),
            ("lock_configuration", exp.true()),
        )
        for name, value in settings:
            item = exp.SetItem(this=exp.EQ(this=exp.var(name), expression=value))
            self._connection.execute(exp.Set(expressions=[item]).sql(dialect="duckdb"))
