from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tenancy.analytics.collection import Payload
from tenancy.analytics.collection.payload import Media
from tenancy.analytics.engine import AnalyticsEngine
from tenancy.analytics.engine.sharding.shard import Queried
from tenancy.analytics.engine.sharding.sharded import ShardedTenant
from tenancy.analytics.engine.sharding.split import shard_by
from tenancy.analytics.errors import (
    ConflictError,
    IdempotencyMismatchError,
    InvalidRequestError,
    StaleLayoutError,
    UnknownNameError,
)
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.types import shard_name
from tests.analytics.engine.sharding.conftest import API, EVENTS, Cluster


def plays(*users: int, **more: Any) -> list[dict[str, Any]]:
    return [{"user_id": f"u{user}", "action": "play_song", "duration": user, **more} for user in users]


async def test_rows_are_spread_and_an_answer_is_over_all_of_them(cluster: Cluster) -> None:
    await cluster.collect(plays(*range(10)), "before")
    await cluster.reshard(3)

    receipts = await cluster.collect(plays(*range(10, 40)), "after")

    assert receipts.counts()["accepted"] == 30
    result = await cluster.tenant().query(
        {"type": "aggregation", "metrics": ["count", "sum_duration", "distinct_user_id", "p50_duration"]}
    )
    assert result.data == [{"count": 40, "sum_duration": 780, "distinct_user_id": 40, "p50_duration": 19.5}]
    counts = [cluster.engines[shard_name("big", index)].status().buffered_bytes for index in range(3)]
    assert all(counts)
    (info,) = [each for each in await cluster.tenant().datasets() if each.name == EVENTS]
    assert info.rows == 40


async def test_every_row_has_its_own_receipt_in_the_order_of_the_rows(cluster: Cluster) -> None:
    await cluster.reshard(4)
    body = (
        b'{"user_id":"a","event_id":"1"}\n\nnot json\n{"user_id":"b","event_id":"1b"}\n'
        b'{"user_id":"a","event_id":"1"}\n{"x":1}'
    )

    receipts = list(await cluster.collect(Payload(body, Media.NDJSON), "k"))

    assert [receipt.status.value for receipt in receipts] == [
        "accepted",
        "quarantined",
        "accepted",
        "duplicate",
        "accepted",
    ]
    assert [receipt.line for receipt in receipts] == [None, 3, None, 5, None]
    ids = (
        await cluster.tenant().query(
            {"type": "rows", "columns": ["event_id"], "filters": [{"field": "x", "op": "eq", "value": 1}]}
        )
    ).data
    assert ids == [{"event_id": receipts[4].event_id}]
    page = await cluster.tenant().quarantine(EVENTS)
    assert [(row["error_line"], row["raw"]) for row in page.data] == [(3, "not json")]


async def test_a_column_has_one_type_on_all_shards_that_of_the_first_row(cluster: Cluster) -> None:
    await cluster.reshard(3)
    rows = [{"user_id": f"u{n}", "x": n if n == 0 else f"text {n}"} for n in range(12)]

    receipts = await cluster.collect(rows, "k")

    assert receipts.counts() == {"accepted": 1, "duplicate": 0, "quarantined": 11, "late": 0}


async def test_a_call_that_was_answered_before_a_reshard_is_answered_the_same_after_it(cluster: Cluster) -> None:
    first = await cluster.collect(plays(*range(20)), "k")
    await cluster.reshard(2)
    second = await cluster.collect(plays(*range(20)), "k")
    other = await cluster.collect(plays(*range(20, 40)), "k2")
    await cluster.reshard(3)
    third = await cluster.collect(plays(*range(20)), "k")
    again = await cluster.collect(plays(*range(20, 40)), "k2")

    assert [r.event_id for r in first] == [r.event_id for r in second] == [r.event_id for r in third]
    assert [r.event_id for r in other] == [r.event_id for r in again]
    assert second.replayed
    assert third.replayed
    assert again.replayed
    assert not other.replayed
    assert await cluster.count() == 40


async def test_another_body_under_a_known_key_stores_nothing(cluster: Cluster) -> None:
    await cluster.reshard(3)
    await cluster.collect(plays(1, 2, 3), "k")
    for body in (plays(1), plays(1, 2, 3, 4), plays(9)):
        with pytest.raises(IdempotencyMismatchError):
            await cluster.collect(body, "k")
    await cluster.reshard(2)
    with pytest.raises(IdempotencyMismatchError):
        await cluster.collect(plays(7), "k")
    assert await cluster.count() == 3


async def test_a_call_that_was_stored_in_part_is_completed_also_under_the_next_layout(cluster: Cluster) -> None:
    await cluster.reshard(4)
    tenant = cluster.tenant()
    rows = plays(*range(40))
    await tenant.collect(EVENTS, Payload.of(plays(99)), API, "first", chosen=True)
    assert shard_by(b"key", 4) != 2
    broken = cluster.engines["big~2"]
    await broken.close()

    with pytest.raises(RuntimeError):
        await tenant.collect(EVENTS, Payload.of(rows), API, "key", chosen=True)
    del cluster.engines["big~2"]
    assert 1 < await cluster.count() < 41
    await cluster.reshard(3)

    receipts = await cluster.collect(rows, "key")

    assert receipts.counts()["accepted"] == 40
    assert await cluster.count() == 41
    assert len({receipt.event_id for receipt in receipts}) == 40
    assert (await cluster.collect(rows, "key")).replayed


