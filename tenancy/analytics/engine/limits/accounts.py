"""One tenant's limits and usage, wired: what passes the gate is counted, and what does not as well."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tenancy.analytics.clock import Clock
from tenancy.analytics.config import LimitsConfig
from tenancy.analytics.engine.limits import usage
from tenancy.analytics.engine.limits.gate import Gate, Standing, Ticket
from tenancy.analytics.engine.limits.tenant_limits import TenantLimits
from tenancy.analytics.engine.limits.usage import UsageLedger
from tenancy.analytics.errors import AnalyticsError
from tenancy.analytics.storage.catalog import TenantCatalog, TenantRecord
from tenancy.analytics.storage.traffic import Tally

_log = logging.getLogger(__name__)


class Accounts:
    """Lets calls of a tenant in, or raises LimitExceededError, and keeps its accounts as the owner of one epoch.

    `own` are the limits it was registered with. `stored` tells the bytes of its segments, `memory` those that its
    buffers and caches hold, `cpu` the seconds of CPU it took, which only grow.
    """

    def __init__(
        self,
        own: TenantLimits,
        config: LimitsConfig,
        clock: Clock,
        rows: TenantCatalog,
        epoch: int,
        tally: Tally,
        *,
        stored: Callable[[], int],
        memory: Callable[[], int],
        cpu: Callable[[], float],
    ) -> None:
        self._own, self._config, self._rows = own, config, rows
        self._ledger = UsageLedger(
            f"epoch-{epoch}",
            lambda addition: rows.add_usage(addition, epoch),
            clock,
            config.usage_seconds,
            tally,
            cpu,
            memory,
        )
        limits = self._limits(rows.record())
        self._gate = Gate(rows.tenant, limits, config.burst_seconds, clock, stored, self._refused)

    @contextmanager
    def collecting(self, rows_at_most: Callable[[], int], size: int) -> Iterator[Ticket]:
        """Let a body in; the ticket is told how many rows it were. Raises LimitExceededError, with nothing taken."""
        with self._gate.collecting(rows_at_most, size) as ticket:
            self._ledger.add(usage.RECEIVED, size)
            yield ticket
            self._ledger.add(usage.EVENTS, ticket.rows)

    @contextmanager
    def querying(self) -> Iterator[None]:
        """Let a query in, for as long as the block runs. Raises LimitExceededError."""
        with self._gate.querying():
            self._ledger.add(usage.QUERIES)
            yield

    def scanned(self, size: int) -> None:
        """A query has read so many bytes."""
        self._gate.scanned(size)
        self._ledger.add(usage.SCANNED, size)

    def standings(self) -> tuple[Standing, ...]:
        """How the tenant stands with each limit it has."""
        return self._gate.standings()

    @property
    def limits(self) -> TenantLimits:
        """What the tenant may use now."""
        return self._gate.limits

    def read_limits(self) -> None:
        """Take over the limits that the catalog has now; what was let in goes on."""
        self._gate.change(self._limits(self._rows.record()))

    def due(self) -> bool:
        """Whether there is something to add to the accounts. Cheap."""
        return self._ledger.due()

    def settle(self) -> None:
        """Add what was used until now to the accounts in the catalog, once."""
        self._ledger.settle()

    def close(self) -> None:
        """`settle` for the last time; what cannot be added is lost, and told."""
        try:
            self._ledger.settle()
        except AnalyticsError as error:
            _log.warning("the last usage of tenant %r is not accounted for: %s", self._rows.tenant, error)

    def _refused(self, limit: str) -> None:
        self._ledger.add(usage.REFUSED + limit)

    def _limits(self, record: TenantRecord) -> TenantLimits:
        own = self._own if record.limits is None else TenantLimits.load(record.limits)
        return own.over(self._config)
