"""Settings that are right one by one and do not go together."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.doctor.finding import Finding, ok, warning
from cluster.doctor.patient import Patient

PART = "settings"


def examine(patient: Patient) -> Iterator[Finding]:
    """What contradicts, or will surprise."""
    found = list(_contradictions(patient))
    yield from found or [ok(PART, "nothing contradicts")]


def _contradictions(patient: Patient) -> Iterator[Finding]:
    config = patient.config
    storage, placement, collection = config.storage, config.placement, config.data_collection
    if storage.catalog_patience_seconds >= placement.call_timeout_seconds / 4:
        yield warning(
            PART,
            f"a write may wait {storage.catalog_patience_seconds:g} s for the catalog, and is given up by its caller "
            f"after {placement.call_timeout_seconds / 4:g} s",
            "let storage.catalog_patience_seconds be less than a quarter of placement.call_timeout_seconds",
        )
    if storage.dead_file_seconds < config.performance.query_timeout_seconds:
        yield warning(
            PART,
            f"files that were replaced are deleted after {storage.dead_file_seconds:g} s, and a query that reads them "
            f"may take {config.performance.query_timeout_seconds:g} s",
            "let storage.dead_file_seconds be no less than performance.query_timeout_seconds",
        )
    if collection.max_body_bytes > collection.max_in_flight_bytes:
        yield warning(
            PART,
            f"a body may have {collection.max_body_bytes:,} bytes, and {collection.max_in_flight_bytes:,} be in flight",
            "let data_collection.max_in_flight_bytes be several times data_collection.max_body_bytes",
        )
    if placement.idle_seconds < 4 * placement.silence_seconds:
        yield warning(
            PART,
            f"tenants go cold after {placement.idle_seconds:g} s, which is hardly longer than a host may be silent",
            "let placement.idle_seconds be minutes",
        )
