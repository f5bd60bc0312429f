from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from tenancy.analytics.collection import DataCollector, Payload
from tenancy.analytics.config import CollectionConfig
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.testing import ManualClock, MemorySink
from tenancy.analytics.types import DataSourceType, Receipts

NOW = datetime(2025, 7, 16, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink(
        DatasetSchema(
            name="plays",
            fields={"user": FieldSpec(type=FieldType.STRING), "duration": FieldSpec(type=FieldType.INTEGER)},
        )
    )


@pytest.fixture
def config() -> CollectionConfig:
    return CollectionConfig(max_row_bytes=4096)


@pytest.fixture
def collector(sink: MemorySink, config: CollectionConfig, clock: ManualClock) -> DataCollector:
    return DataCollector("tenant_001", lambda _: sink, config, clock)


@pytest.fixture
def collect(collector: DataCollector) -> Callable[..., Receipts]:
    """Collects NDJSON bytes, or anything that makes a payload, and waits for the receipts."""

    def run(data: object, content_type: str = "application/x-ndjson", key: str | None = None) -> Receipts:
        payload = Payload.from_http(data, content_type) if isinstance(data, bytes) else Payload.of(data)
        done = collector.collect("plays", payload, source=DataSourceType.API, idempotency_key=key)
        return done.result(timeout=5)

    return run
