"""What all engines of one process share: storage, threads, and one DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine.backing import Backing
from tenancy.analytics.engine.threads import WorkerThreads
from tenancy.analytics.query import DuckDBExecutor


@dataclass(frozen=True, slots=True)
class HostResources:
    """Opened once for each host, closed after its engines."""

    config: AnalyticsConfig
    clock: Clock
    backing: Backing
    threads: WorkerThreads
    duckdb: DuckDBExecutor

    @classmethod
    def open(cls, config: AnalyticsConfig, clock: Clock | None = None) -> Self:
        """Resources as `config` says."""
        time = clock or SystemClock()
        backing = Backing.open(config, time)
        try:
            duckdb = DuckDBExecutor(backing.filesystem, config.performance)
        except BaseException:
            backing.close()
            raise
        return cls(config, time, backing, WorkerThreads(config.analytics_engine), duckdb)

    def close(self) -> None:
        """Stop running queries, end the threads, close the storage."""
        self.duckdb.close()
        self.threads.close()
        self.backing.close()
