from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import AnalyticsEngine, HostResources, TenantConfig
from tenancy.analytics.errors import BackpressureError, StaleOwnerError, StorageFullError, UnknownNameError
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage.append import Append
from tenancy.analytics.storage.store import DatasetStore
from tenancy.analytics.testing import ManualClock

Open = Callable[..., AnalyticsEngine]

COUNT = {"type": "aggregation", "metrics": ["count"]}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def opened(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Open]:
    """Opens `tenant_001` as a process of its own would; what was opened is released at the end."""
    resources: list[HostResources] = []

    def open_engine(settings: dict[str, Any] | None = None, **sections: Any) -> AnalyticsEngine:
        storage = {**sections.pop("storage", {}), "root": str(tmp_path)}
        config = AnalyticsConfig.load({"storage": storage, **sections}, {})
        held = HostResources.open(config, clock)
        resources.append(held)
        held.backing.register("tenant_001", TenantConfig.load(settings).settings())
        return AnalyticsEngine.open("tenant_001", held)

    yield open_engine
    for held in resources:
        await asyncio.to_thread(held.close)


async def count(engine: AnalyticsEngine, dataset: str = "user_interactions") -> int:
    (row,) = (await engine.query({**COUNT, "dataset": dataset})).data
    found: int = row["count"]
    return found


async def test_what_was_acknowledged_is_there_for_the_next_owner(opened: Open) -> None:
    first = opened()
    await first.collect("user_interactions", Payload.of([{"n": 1}, {"n": 2}]))

    second = opened()

    assert second.epoch == first.epoch + 1
    assert await count(second) == 2


async def test_an_owner_that_was_replaced_refuses_events_and_answers(opened: Open) -> None:
    old = opened()
    await old.collect("user_interactions", Payload.of({"n": 1}))
    new = opened()
    await new.collect("user_interactions", Payload.of({"n": 2}))

    with pytest.raises(StaleOwnerError):
        await old.query(COUNT)
    with pytest.raises(StaleOwnerError):
        await old.collect("user_interactions", Payload.of({"n": 3}))
    with pytest.raises(StaleOwnerError):
        await old.declare(DatasetSchema(name="plays"))
    assert await count(new) == 2


async def test_what_a_replaced_owner_is_asked_or_told_is_left_to_the_new_one(opened: Open) -> None:
    old = opened()
    new = opened()
    model = await new.model()

    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: old.set_model("default: plays"),
        old.model,
        old.datasets,
        lambda: old.explain(COUNT),
    ]
    for call in calls:
        with pytest.raises(StaleOwnerError):
            await call()
    assert (await new.model(), await opened().model()) == (model, model)


async def test_maintenance_ends_when_the_engine_is_fenced_off(opened: Open, clock: ManualClock) -> None:
    old = opened()
    opened()
    clock.advance(timedelta(minutes=10))

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    await asyncio.wait_for(old.maintain_forever(at_once), timeout=10)


