"""The catalog: within reach, of this version, writable, and quick."""

from __future__ import annotations

import time
from collections.abc import Iterator

from cluster.doctor.finding import Finding, ok, warning, wrong
from cluster.doctor.patient import Patient
from tenancy.analytics.errors import AnalyticsError
from tenancy.analytics.storage.catalog import Catalog

PART = "catalog"
SLOW_S = 0.05
SKEW_S = 2.0


def examine(patient: Patient) -> Iterator[Finding]:
    """A read, a write, and the clock of its server."""
    try:
        catalog = Catalog.open(patient.config.storage)
    except AnalyticsError as error:
        yield wrong(PART, str(error), "start the database that storage.catalog_url names, or name the right one")
        return
    try:
        began = time.perf_counter()
        catalog.tenants(limit=1)
        read = time.perf_counter()
        catalog.probe()
        written = time.perf_counter()
        skew_s = catalog.clock_skew_s()
    except AnalyticsError as error:
        yield wrong(PART, str(error), "see the database's log; it must take writes: no replica, a disk with space")
        return
    finally:
        catalog.close()
    took = f"read in {(read - began) * 1e3:.1f} ms, written in {(written - read) * 1e3:.1f} ms"
    if max(read - began, written - read) > SLOW_S:
        yield warning(PART, took, "every batch asks the catalog once: place it near the hosts, on a faster disk")
    else:
        yield ok(PART, took)
    if abs(skew_s) > SKEW_S:
        yield warning(PART, f"its clock is {skew_s:+.1f} s off this one's", "synchronise both with NTP")
