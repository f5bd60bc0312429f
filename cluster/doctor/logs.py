"""Write-ahead logs: what waits to be folded, and objects that are damaged."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.doctor.finding import Finding, ok, warning, wrong
from cluster.doctor.patient import Patient
from tenancy.analytics.engine import Backing
from tenancy.analytics.errors import AnalyticsError, IntegrityError
from tenancy.analytics.storage.catalog import WalPosition
from tenancy.analytics.storage.wal import WriteAheadLog

PART = "logs"
MANY = 1_000
"""Objects of one log beyond which its next opening takes seconds."""
MOST_TENANTS = 1_000


def examine(patient: Patient) -> Iterator[Finding]:
    """Reads what every tenant's next owner would replay, of up to 1,000 tenants."""
    try:
        backing = Backing.open(patient.config)
    except AnalyticsError as error:
        yield wrong(PART, str(error), "see to the catalog, the storage and the master key first")
        return
    objects, logs, bad = 0, 0, []
    try:
        for record in backing.catalog.tenants(limit=MOST_TENANTS):
            for name, tail in _tails(backing, record.id):
                logs += 1
                if isinstance(tail, IntegrityError):
                    bad.append(f"{record.id}/{name}: {tail}")
                    continue
                objects += tail
                if tail > MANY:
                    yield warning(
                        PART,
                        f"{tail:,} objects of {record.id}/{name} are in no segment yet",
                        "see the log of its host for why it does not flush; opening the tenant will take a while",
                    )
    except AnalyticsError as error:
        yield wrong(PART, str(error), "see to the catalog and the storage first")
        return
    finally:
        backing.close()
    for problem in bad[:10]:
        yield wrong(PART, problem, "that dataset is not served; restore the object from a backup, or remove it")
    if not bad:
        yield ok(PART, f"{objects:,} objects of {logs:,} datasets wait to be folded, all whole")


def _tails(backing: Backing, tenant: str) -> Iterator[tuple[str, int | IntegrityError]]:
    rows = backing.catalog.tenant(tenant)
    for schema in rows.datasets():
        log = WriteAheadLog(backing.filesystem, f"tenancy://{tenant}/{schema.name}/wal", rows.epoch())
        folded = rows.wal_position(schema.name) or WalPosition(0, 0)
        try:
            yield schema.name, sum(1 for _ in log.replay(folded))
        except IntegrityError as error:
            yield schema.name, error