async def test_an_event_id_counts_once_across_reshards(cluster: Cluster) -> None:
    rows = [{"user_id": f"u{n}", "event_id": f"e{n}"} for n in range(30)]
    await cluster.collect(rows, "a")
    for number, shards in enumerate((3, 2, 5, 1)):
        await cluster.reshard(shards)
        receipts = await cluster.collect(rows, f"again {number}")
        assert receipts.counts()["duplicate"] == len(rows)
        rows.append({"user_id": f"new{number}", "event_id": f"new{number}"})
        await cluster.collect(rows[-1:], f"new {number}")
    assert await cluster.count() == 34


async def test_an_engine_that_is_asked_as_if_alone_refuses_once_the_tenant_is_sharded(cluster: Cluster) -> None:
    await cluster.reshard(2)
    engine = AnalyticsEngine.open("big", cluster.resources)
    with pytest.raises(StaleLayoutError):
        await engine.collect(EVENTS, Payload.of(plays(1)))
    with pytest.raises(StaleLayoutError):
        await engine.query({"type": "aggregation", "metrics": ["count"]})
    with pytest.raises(StaleLayoutError):
        await engine.datasets()


async def test_one_who_knows_an_old_layout_is_refused_by_every_shard(cluster: Cluster) -> None:
    await cluster.reshard(2)
    old = cluster.tenant()
    await cluster.reshard(3)
    cluster.tenant()
    stale = ShardedTenant(
        "big", old._layouts, lambda n: cluster.engines[shard_name("big", n)], cluster.config, cluster.clock
    )
    with pytest.raises(StaleLayoutError):
        await stale.collect(EVENTS, Payload.of(plays(1)), API, "k", chosen=False)
    with pytest.raises(StaleLayoutError):
        await stale.query({"type": "aggregation", "metrics": ["count"]})


@pytest.mark.parametrize("step", ["made", "sealed", "copied", "switched"])
async def test_a_reshard_that_dies_leaves_the_old_layout_or_the_new_one(cluster: Cluster, step: str) -> None:
    rows = [{"user_id": f"u{n}", "event_id": f"e{n}"} for n in range(20)]
    await cluster.collect(rows, "a")

    def die(reached: str) -> None:
        if reached == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await cluster.reshard(3, reached=die)

    assert cluster.backing.catalog.layouts("big")[-1].shards == (3 if step == "switched" else 1)
    assert (await cluster.collect(rows, "b")).counts()["duplicate"] == 20
    await cluster.reshard(3)
    assert (await cluster.collect(rows, "c")).counts()["duplicate"] == 20
    assert await cluster.count() == 20


async def test_a_shard_that_is_opened_meanwhile_keeps_the_old_layout(cluster: Cluster) -> None:
    await cluster.collect(plays(1), "a")

    def intrude(reached: str) -> None:
        if reached == "sealed":
            AnalyticsEngine.open("big", cluster.resources)

    with pytest.raises(ConflictError):
        await cluster.reshard(2, reached=intrude)
    assert cluster.backing.catalog.layouts("big")[-1].version == 0
    assert await cluster.count() == 1


async def test_a_dimension_table_is_joined_to_the_events_of_all_shards(cluster: Cluster) -> None:
    await cluster.reshard(3)
    songs = DatasetSchema.model_validate({"name": "songs", "kind": "dimension", "key": "song_id"})
    await cluster.tenant().declare(songs)
    await cluster.collect([{"song_id": "s1", "genre": "jazz"}, {"song_id": "s2", "genre": "folk"}], "songs", "songs")
    await cluster.collect([{"user_id": f"u{n}", "song_id": f"s{n % 2 + 1}"} for n in range(30)], "plays")
    cluster.engines["big"]._set_model("datasets: {user_interactions: {joins: [{dataset: songs, on: song_id}]}}")

    result = await cluster.tenant().query({"type": "aggregation", "metrics": ["count"], "dimensions": ["genre"]})

    assert sorted((row["genre"], row["count"]) for row in result.data) == [("folk", 15), ("jazz", 15)]


async def test_late_is_what_is_late_for_the_whole_tenant(cluster: Cluster) -> None:
    await cluster.reshard(4)
    now = datetime(2025, 7, 14, tzinfo=UTC)
    await cluster.collect(plays(1, timestamp=now.isoformat()), "a")

    old = (now - timedelta(hours=30)).isoformat()
    receipts = await cluster.collect(plays(*range(2, 12), timestamp=old), "b")

    assert receipts.counts()["late"] == 10


async def test_arrow_rows_are_spread_like_json(cluster: Cluster) -> None:
    await cluster.reshard(3)
    table = pa.table({"user_id": [f"u{n}" for n in range(20)], "n": list(range(20))})
    await cluster.tenant().collect(EVENTS, Payload.of(table), API, "k", chosen=True)
    again = await cluster.tenant().collect(EVENTS, Payload.of(table), API, "k", chosen=True)
    assert again.replayed
    assert await cluster.count() == 20


