"""Whether this process still owns the tenant it serves: the fence between an old owner and a new one."""

from __future__ import annotations

import math
from collections.abc import Callable

from tenancy.analytics.errors import StaleOwnerError
from tenancy.analytics.storage.catalog import TenantCatalog


class Ownership:
    """One epoch of one tenant. Once it is found to be over, it stays over."""

    def __init__(self, catalog: TenantCatalog, epoch: int, monotonic: Callable[[], float]) -> None:
        self.epoch = epoch
        self._monotonic = monotonic
        self._confirmed_at = monotonic()
        self._catalog = catalog
        self._current = epoch

    @property
    def over(self) -> bool:
        """Whether another owner is known to have taken over."""
        return self._current != self.epoch

    def assume(self) -> None:
        """Raise StaleOwnerError where this is known to be over; costs nothing."""
        if self.over:
            raise StaleOwnerError(self._catalog.tenant, self.epoch, self._current)

    def check(self) -> None:
        """Ask the catalog; raise StaleOwnerError where another owner has taken over."""
        asked_at = self._monotonic()
        # Another thread may have seen a later epoch since this one asked.
        self._current = max(self._catalog.epoch(), self._current)
        self.assume()
        self._confirmed_at = asked_at

    def known_for_s(self) -> float:
        """How long ago the catalog last confirmed the ownership, in seconds; infinite once it is over."""
        return math.inf if self.over else self._monotonic() - self._confirmed_at

    def learn(self, error: StaleOwnerError) -> None:
        """Remember what a fenced commit said."""
        self._current = error.current
