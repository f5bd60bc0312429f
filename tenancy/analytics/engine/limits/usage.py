"""What one tenant used, counted in memory by the hour and added to the catalog, each amount exactly once."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime

from tenancy.analytics.clock import Clock
from tenancy.analytics.storage.catalog import UsageAddition
from tenancy.analytics.storage.catalog._usage import hour_of
from tenancy.analytics.storage.traffic import Tally

EVENTS, RECEIVED, WRITTEN, READ = "events", "bytes_received", "bytes_written", "bytes_read"
SCANNED, QUERIES, CPU_US, MEMORY = "bytes_scanned", "queries", "cpu_microseconds", "memory_byte_milliseconds"
REFUSED = "refused."
"""Begins the names of refused calls; the limit follows."""

_PASSIVE_S = 300.0
"""How often memory that only lies there is added; an idle tenant shall cost no writing."""


class UsageLedger:
    """Counts, from any thread, and now and then writes.

    `cpu` tells seconds that only grow, `memory` the bytes in use now. `write` hands an addition to the catalog; one
    whose outcome is not known is repeated, unchanged, before any other.
    """

    def __init__(
        self,
        source: str,
        write: Callable[[UsageAddition], None],
        clock: Clock,
        period_s: float,
        tally: Tally,
        cpu: Callable[[], float],
        memory: Callable[[], int],
    ) -> None:
        self._source, self._write, self._clock, self._period_s = source, write, clock, period_s
        self._tally, self._cpu, self._memory = tally, cpu, memory
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._counts: defaultdict[tuple[datetime, str], int] = defaultdict(int)
        self._cpu_seen_us = round(cpu() * 1e6)
        self._unsettled: UsageAddition | None = None
        self._sequence = 0
        self._active = False
        self._looked_at = self._written_at = clock.monotonic()

    def add(self, what: str, amount: int = 1) -> None:
        """So much more was used, now."""
        if amount:
            hour = hour_of(self._clock.now())
            with self._lock:
                self._counts[hour, what] += amount
                self._active = True

    def due(self) -> bool:
        """Whether `settle` has something to write. Cheap."""
        waited = self._clock.monotonic() - self._written_at
        if waited < self._period_s:
            return False
        # Not CPU time: writing takes some, and would be its own reason.
        return self._active or self._tally.moved or self._unsettled is not None or waited >= _PASSIVE_S

    def settle(self) -> None:
        """Write what was counted. Raises what the catalog raises; then nothing is lost, and it may be repeated."""
        with self._writing:
            self._written_at = self._clock.monotonic()
            if self._unsettled is not None:
                self._hand_over(self._unsettled)
            self._look()
            with self._lock:
                counts, self._counts = dict(self._counts), defaultdict(int)
                self._active = False
            if counts:
                self._sequence += 1
                self._hand_over(UsageAddition(self._source, self._sequence, counts))

    def _hand_over(self, addition: UsageAddition) -> None:
        self._unsettled = addition
        self._write(addition)
        self._unsettled = None

    def _look(self) -> None:
        """Take in what grew by itself, and the memory that was held since the last time."""
        now, hour = self._clock.monotonic(), hour_of(self._clock.now())
        cpu_us, held = round(self._cpu() * 1e6), self._memory()
        milliseconds = round((now - self._looked_at) * 1000)
        read, written = self._tally.take()
        found = {READ: read, WRITTEN: written, CPU_US: max(0, cpu_us - self._cpu_seen_us), MEMORY: held * milliseconds}
        with self._lock:
            for what, amount in found.items():
                if amount:
                    self._counts[hour, what] += amount
        self._cpu_seen_us, self._looked_at = cpu_us, now