async def test_what_was_refused_is_collected_again_from_every_shard(cluster: Cluster) -> None:
    await cluster.reshard(3)
    schema = {"name": "plays", "fields": {"n": {"type": "integer", "maximum": 5}}}
    await cluster.tenant().declare(DatasetSchema.model_validate(schema))
    await cluster.collect([{"user_id": f"u{n}", "n": n} for n in range(12)], "k", "plays")
    schema["fields"]["n"]["maximum"] = 100  # type: ignore[index]
    await cluster.tenant().declare(DatasetSchema.model_validate(schema))

    receipts = await cluster.tenant().replay_quarantine("plays")

    assert receipts.counts()["accepted"] == 6
    assert (await cluster.tenant().quarantine("plays")).data == []
    result = await cluster.tenant().query({"type": "aggregation", "dataset": "plays", "metrics": ["count", "max_n"]})
    assert result.data == [{"count": 12, "max_n": 11}]


async def test_shards_are_nobodys_tenants_and_end_with_their_tenant(cluster: Cluster) -> None:
    await cluster.reshard(3)
    await cluster.collect(plays(*range(30)), "k")
    catalog = cluster.backing.catalog

    assert [record.id for record in catalog.tenants()] == ["big"]
    with pytest.raises(UnknownNameError) as unknown:
        catalog.tenant("bigg")
    assert "~" not in str(unknown.value)

    await cluster.reshard(2)
    cluster.backing.erase("big")

    assert not any(catalog.has_tenant(shard_name("big", index)) for index in range(3))
    with pytest.raises(UnknownNameError):
        cluster.backing.keys.current("big~1")
    assert not list(Path(cluster.config.storage.root).glob("tenants/big*"))


async def test_a_number_of_shards_that_none_may_have_is_refused(cluster: Cluster) -> None:
    for shards in (0, -1, 100):
        with pytest.raises(InvalidRequestError):
            await cluster.reshard(shards)


async def test_rows_may_be_spread_by_another_field(cluster: Cluster) -> None:
    await cluster.reshard(2, keys={EVENTS: "session"})
    await cluster.collect([{"session": "s1", "user_id": f"u{n}"} for n in range(20)], "k")
    filled = [engine.status().buffered_bytes > 0 for engine in cluster.engines.values()]
    assert sorted(filled) == [False, True]
    assert json.loads(json.dumps(await cluster.count())) == 20


PARTED: tuple[dict[str, Any], ...] = (
    {"metrics": ["count", "sum_n", "avg_n", "min_n", "max_n", "sum_f", "play_count"]},
    {"metrics": ["sum_n", "max_user_id"], "dimensions": ["country", "big"], "order": ["-sum_n"], "limit": 3},
    {"metrics": ["count"], "dimensions": ["country"], "filters": [{"field": "n", "op": "gt", "value": 40}]},
    {"metrics": ["count", "avg_f"], "dimensions": ["country"], "having": [{"field": "count", "op": "ge", "value": 20}]},
    {"metrics": ["sum_n"], "filters": [{"field": "n", "op": "gt", "value": 1000}]},
    {"type": "timeseries", "metrics": ["count", "sum_n"], "grain": "hour", "dimensions": ["big"], "fill": "zero"},
    {"type": "topk", "metric": "sum_n", "dimension": "country", "k": 2},
)


async def test_an_answer_made_of_parts_is_the_answer_over_all_rows(cluster: Cluster) -> None:
    rows = [
        {
            "user_id": f"u{n}",
            "action": "play_song",
            "n": n - 7,
            "f": n / 4,
            "big": n > 50 if n % 3 else None,
            "country": ("DE", "US", None)[n % 3],
            "timestamp": f"2025-07-14T{n % 5:02d}:30:00Z",
        }
        for n in range(100)
    ]
    await cluster.collect(rows[:30], "a")
    await cluster.reshard(3)
    await cluster.collect(rows[30:70], "b")
    await cluster.tenant().flush()
    await cluster.collect(rows[70:], "c")
    whole = cluster.tenant()
    for request in ({"type": "aggregation", **each} for each in PARTED):
        parted = await cluster.engines["big"].ask_shard(Queried(request, whole.layout.version))
        assert parted.plan is not None
        found = await whole.query(request)
        expected = await cluster.engines["big"].query(request, await whole._union(EVENTS))
        assert (found.data, found.schema) == (expected.data, expected.schema)
        assert found.table.schema == expected.table.schema
        assert (found.stats.rows_scanned, found.stats.truncated) == (
            expected.stats.rows_scanned,
            expected.stats.truncated,
        )
    sums = {"type": "aggregation", "metrics": ["sum_huge", "min_huge"]}
    await cluster.collect([{"user_id": f"u{n}", "huge": 2**62 if n % 2 else -(2**62)} for n in range(8)], "huge")
    assert (await whole.query(sums)).data == [{"sum_huge": 0, "min_huge": -(2**62)}]
