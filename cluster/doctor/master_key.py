"""The master key: there, readable by nobody else, and the one that opens what is stored."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from cluster.doctor.finding import Finding, ok, warning, wrong
from cluster.doctor.patient import Patient
from tenancy.analytics.errors import AnalyticsError
from tenancy.analytics.security.keys import TenantKeyRing
from tenancy.analytics.security.master import key_file, key_provider
from tenancy.analytics.storage.catalog import Catalog

PART = "master key"
_RESTORE = "put the key back from where it was kept safe: without it nothing that is stored can be read"


def examine(patient: Patient) -> Iterator[Finding]:
    """Looks without making one where there is none."""
    config = patient.config
    path = key_file(config)
    if path is not None and not Path(path).exists():
        yield warning(PART, f"there is none at {path} yet", "nothing, if nothing was stored; else " + _RESTORE)
        return
    try:
        provider = key_provider(config)
    except AnalyticsError as error:
        yield wrong(PART, str(error), _RESTORE)
        return
    if path is not None:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & 0o077:
            yield wrong(PART, f"{path} may be read by others ({mode:04o})", f"run 'chmod 600 {path}'")
    catalog = Catalog.open(config.storage)
    try:
        first = catalog.tenants(limit=1)
        if first:
            TenantKeyRing(catalog, provider).current(first[0].id)
    except AnalyticsError as error:
        yield wrong(PART, f"it does not open the key of tenant {first[0].id!r}: {error}", _RESTORE)
        return
    finally:
        catalog.close()
    opened = f", and opens the key of tenant {first[0].id!r}" if first else ""
    yield ok(PART, f"{path or config.security.key_variable} is there{opened}")
