"""Warnings at the door: volume, gaps and strange categories stand out once; ordinary data never does."""

import random
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from tenancy.analytics.collection import WARNINGS, DataCollector, Payload
from tenancy.analytics.collection.anomaly import Monitor
from tenancy.analytics.config import CollectionConfig
from tenancy.analytics.errors import StorageFullError
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.testing import ManualClock, MemorySink
from tenancy.analytics.types import DataSourceType

BEGIN = datetime(2025, 7, 16, tzinfo=UTC)


class Stream:
    """Minutes of plays from a seeded generator, some of them strange."""

    def __init__(self) -> None:
        self.random = random.Random(7)
        self.monitor = Monitor()
        self.minute = 0

    def minutes(
        self, count: int, rows: int = 500, nulls: float = 0.1, strange: float = 0.0
    ) -> list[tuple[str, str | None]]:
        found = []
        for _ in range(count):
            actual = max(1, round(self.random.gauss(rows, rows**0.5)))
            table = pa.table(
                {
                    "country": [
                        f"new{self.random.random()}"
                        if self.random.random() < strange
                        else self.random.choice(["DE", "FR"])
                        for _ in range(actual)
                    ],
                    "score": [None if self.random.random() < nulls else 1.0 for _ in range(actual)],
                }
            )
            now = BEGIN + timedelta(minutes=self.minute)
            found += [(w.kind, w.field) for w in self.monitor.observe("plays", table, now)]
            self.minute += 1
        return found

    def country(self, strange: float) -> str:
        known = self.random.choice(["DE", "FR"])
        return f"new{self.random.random()}" if self.random.random() < strange else known


@pytest.fixture
def stream() -> Stream:
    return Stream()


def test_ordinary_noise_raises_nothing(stream: Stream) -> None:
    assert stream.minutes(300) == []


def test_a_flood_and_a_drought_stand_out(stream: Stream) -> None:
    stream.minutes(30)
    stream.minutes(1, rows=2_000)
    assert stream.minutes(1) == [("volume", None)]
    drought = Stream()
    drought.minutes(30)
    drought.minutes(1, rows=20)
    assert drought.minutes(1) == [("volume", None)]


def test_a_field_that_empties_stands_out(stream: Stream) -> None:
    stream.minutes(30)
    stream.minutes(1, nulls=0.9)
    assert stream.minutes(1) == [("null_share", "score")]


@pytest.mark.parametrize("strange", [0.1, 0.2, 1.0])
def test_values_never_seen_stand_out(stream: Stream, strange: float) -> None:
    stream.minutes(30)
    stream.minutes(1, strange=strange)
    assert stream.minutes(1) == [("unseen_share", "country")]


def test_a_field_of_endless_values_is_no_category(stream: Stream) -> None:
    assert stream.minutes(60, strange=1.0) == []


def test_categories_that_grow_slowly_raise_nothing(stream: Stream) -> None:
    assert stream.minutes(300, strange=0.002) == []


def test_what_lasts_is_told_once_in_half_an_hour(stream: Stream) -> None:
    stream.minutes(30)
    floods = [stream.minutes(1, rows=500 * 4 ** (1 + minute % 2)) for minute in range(30)]
    assert sum(len(found) for found in floods) <= 1


def test_before_there_is_a_baseline_nothing_is_told(stream: Stream) -> None:
    stream.minutes(3)
    stream.minutes(1, rows=5_000, nulls=1.0)
    assert stream.minutes(1) == []


def flooded(collector: DataCollector, clock: ManualClock) -> None:
    for minute in range(32):
        rows = [{"country": "DE"}] * (500 if minute == 30 else 100)
        done = collector.collect("plays", Payload.of(rows), source=DataSourceType.API)
        assert done.result().counts()["accepted"] == len(rows)
        clock.advance(timedelta(minutes=1))


def test_warnings_are_events_of_the_tenant(clock: ManualClock) -> None:
    sinks = {"plays": MemorySink(DatasetSchema(name="plays")), WARNINGS.name: MemorySink(WARNINGS)}
    created = []

    def create(schema: DatasetSchema) -> MemorySink:
        created.append(schema)
        return sinks[schema.name]

    flooded(DataCollector("tenant_001", sinks.__getitem__, CollectionConfig(), clock, create=create), clock)
    assert created == [WARNINGS]
    (row,) = sinks[WARNINGS.name].table().to_pylist()
    assert (row["dataset"], row["kind"], row["observed"]) == ("plays", "volume", 500.0)
    assert row["expected"] == pytest.approx(100)
    assert row["score"] > 6


def test_a_warning_that_cannot_be_kept_costs_no_data_and_is_told_when_it_can(clock: ManualClock) -> None:
    plays = MemorySink(DatasetSchema(name="plays"))

    def full(schema: DatasetSchema) -> MemorySink:
        raise StorageFullError("/data")

    flooded(DataCollector("tenant_001", lambda _: plays, CollectionConfig(), clock, create=full), clock)
    assert plays.table().num_rows == 31 * 100 + 500


def test_it_can_be_switched_off(clock: ManualClock) -> None:
    plays = MemorySink(DatasetSchema(name="plays"))
    config = CollectionConfig(anomaly_detection_enabled=False)

    def never(schema: DatasetSchema) -> MemorySink:
        raise AssertionError(schema)

    flooded(DataCollector("tenant_001", lambda _: plays, config, clock, create=never), clock)
