"""The threads of one host, in three crews, so that slow queries never keep events from being stored."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from tenancy.analytics.config import EngineConfig


class WorkerThreads:
    """`analytics_engine.max_workers` threads, shared by every engine of a process.

    Reading and checking of batches keeps a core busy for each thread, so there are no more of those than cores;
    queries and storage wait most of their time.
    """

    def __init__(self, config: EngineConfig) -> None:
        workers, cores = config.max_workers, os.cpu_count() or 1
        collecting = max(1, min(cores, workers // 4))
        storing = max(1, workers // 3)
        self.collecting = ThreadPoolExecutor(collecting, "collect")
        self.storing = ThreadPoolExecutor(storing, "store")
        self.asking = ThreadPoolExecutor(max(1, workers - collecting - storing), "query")

    def close(self) -> None:
        """Ends every thread once its work is done."""
        for crew in (self.collecting, self.asking, self.storing):
            crew.shutdown()
