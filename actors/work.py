"""How much each tenant works its host: cores used, as a moving average."""

from __future__ import annotations

import math
from dataclasses import dataclass

MEMORY_S = 30.0
"""What is older counts little: after so long without work, 37 % of a tenant's figure is left."""


@dataclass(slots=True)
class _Account:
    used_s: float
    at: float
    cores: float


class WorkMeter:
    """Exponentially weighted rates of growing totals, one for each tenant.

    >>> meter = WorkMeter()
    >>> meter.update("loud", used_s=0.0, now=0.0)
    >>> for second in range(1, 301):
    ...     meter.update("loud", used_s=second * 0.5, now=float(second))
    >>> round(meter.of("loud"), 2), meter.of("quiet")
    (0.5, 0.0)
    """

    def __init__(self, memory_s: float = MEMORY_S) -> None:
        self._memory_s = memory_s
        self._accounts: dict[str, _Account] = {}

    def update(self, tenant: str, used_s: float, now: float) -> None:
        """`tenant` has used so many CPU seconds in all, at `now`."""
        account = self._accounts.get(tenant)
        if account is None:
            self._accounts[tenant] = _Account(used_s, now, 0.0)
            return
        passed = now - account.at
        if passed <= 0:
            return
        kept = math.exp(-passed / self._memory_s)
        rate = max(0.0, used_s - account.used_s) / passed
        account.cores = kept * account.cores + (1 - kept) * rate
        account.used_s, account.at = used_s, now

    def of(self, tenant: str) -> float:
        """Cores that `tenant` used of late."""
        account = self._accounts.get(tenant)
        return 0.0 if account is None else account.cores

    def forget(self, tenant: str) -> None:
        self._accounts.pop(tenant, None)