@pytest.mark.parametrize("error", [pa.ArrowMemoryError("no room"), pa.ArrowInvalid("odd"), MemoryError()], ids=repr)
async def test_maintenance_outlives_any_error_and_tells_of_it(
    opened: Open, clock: ManualClock, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = opened(storage={"flush_age_seconds": 60})
    await engine.collect("user_interactions", Payload.of({"n": 1}))
    clock.advance(timedelta(seconds=61))
    failures: list[str | None] = []

    def failing(_store: DatasetStore) -> None:
        raise error

    async def mended_after_two_rounds(_seconds: float) -> None:
        failures.append(engine.status().last_failure)
        if len(failures) == 3:
            monkeypatch.undo()
        if len(failures) == 4:
            raise asyncio.CancelledError

    monkeypatch.setattr(DatasetStore, "flush", failing)
    with pytest.raises(asyncio.CancelledError):
        await engine.maintain_forever(mended_after_two_rounds)

    told = str(error) or repr(error)
    assert failures == [None, told, told, None]
    assert (await engine.query(COUNT)).stats.segments_total == 1


async def test_a_buffer_is_written_out_when_it_is_old_enough(opened: Open, clock: ManualClock) -> None:
    engine = opened(storage={"flush_age_seconds": 60})
    await engine.collect("user_interactions", Payload.of({"n": 1}))

    await engine.maintain()
    assert (await engine.query(COUNT)).stats.segments_total == 0
    clock.advance(timedelta(seconds=61))
    await engine.maintain()

    answer = await engine.query(COUNT)
    assert (answer.stats.segments_total, answer.data) == (1, [{"count": 1}])


async def test_configured_datasets_and_model_work_at_once(opened: Open) -> None:
    engine = opened(
        {
            "datasets": [
                {"name": "plays", "fields": {"song_id": {"type": "string"}}},
                {"name": "songs", "kind": "dimension", "key": "song_id", "fields": {"genre": {"type": "string"}}},
            ],
            "model": {"default": "plays", "datasets": {"plays": {"joins": [{"dataset": "songs", "on": "song_id"}]}}},
        }
    )
    await engine.collect("songs", Payload.of([{"song_id": "s1", "genre": "jazz"}, {"song_id": "s2", "genre": "rock"}]))
    await engine.collect("plays", Payload.of([{"song_id": "s1"}, {"song_id": "s1"}, {"song_id": "s2"}]))

    asked = {**COUNT, "dimensions": ["genre"]}
    assert (await engine.query(asked)).data == [{"genre": "jazz", "count": 2}, {"genre": "rock", "count": 1}]


async def test_a_dataset_grown_since_is_not_set_back_to_its_configuration(opened: Open) -> None:
    settings = {"datasets": [{"name": "plays"}]}
    first = opened(settings)
    await first.collect("plays", Payload.of({"song_id": "s1"}))
    await first.close()

    (info,) = await opened(settings).datasets()

    assert info.fields == {"song_id": "string"}


async def test_the_first_dataset_needs_no_declaration_and_others_do(opened: Open) -> None:
    engine = opened({"datasets": [{"name": "plays"}]})

    await engine.collect("user_interactions", Payload.of({"n": 1}))
    with pytest.raises(UnknownNameError) as caught:
        await engine.collect("play", Payload.of({"n": 1}))

    assert caught.value.suggestions == ("plays",)
    assert [info.name for info in await engine.datasets()] == ["plays", "user_interactions"]


async def test_a_call_in_pieces_that_broke_off_goes_on_with_the_same_key(opened: Open) -> None:
    table = pa.table({"n": list(range(95))})
    half = Payload.of(table.slice(0, 50))
    engine = opened(analytics_engine={"batch_size": 10})
    for index, piece in enumerate(half.slices(10)):
        await engine.collect("user_interactions", piece, idempotency_key=f"load/{index}")

    receipts = await engine.collect("user_interactions", Payload.of(table), idempotency_key="load")

    assert len({receipt.event_id for receipt in receipts}) == 95
    assert await count(engine) == 95


async def test_beyond_the_buffer_the_caller_is_told_to_wait_and_nothing_is_kept(opened: Open) -> None:
    engine = opened(data_collection={"buffer_size": 100})
    batch = Payload.of([{"n": n} for n in range(60)])

    answers = await asyncio.gather(
        *(engine.collect("user_interactions", batch) for _ in range(8)), return_exceptions=True
    )

    refused = [answer for answer in answers if isinstance(answer, BackpressureError)]
    accepted = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(refused) + len(accepted) == 8
    assert all(error.retry_after_s > 0 for error in refused)
    assert await count(engine) == 60 * len(accepted)


def arrow(table: pa.Table) -> bytes:
    with pa.BufferOutputStream() as target:
        with pa.ipc.new_stream(target, table.schema) as stream:
            stream.write_table(table, max_chunksize=7)
        whole: bytes = target.getvalue().to_pybytes()
    return whole


@pytest.mark.parametrize("failing_at", range(3))
async def test_of_a_body_that_fails_nothing_is_stored_however_many_rows_it_has(
    opened: Open, monkeypatch: pytest.MonkeyPatch, failing_at: int
) -> None:
    engine = opened(analytics_engine={"batch_size": 10})
    table = pa.table({"n": list(range(95))})
    body = Payload.from_http(arrow(table), "application/vnd.apache.arrow.stream")
    append, calls = DatasetStore.append, 0

    def full(store: DatasetStore, given: Append) -> Future[None]:
        nonlocal calls
        calls += 1
        if calls - 1 == failing_at:
            raise StorageFullError("the disk")
        return append(store, given)

    monkeypatch.setattr(DatasetStore, "append", full)
    outcomes = await asyncio.gather(
        *(engine.collect("user_interactions", body, idempotency_key=f"{n}") for n in range(3)), return_exceptions=True
    )

    assert sum(isinstance(outcome, StorageFullError) for outcome in outcomes) == 1
    assert calls == 3, "each body is one batch"
    assert await count(engine) == 2 * 95


async def test_one_user_stays_in_a_session_over_a_change_of_owner(opened: Open) -> None:
    settings = {"datasets": [{"name": "visits", "enrichments": [{"step": "session"}]}]}
    first = opened(settings)
    await first.collect("visits", Payload.of({"user_id": "u1", "timestamp": "2024-12-31T23:50:00Z"}))
    second = opened(settings)
    await second.collect("visits", Payload.of({"user_id": "u1", "timestamp": "2024-12-31T23:59:00Z"}))

    rows = (await second.query({"type": "rows", "dataset": "visits", "columns": ["session_id"]})).data

    assert len(rows) == 2
    assert len({row["session_id"] for row in rows}) == 1


async def test_columns_are_looked_up_in_the_newest_row_of_a_dimension_table(opened: Open, clock: ManualClock) -> None:
    lookup = {"step": "lookup", "options": {"dataset": "songs", "on": "song_id", "columns": ["genre"]}}
    song = {"song_id": {"type": "string"}, "genre": {"type": "string"}}
    engine = opened(
        {
            "datasets": [
                {"name": "songs", "kind": "dimension", "key": "song_id", "fields": song},
                {"name": "plays", "fields": {"song_id": {"type": "string"}}, "enrichments": [lookup]},
            ]
        }
    )
    await engine.collect("songs", Payload.of({"song_id": "s1", "genre": "rock"}))
    await engine.flush()
    clock.advance(timedelta(seconds=1))
    await engine.collect("songs", Payload.of({"song_id": "s1", "genre": "jazz"}))

    await engine.collect("plays", Payload.of([{"song_id": "s1"}, {"song_id": "s9"}]))

    rows = (await engine.query({"type": "rows", "dataset": "plays", "order": ["song_id"]})).data
    assert [row["genre"] for row in rows] == ["jazz", None]


async def test_what_is_replayed_in_small_pieces_is_stored_once(opened: Open) -> None:
    strict: dict[str, Any] = {"type": "integer", "maximum": 10}
    engine = opened({"datasets": [{"name": "plays", "fields": {"n": strict}}]}, analytics_engine={"batch_size": 7})
    await engine.collect("plays", Payload.of([{"n": n} for n in range(60)]))
    await engine.flush()
    assert len(await engine.quarantine("plays", limit=100)) == 49
    await engine.declare(DatasetSchema.model_validate({"name": "plays", "fields": {"n": {"type": "integer"}}}))

    receipts = [await engine.replay_quarantine("plays", limit=30) for _ in range(3)]

    assert [found.counts()["accepted"] for found in receipts] == [30, 19, 0]
    assert await count(engine, "plays") == 60
    assert len(await engine.quarantine("plays")) == 0


async def test_the_quarantine_is_read_in_pages(opened: Open) -> None:
    engine = opened({"datasets": [{"name": "plays", "fields": {"n": {"type": "integer", "maximum": 0}}}]})
    await engine.collect("plays", Payload.of([{"n": n} for n in range(1, 8)]))

    first = await engine.quarantine("plays", limit=4)
    rest = await engine.quarantine("plays", limit=4, cursor=first.next_cursor)

    assert sorted(row["error_value"] for row in first.data + rest.data) == [str(n) for n in range(1, 8)]
    assert rest.next_cursor is None


async def test_a_closed_engine_left_nothing_in_the_log(opened: Open) -> None:
    engine = opened()
    await engine.collect("user_interactions", Payload.of({"n": 1}))
    await engine.close()

    answer = await opened().query(COUNT)

    assert (answer.data, answer.stats.segments_total) == ([{"count": 1}], 1)


@pytest.mark.parametrize("days", [-2, 2])
async def test_a_clock_that_is_set_while_events_come_neither_refuses_nor_repeats_any(
    opened: Open, clock: ManualClock, days: int
) -> None:
    engine = opened()
    rows = [{"event_id": "a", "event_time": clock.now().isoformat()}]
    first = await engine.collect("user_interactions", Payload.of(rows), idempotency_key="call")
    await engine.flush()
    clock.jump(timedelta(days=days))

    again = await engine.collect("user_interactions", Payload.of(rows), idempotency_key="call")
    assert (again.counts(), again.replayed) == (first.counts(), True)
    assert (await engine.collect("user_interactions", Payload.of(rows))).counts()["duplicate"] == 1
    now = clock.steady().isoformat()
    after = await engine.collect("user_interactions", Payload.of([{"event_id": "b", "event_time": now}]))

    assert after.counts()["accepted"] == 1
    assert await count(engine) == 2
