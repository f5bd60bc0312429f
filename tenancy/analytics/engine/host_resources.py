"""What all engines of one process share: storage, threads, and one DuckDB."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.config import AnalyticsConfig, PerformanceConfig
from tenancy.analytics.engine.backing import Backing
from tenancy.analytics.engine.memory import Budget, HostMemory
from tenancy.analytics.engine.memory.budget import MEBIBYTE
from tenancy.analytics.engine.scheduling import CrewClock, FairScheduler, Work, give_way, slots
from tenancy.analytics.storage.filesystem import EncryptedFileSystem

if TYPE_CHECKING:
    from tenancy.analytics.query import DuckDBExecutor


@dataclass(frozen=True, slots=True)
class QueryExecutors:
    """Two DuckDBs, so that a query that is over soon never waits for one that takes long."""

    quick: DuckDBExecutor
    """Answers on the thread that asks, at its priority."""
    patient: DuckDBExecutor
    """Uses every core that nobody else wants: its threads give way."""
    patient_crew: CrewClock
    """Measures those threads."""


class HostResources:
    """Opened once for each host, closed after its engines."""

    def __init__(self, config: AnalyticsConfig, backing: Backing, clock: Clock) -> None:
        self.config = config
        self.backing = backing
        self.clock = clock
        self.scheduler = FairScheduler(config.analytics_engine)
        self._executors: QueryExecutors | None = None
        self._lock = threading.Lock()
        self.memory = HostMemory(Budget.of(config), clock, self._query_bytes)

    @classmethod
    def open(cls, config: AnalyticsConfig, clock: Clock | None = None) -> Self:
        """Resources as `config` says."""
        time = clock or SystemClock()
        backing = Backing.open(config, time)
        try:
            return cls(config, backing, time)
        except BaseException:
            backing.close()  # or else each attempt would leave its connections open
            raise

    def executors(self) -> QueryExecutors:
        """The query engines, imported and started by the first query: a tenant that only collects does without."""
        with self._lock:
            if self._executors is None:
                limit = {"memory_limit_mb": self.memory.budget.query // MEBIBYTE}
                performance = self.config.performance.model_copy(update=limit)
                self._executors = _executors(self.backing.filesystem, performance)
            return self._executors

    def close(self) -> None:
        """Stop running queries, end the threads, close the storage."""
        self.memory.close()
        if self._executors is not None:
            self._executors.quick.close()
            self._executors.patient.close()
        self.scheduler.close()
        self.backing.close()

    def _query_bytes(self) -> int:
        executors = self._executors
        return 0 if executors is None else executors.quick.memory_bytes + executors.patient.memory_bytes


_QUICK_SHARE = 8
"""The quick engine gets this fraction of the memory for queries; what needs more goes to the patient one."""


def _executors(filesystem: EncryptedFileSystem, performance: PerformanceConfig) -> QueryExecutors:
    from tenancy.analytics.query import DuckDBExecutor

    quick_mb = max(32, performance.memory_limit_mb // _QUICK_SHARE)
    alone = {"cpu_limit_cores": 1, "memory_limit_mb": quick_mb}
    rest = {"memory_limit_mb": max(64, performance.memory_limit_mb - quick_mb)}
    quick = DuckDBExecutor(filesystem, performance.model_copy(update=alone))
    made: list[DuckDBExecutor] = []
    crew_clock = CrewClock("patient-duckdb")

    def make() -> None:
        give_way(slots(1)[Work.PATIENT].nice)
        crew_clock.adopt()
        made.append(DuckDBExecutor(filesystem, performance.model_copy(update=rest)))

    # DuckDB's threads inherit from the one that starts them how far they give way, and no thread may take that back.
    with ThreadPoolExecutor(1, "patient-engine") as crew:
        crew.submit(make).result()
    return QueryExecutors(quick, made[0], crew_clock)
