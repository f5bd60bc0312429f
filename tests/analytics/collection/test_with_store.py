"""The collector over the real store: what it answered holds after a restart, and ids are exact across calls."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from fsspec.implementations.local import LocalFileSystem

from tenancy.analytics.collection import WARNINGS, DataCollector, Payload, pending
from tenancy.analytics.config import CollectionConfig, StorageConfig
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.storage.catalog import Catalog
from tenancy.analytics.storage.filesystem import EncryptedFileSystem
from tenancy.analytics.storage.tenant_store import TenantStore
from tenancy.analytics.testing import ManualClock
from tenancy.analytics.types import DataSourceType, Receipts

TENANT = "tenant_001"
API = DataSourceType.API


class OneKey:
    """The same key for everything, for tests of what lies above the keys."""

    def current(self, tenant: str) -> tuple[int, bytes]:
        return 1, self.key(tenant, 1)

    def key(self, tenant: str, version: int) -> bytes:
        return bytes([version]) * 32


@pytest.fixture
def start(tmp_path: Path, clock: ManualClock) -> Iterator[Callable[[], tuple[TenantStore, DataCollector]]]:
    """Opens the tenant, as its next owner."""
    config = StorageConfig(root=str(tmp_path), wal_linger_ms=0)
    catalog = Catalog.open(config)
    catalog.create_tenant(TENANT)
    fs = EncryptedFileSystem(LocalFileSystem(), str(tmp_path), OneKey())
    opened: list[TenantStore] = []
    with ThreadPoolExecutor(4) as executor:

        def run() -> tuple[TenantStore, DataCollector]:
            store = TenantStore.open(TENANT, catalog.tenant(TENANT), fs, config, timedelta(hours=24), clock, executor)
            if not opened:
                store.create(
                    DatasetSchema(name="plays", fields={"user": FieldSpec(type=FieldType.STRING, max_length=5)})
                )
            opened.append(store)
            return store, DataCollector(TENANT, store.dataset, CollectionConfig(), clock, create=store.create)

        yield run
        opened[-1].close()
    catalog.close()


Start = Callable[[], tuple[TenantStore, DataCollector]]
BODY = b'{"user":"ada","event_id":"a"}\n{"user":"ada","event_id":"a"}\n{"user":"grace hopper"}\nnonsense\n{"new":1}'


def collected(collector: DataCollector, body: bytes, key: str | None = None) -> Receipts:
    payload = Payload.from_http(body, "application/x-ndjson")
    return collector.collect("plays", payload, source=API, idempotency_key=key).result(timeout=10)


def buffered(store: TenantStore) -> pa.Table:
    with store.snapshot("plays") as snapshot:
        return snapshot.buffer


def test_an_answered_event_is_in_the_next_snapshot(start: Start) -> None:
    store, collector = start()
    assert collected(collector, BODY).counts() == {"accepted": 2, "duplicate": 1, "quarantined": 2, "late": 0}
    assert buffered(store)["user"].to_pylist() == ["ada", None]
    assert buffered(store)["new"].to_pylist() == [None, 1]
    with store.snapshot("plays_quarantine") as snapshot:
        assert snapshot.buffer["error_code"].to_pylist() == ["too_long", "malformed_json"]


def test_a_retry_after_a_restart_is_answered_the_same(start: Start) -> None:
    _, collector = start()
    first = collected(collector, BODY, key="k")
    store, collector = start()
    again = collected(collector, BODY, key="k")
    assert again.replayed
    assert list(again) == list(first)
    assert collected(collector, b'{"event_id":"a"}').counts()["duplicate"] == 1
    with store.snapshot("plays") as snapshot:
        assert snapshot.rows == 2


def test_rows_are_replayed_after_a_fix_and_are_pending_no_longer(start: Start) -> None:
    store, collector = start()
    collected(collector, BODY)
    schema = store.dataset("plays").schema
    longer = {**schema.fields, "user": FieldSpec(type=FieldType.STRING, max_length=50)}
    store.create(schema.model_copy(update={"fields": longer}))
    with store.snapshot("plays_quarantine") as snapshot:
        waiting = pending(snapshot.buffer)
    receipts = collector.replay("plays", waiting).result(timeout=10)
    assert receipts.counts() == {"accepted": 1, "duplicate": 0, "quarantined": 1, "late": 0}
    assert "grace hopper" in buffered(store)["user"].to_pylist()
    with store.snapshot("plays_quarantine") as snapshot:
        assert pending(snapshot.buffer)["raw"].to_pylist() == [b"nonsense"]


def test_many_threads_store_each_event_once(start: Start) -> None:
    store, collector = start()
    batches = [
        b"\n".join(b'{"user":"ada","event_id":"e%d","f%d":1}' % (event, batch % 4) for event in range(50))
        for batch in range(16)
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda body: collected(collector, body), batches))
    assert sum(answer.counts()["accepted"] for answer in answers) == 50
    assert sum(answer.counts()["duplicate"] for answer in answers) == 750
    assert sorted(buffered(store)["event_id"].to_pylist()) == sorted(f"e{event}" for event in range(50))
    assert {"f0", "f1", "f2", "f3"} <= set(store.dataset("plays").schema.fields)


def test_warnings_are_kept_as_a_dataset_of_the_tenant(start: Start, clock: ManualClock) -> None:
    store, collector = start()
    for minute in range(13):
        collected(collector, b"\n".join([b'{"user":"ada"}'] * (500 if minute == 11 else 50)))
        clock.advance(timedelta(minutes=1))
    # Rows are made durable in order: once this one is, so is the warning before it.
    collector.collect(WARNINGS.name, Payload.of({"kind": "probe"}), source=API).result(timeout=10)
    with store.snapshot(WARNINGS.name) as snapshot:
        assert snapshot.buffer["kind"].to_pylist() == ["volume", "probe"]
