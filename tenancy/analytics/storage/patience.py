"""Waiting for a catalog that is out of reach, for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tenancy.analytics.errors import CatalogUnavailableError

T = TypeVar("T")

_PAUSE_S = 0.1


def patiently(
    work: Callable[[], T],
    patience_s: float,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What `work` gives, tried again while the catalog is out of reach.

    Raises CatalogUnavailableError once that has lasted for `patience_s`.
    """
    deadline = monotonic() + patience_s
    while True:
        try:
            return work()
        except CatalogUnavailableError:
            if monotonic() + _PAUSE_S >= deadline:
                raise
        sleep(_PAUSE_S)
