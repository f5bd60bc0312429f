"""What all engines of one process share: storage, threads, and one DuckDB."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine.backing import Backing
from tenancy.analytics.engine.threads import WorkerThreads

if TYPE_CHECKING:
    from tenancy.analytics.query import DuckDBExecutor


class HostResources:
    """Opened once for each host, closed after its engines."""

    def __init__(self, config: AnalyticsConfig, backing: Backing, clock: Clock) -> None:
        self.config = config
        self.backing = backing
        self.clock = clock
        self.threads = WorkerThreads(config.analytics_engine)
        self._duckdb: DuckDBExecutor | None = None
        self._lock = threading.Lock()

    @classmethod
    def open(cls, config: AnalyticsConfig, clock: Clock | None = None) -> Self:
        """Resources as `config` says."""
        time = clock or SystemClock()
        return cls(config, Backing.open(config, time), time)

    def duckdb(self) -> DuckDBExecutor:
        """The query engine, imported and started by the first query: a tenant that only collects does without."""
        from tenancy.analytics.query import DuckDBExecutor

        with self._lock:
            if self._duckdb is None:
                self._duckdb = DuckDBExecutor(self.backing.filesystem, self.config.performance)
            return self._duckdb

    def close(self) -> None:
        """Stop running queries, end the threads, close the storage."""
        if self._duckdb is not None:
            self._duckdb.close()
        self.threads.close()
        self.backing.close()
