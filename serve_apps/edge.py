"""What a replica decides about a tenant's calls by itself, before the tenant's host hears of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from uuid import uuid4

from serve_apps.refusals import Kind, Refusals, Slots
from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.config import LimitsConfig
from tenancy.analytics.engine.limits import UsageLedger
from tenancy.analytics.engine.limits.usage import REFUSED
from tenancy.analytics.errors import AnalyticsError, LimitExceededError, UnknownNameError
from tenancy.analytics.storage.catalog import UsageAddition
from tenancy.analytics.storage.traffic import Tally

_MOST_LEDGERS = 10_000
_log = logging.getLogger(__name__)

AddUsage = Callable[[str, UsageAddition], None]


class Edge:
    """Refuses calls that the host has refused just now, and requests beyond the slots of a tenant; of one event loop.

    Each call that is refused here is added to the tenant's accounts by `settle`.
    """

    def __init__(self, config: LimitsConfig, add_usage: AddUsage, clock: Clock | None = None) -> None:
        self._config, self._add_usage = config, add_usage
        self._clock = clock or SystemClock()
        self._refusals = Refusals(config.remembered_seconds)
        self._slots = Slots(config.concurrent_requests)
        self._source = f"replica-{uuid4().hex}"
        self._ledgers: dict[str, UsageLedger] = {}

    @contextmanager
    def at_work(self, tenant: str) -> Iterator[None]:
        """A request of `tenant`, while the block runs. Raises LimitExceededError when it has too many."""
        with ExitStack() as held:
            try:
                held.enter_context(self._slots.taken(tenant))
            except LimitExceededError as error:
                self._count(error)
                raise
            yield

    @contextmanager
    def minding(self, tenant: str, kind: Kind) -> Iterator[None]:
        """Raises LimitExceededError where the host would, as far as it is known here; else learns from its answer."""
        repeated = self._refusals.repeated(tenant, kind, self._clock.monotonic())
        if repeated is not None:
            self._count(repeated)
            raise repeated
        try:
            yield
        except LimitExceededError as error:
            self._refusals.remember(kind, error, self._clock.monotonic())
            raise

    def forget(self, tenant: str) -> None:
        """The tenant's limits were changed here, or it was deleted."""
        self._refusals.forget(tenant)

    def settle(self) -> None:
        """Add what was refused here to the accounts. Blocks; what cannot be added is added the next time."""
        for tenant, ledger in list(self._ledgers.items()):
            try:
                if ledger.due():
                    ledger.settle()
            except UnknownNameError:  # it was deleted
                self._ledgers.pop(tenant, None)
            except AnalyticsError as error:
                _log.warning("refused calls of tenant %r are accounted for later: %s", tenant, error)

    async def settle_forever(self) -> None:
        """`settle`, every `limits.usage_seconds`, until cancelled."""
        while True:
            await asyncio.sleep(self._config.usage_seconds)
            await asyncio.to_thread(self.settle)

    def close(self) -> None:
        """Add what was refused since the last time."""
        for tenant, ledger in self._ledgers.items():
            try:
                ledger.settle()
            except AnalyticsError as error:
                _log.warning("refused calls of tenant %r are not accounted for: %s", tenant, error)

    def _count(self, error: LimitExceededError) -> None:
        ledger = self._ledgers.get(error.tenant)
        if ledger is None:
            if len(self._ledgers) >= _MOST_LEDGERS:
                return  # of so many tenants at once the accounts here are not whole; their hosts' are
            ledger = self._ledgers[error.tenant] = self._ledger(error.tenant)
        ledger.add(REFUSED + error.limit)

    def _ledger(self, tenant: str) -> UsageLedger:
        def write(addition: UsageAddition) -> None:
            self._add_usage(tenant, addition)

        return UsageLedger(
            self._source, write, self._clock, self._config.usage_seconds, Tally(), cpu=lambda: 0.0, memory=lambda: 0
        )
