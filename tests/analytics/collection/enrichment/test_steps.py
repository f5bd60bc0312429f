"""Enrichment: what was declared is written, in every batch, and what came with the event is kept."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tenancy.analytics.collection import DataCollector, Payload
from tenancy.analytics.config import CollectionConfig
from tenancy.analytics.errors import InvalidRequestError, UnavailableError, UnknownNameError
from tenancy.analytics.schema import DatasetSchema, Enrichment, FieldSpec, FieldType
from tenancy.analytics.testing import ManualClock, MemorySink
from tenancy.analytics.types import DataSourceType

NOW = datetime(2025, 7, 16, 12, tzinfo=UTC)
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
SONGS = pa.table({"song": ["a", "b", "a"], "genre": ["pop", "jazz", "rock"], "year": [1990, 1959, 2001]})


class Bench:
    """A dataset with one enrichment step, and a collector that can be restarted."""

    def __init__(self, step: str, options: Mapping[str, Any], fields: Mapping[str, FieldSpec] | None = None) -> None:
        declared = (Enrichment(step=step, options=options),)
        self.sink = MemorySink(DatasetSchema(name="plays", fields=fields or {}, enrichments=declared))
        self.clock = ManualClock(NOW)
        self.songs: pa.Table | None = SONGS
        self.loads = 0
        self.restart()

    def restart(self) -> None:
        self.collector = DataCollector(
            "tenant_001", lambda _: self.sink, CollectionConfig(), self.clock, self._lookup, self._recent
        )

    def collect(self, *rows: Mapping[str, Any]) -> list[dict[str, Any]]:
        before = self.sink.table().num_rows
        self.collector.collect("plays", Payload.of(list(rows)), source=DataSourceType.API).result()
        found: list[dict[str, Any]] = self.sink.table().slice(before).to_pylist()
        return found

    def _lookup(self, dataset: str) -> pa.Table:
        self.loads += 1
        if dataset != "songs" or self.songs is None:
            raise UnavailableError(dataset, "out of reach")
        return self.songs

    def _recent(self, dataset: str, columns: Sequence[str], since: datetime) -> pa.Table:
        assert dataset == "plays"
        rows = self.sink.table()
        return rows.filter(pc.greater_equal(rows["event_time"], pa.scalar(since))).select(list(columns))


def test_a_user_agent_is_parsed() -> None:
    rows = Bench("user_agent", {}).collect(
        {"user_agent": CHROME}, {"user_agent": IPHONE}, {"user_agent": "nothing"}, {"x": 1}
    )
    assert [(row["browser"], row["os"], row["device"]) for row in rows] == [
        ("Chrome", "Windows", None),
        ("Mobile Safari", "iOS", "iPhone"),
        (None, None, None),
        (None, None, None),
    ]


def test_a_prefix_and_a_field_can_be_given_and_what_came_is_kept() -> None:
    bench = Bench("user_agent", {"field": "ua", "prefix": "ua_"})
    (row,) = bench.collect({"ua": CHROME, "ua_os": "TempleOS"})
    assert (row["ua_browser"], row["ua_os"]) == ("Chrome", "TempleOS")


LOOKUP = {"dataset": "songs", "on": "song", "columns": ["genre", "year"]}


def test_columns_of_a_dimension_table_are_copied_and_the_newest_row_wins() -> None:
    rows = Bench("lookup", LOOKUP).collect({"song": "a"}, {"song": "b"}, {"song": "z"}, {"x": 1})
    assert [(row["genre"], row["year"]) for row in rows] == [("rock", 2001), ("jazz", 1959), (None, None), (None, None)]


def test_a_dimension_table_is_read_again_when_its_copy_is_old() -> None:
    bench = Bench("lookup", LOOKUP)
    bench.collect({"song": "a"})
    bench.songs = pa.table({"song": ["a"], "genre": ["folk"], "year": [2010]})
    assert bench.collect({"song": "a"})[0]["genre"] == "rock"
    assert bench.loads == 1
    bench.clock.advance(timedelta(seconds=61))
    assert bench.collect({"song": "a"})[0]["genre"] == "folk"


def test_a_failure_of_a_step_gives_the_claimed_ids_back() -> None:
    bench = Bench("lookup", {**LOOKUP, "refresh_seconds": 0})
    bench.collect({"song": "a"})
    bench.clock.advance(timedelta(seconds=1))
    bench.songs = None
    with pytest.raises(UnavailableError):
        bench.collect({"song": "a", "event_id": "one"})
    bench.songs = SONGS
    assert len(bench.collect({"song": "a", "event_id": "one"})) == 1


def at(minutes: float) -> str:
    return (NOW - timedelta(hours=12) + timedelta(minutes=minutes)).isoformat()


def plays(*minutes: float, user: str = "ada") -> list[dict[str, Any]]:
    return [{"user_id": user, "timestamp": at(minute)} for minute in minutes]


def test_a_pause_of_more_than_half_an_hour_begins_a_session() -> None:
    rows = Bench("session", {}).collect(*plays(0, 30, 60, 90.1, 95), *plays(0, user="eve"), {"timestamp": at(0)})
    ids = [row["session_id"] for row in rows]
    assert ids[0] == ids[1] == ids[2]
    assert ids[3] == ids[4]
    assert len({ids[0], ids[3], ids[5]}) == 3
    assert ids[6] is None


def test_sessions_do_not_depend_on_how_events_are_batched_nor_on_their_order_within_a_batch() -> None:
    whole, shuffled, single = (Bench("session", {}) for _ in range(3))
    events = plays(0, 10, 50, 55, 120)
    expected = [row["session_id"] for row in whole.collect(*events)]
    assert [row["session_id"] for row in shuffled.collect(*reversed(events))] == expected[::-1]
    assert [single.collect(event)[0]["session_id"] for event in events] == expected


def test_a_session_goes_on_after_a_restart() -> None:
    bench = Bench("session", {})
    bench.clock = ManualClock(NOW - timedelta(hours=12))
    bench.restart()
    (before,) = bench.collect(*plays(0))
    bench.clock.advance(timedelta(minutes=20))
    bench.restart()
    (after,) = bench.collect(*plays(20))
    assert after["session_id"] == before["session_id"]


def test_an_event_far_behind_does_not_end_the_current_session() -> None:
    bench = Bench("session", {})
    (current,) = bench.collect(*plays(200))
    (behind,) = bench.collect(*plays(10))
    (later,) = bench.collect(*plays(210))
    assert current["session_id"] == later["session_id"] != behind["session_id"]


def test_users_beyond_the_bound_are_forgotten_oldest_first() -> None:
    bench = Bench("session", {"max_users": 2})
    first = bench.collect(*plays(0, user="a"), *plays(1, user="b"), *plays(2, user="c"))
    again = bench.collect(*plays(3, user="c"), *plays(4, user="a"))
    assert again[0]["session_id"] == first[2]["session_id"]
    assert again[1]["session_id"] != first[0]["session_id"]


@pytest.mark.parametrize(
    ("step", "options", "message"),
    [
        ("user_agnt", {}, "did you mean 'user_agent'"),
        ("session", {"gap_minute": 1}, "did you mean 'gap_minutes'"),
        ("session", {"gap_minutes": 0}, "gap_minutes"),
        ("lookup", {"on": "song", "columns": ["genre"]}, "dataset"),
        ("lookup", {"dataset": "songs", "on": "song", "columns": []}, "columns"),
    ],
)
def test_a_step_or_option_that_is_not_there_is_an_error(step: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        Bench(step, options).collect({"song": "a"})


def test_an_unknown_column_of_a_dimension_table_is_an_error_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'genre'"):
        Bench("lookup", {**LOOKUP, "columns": ["genr"]}).collect({"song": "a"})


def test_a_step_that_writes_another_type_than_the_dataset_has_is_an_error() -> None:
    bench = Bench("lookup", LOOKUP, {"year": FieldSpec(type=FieldType.STRING)})
    with pytest.raises(InvalidRequestError, match="give a prefix"):
        bench.collect({"song": "a"})
