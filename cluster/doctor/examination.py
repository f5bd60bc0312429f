"""All parts, one after the other; what cannot be examined is a finding too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from types import ModuleType

from cluster.doctor import catalog, logs, master_key, packages, ray_cluster, service, settings, storage
from cluster.doctor.finding import Finding, wrong
from cluster.doctor.patient import Patient

PARTS: tuple[ModuleType, ...] = (packages, settings, storage, catalog, master_key, logs, ray_cluster, service)
_OF_STORED: tuple[ModuleType, ...] = (catalog, master_key, logs)
"""Where nothing was stored yet there is nothing to look at, and looking would make it."""

_log = logging.getLogger(__name__)


def examine(patient: Patient) -> Iterator[Finding]:
    """What is found of every part, as it is found."""
    for part in PARTS:
        if part in _OF_STORED and not patient.stored:
            continue
        look: Callable[[Patient], Iterator[Finding]] = part.examine
        try:
            yield from look(patient)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are looked at
            _log.debug("the examination of %s failed", part.PART, exc_info=True)
            yield wrong(part.PART, f"it cannot be examined ({type(error).__name__}: {error})", "report this as a fault")
