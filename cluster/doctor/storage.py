"""Where events are kept: writable, readable, quick, and with space left."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.doctor.finding import Finding, ok, warning, wrong
from cluster.doctor.patient import Patient
from tenancy.analytics.errors import AnalyticsError
from tenancy.analytics.storage.probing import free_bytes, probe_storage

PART = "storage"
SLOW_S = 0.1
LITTLE_BYTES = 2 * 1024**3


def examine(patient: Patient) -> Iterator[Finding]:
    """A small object, written durably and read back."""
    storage = patient.config.storage
    if not patient.stored:
        yield ok(PART, f"{storage.root} is not there yet; it is made with the first start")
        return
    try:
        probe = probe_storage(storage)
        free = free_bytes(storage)
    except AnalyticsError as error:
        yield wrong(PART, str(error), f"make {storage.root} writable for this user, with space on it")
        return
    took = f"{storage.root}: durable in {probe.write_s * 1e3:.1f} ms, read in {probe.read_s * 1e3:.1f} ms"
    if probe.write_s > SLOW_S:
        yield warning(PART, took, "every acknowledgement waits for that: use a faster disk, or real_time less")
    else:
        yield ok(PART, took)
    if free is not None and free < LITTLE_BYTES:
        yield warning(PART, f"{free / 1e9:.1f} GB are free", "make space: on a full disk events are refused with 507")
