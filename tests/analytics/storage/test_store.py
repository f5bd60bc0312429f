"""One dataset's store: what was acknowledged is visible at once, survives, and is there exactly once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from tenancy.analytics.errors import (
    AnalyticsError,
    BackpressureError,
    ConflictError,
    InvalidRequestError,
    StaleOwnerError,
    StorageFullError,
    UnavailableError,
)
from tenancy.analytics.schema import FieldSpec, FieldType
from tenancy.analytics.storage import maintenance
from tenancy.analytics.storage._wal_format import LogBatch
from tenancy.analytics.storage.append import Append
from tenancy.analytics.storage.catalog import IdempotencyRecord
from tenancy.analytics.storage.id_runs import digest
from tenancy.analytics.storage.segments import read_rows
from tenancy.analytics.storage.wal import WriteAheadLog


def full(*_: Any) -> Any:
    raise StorageFullError("disk")


def answer(place: Any, key: str = "key") -> IdempotencyRecord:
    return IdempotencyRecord(key, b"fingerprint", b"receipts", place.clock.now())


def test_an_acknowledged_row_is_in_the_next_snapshot(place: Any) -> None:
    store = place.plays()
    store.append(Append(place.events(["a", "b"]))).result()
    assert place.ids(store) == ["a", "b"]


def test_a_snapshot_that_was_taken_does_not_change(place: Any) -> None:
    store = place.plays()
    store.append(Append(place.events(["a"]))).result()
    with store.snapshot() as snapshot:
        store.append(Append(place.events(["b"]))).result()
        store.flush()
        assert snapshot.buffer["event_id"].to_pylist() == ["a"]
        assert snapshot.segments == ()


def test_a_flush_moves_rows_into_a_segment_and_removes_the_log(place: Any) -> None:
    store = place.plays()
    store.append(Append(place.events(["b", "a"], minutes=[2, 1]))).result()
    assert len(place.files("wal")) == 1
    store.flush()
    with store.snapshot() as snapshot:
        assert snapshot.buffer.num_rows == 0
        assert [segment.rows for segment in snapshot.segments] == [2]
    assert place.ids(store) == ["a", "b"]  # sorted by time
    assert place.files("wal") == []


def test_what_was_not_flushed_is_replayed_by_the_next_owner(place: Any) -> None:
    place.plays().append(Append(place.events(["a"]))).result()
    store = place.take_over().dataset("plays")
    assert place.ids(store) == ["a"]
    assert place.files("wal") == []
    again = place.take_over().dataset("plays")
    assert place.ids(again) == ["a"]


def test_replay_flushes_as_it_goes_so_that_its_memory_is_bounded(place: Any) -> None:
    store = place.plays()
    for n in range(9):
        store.append(Append(place.events([f"{n}-a", f"{n}-b"]))).result()
    heir = place.take_over(flush_rows=4).dataset("plays")
    with heir.snapshot() as snapshot:
        assert [segment.rows for segment in snapshot.segments] == [4, 4, 4, 4, 2]


def test_an_id_that_was_claimed_once_is_a_duplicate_ever_after(place: Any) -> None:
    store = place.plays()
    assert store.claim(pa.array(["a", "b", "a"])).tolist() == [False, False, True]
    store.append(Append(place.events(["a", "b"]), own_ids=("a", "b"))).result()
    assert store.claim(pa.array(["b", "c"])).tolist() == [True, False]
    store.release(["c"])
    store.flush()
    assert store.claim(pa.array(["a", "c"])).tolist() == [True, False]


def test_an_answer_is_recalled_from_memory_from_the_catalog_and_after_a_restart(place: Any) -> None:
    store = place.plays()
    assert store.recall("key") is None
    store.append(Append(place.events(["a"]), idempotency=answer(place))).result()
    assert store.recall("key") == answer(place)
    heir = place.take_over().dataset("plays")
    assert heir.recall("key") == answer(place)


def test_a_batch_without_rows_keeps_its_answer(place: Any) -> None:
    store = place.plays()
    store.append(Append(place.events([]), idempotency=answer(place))).result()
    assert place.take_over().dataset("plays").recall("key") == answer(place)


def test_of_two_calls_with_one_key_one_is_told_to_repeat(place: Any) -> None:
    store = place.plays()
    store.append(Append(place.events(["a"]), idempotency=answer(place))).result()
    with pytest.raises(ConflictError, match="key"):
        store.append(Append(place.events(["b"]), idempotency=answer(place))).result()
    assert place.ids(store) == ["a"]


def test_refused_rows_are_in_the_quarantine_and_nowhere_else(place: Any) -> None:
    store = place.plays()
    refused = pa.table({"event_id": ["bad"], "error_code": ["type"], "raw": [b"{"]})
    store.append(Append(place.events(["a"]), quarantined=refused)).result()
    for _ in range(2):
        with store.quarantine_snapshot() as snapshot:
            assert snapshot.rows == 1
            assert snapshot.schema.name == "plays_quarantine"
        assert place.ids(store) == ["a"]
        store.flush()


def test_columns_that_are_added_are_null_in_older_rows(place: Any) -> None:
    store = place.plays()
    store.append(Append(place.events(["a"]))).result()
    store.evolve(store.schema.with_fields({"genre": FieldSpec(type=FieldType.STRING)}))
    store.append(Append(place.events(["b"]).append_column("genre", [["jazz"]]))).result()
    with store.snapshot() as snapshot:
        assert snapshot.buffer.schema == snapshot.schema.arrow()
        assert snapshot.buffer["genre"].to_pylist() == [None, "jazz"]
    with store.quarantine_snapshot() as snapshot:
        assert "genre" in snapshot.schema.fields
    heir = place.take_over().dataset("plays")
    with heir.snapshot() as snapshot:
        stored = read_rows(place.fs, snapshot.segments, snapshot.schema)
    assert stored["genre"].to_pylist() == [None, "jazz"]


def test_two_calls_that_add_columns_at_once_add_both(place: Any) -> None:
    store = place.plays()
    base = store.schema
    store.evolve(base.with_fields({"x": FieldSpec(type=FieldType.STRING)}))
    store.evolve(base.with_fields({"y": FieldSpec(type=FieldType.STRING)}))
    assert list(store.schema.fields) == [*base.fields, "x", "y"]
    with pytest.raises(ConflictError, match="'x'"):
        store.evolve(base.with_fields({"x": FieldSpec(type=FieldType.INTEGER)}))


def test_an_append_with_an_unknown_column_is_refused_and_gives_its_claims_back(place: Any) -> None:
    store = place.plays()
    store.claim(["a"])
    with pytest.raises(InvalidRequestError, match="genre"):
        store.append(Append(pa.table({"genre": ["jazz"]}), own_ids=("a",))).result()
    assert store.claim(["a"]).tolist() == [False]


def test_the_watermark_is_the_newest_event_time_also_after_a_restart(place: Any) -> None:
    store = place.plays()
    assert store.watermark is None
    store.append(Append(place.events(["a", "b"], minutes=[5, 2]))).result()
    expected = place.clock.now() + timedelta(minutes=5)
    assert store.watermark == expected
    store.flush()
    assert place.take_over().dataset("plays").watermark == expected


def test_a_full_disk_refuses_a_batch_whole_and_it_can_be_sent_again(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.plays()
    store.claim(["a"])
    monkeypatch.setattr(place.fs, "write_durable", full)
    refused = pa.table({"event_id": ["bad"]})
    batch = Append(place.events(["a"]), ("a",), refused, answer(place))
    with pytest.raises(StorageFullError):
        store.append(batch).result()
    assert place.ids(store) == []
    assert store.recall("key") is None
    assert (store.pending_rows, store.pending_bytes) == (0, 0)
    monkeypatch.undo()
    assert store.claim(["a"]).tolist() == [False]
    store.append(batch).result()
    assert place.ids(place.take_over().dataset("plays")) == ["a"]


def test_any_other_failure_of_the_disk_is_told_as_unavailable(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise PermissionError("read-only")

    store = place.plays()
    monkeypatch.setattr(place.fs, "write_durable", broken)
    with pytest.raises(UnavailableError, match="read-only"):
        store.append(Append(place.events(["a"]))).result()


@pytest.mark.parametrize("failing", ["write_segment", "run"])
def test_a_flush_that_finds_no_space_is_made_later(place: Any, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    store = place.plays()
    store.claim(["a"])
    store.append(Append(place.events(["a"]), ("a",), None, answer(place))).result()
    if failing == "run":
        monkeypatch.setattr(maintenance.Maintenance, "_run_written", full)
    else:
        monkeypatch.setattr(maintenance, "write_segment", full)
    with pytest.raises(StorageFullError):
        store.flush()
    assert place.ids(store) == ["a"]
    assert place.files("segments") == []
    assert len(place.files("wal")) == 1
    assert store.claim(["a"]).tolist() == [True]
    assert store.recall("key") == answer(place)
    store.append(Append(place.events(["b"]))).result()
    monkeypatch.undo()
    store.flush()
    assert place.ids(store) == ["a", "b"]
    with store.snapshot() as snapshot:
        assert [segment.rows for segment in snapshot.segments] == [2]
    heir = place.take_over().dataset("plays")
    assert heir.claim(["a"]).tolist() == [True]
    assert heir.recall("key") == answer(place)


def test_what_is_recovered_on_a_full_disk_is_read_at_once_and_flushed_later(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.plays()
    store.claim(["a"])
    store.append(Append(place.events(["a"]), ("a",), None, answer(place))).result()
    for id in ("b", "c"):
        store.append(Append(place.events([id]))).result()
    tries: list[str] = []

    def full_again(*arguments: Any) -> None:
        tries.append(arguments[2])
        full()

    monkeypatch.setattr(maintenance, "write_segment", full_again)
    for owner in (1, 2):  # the second follows one that never could flush
        heir = place.take_over(flush_rows=1)
        plays = heir.dataset("plays")
        assert len(tries) == owner  # not once for every object
        assert place.ids(plays) == ["a", "b", "c"]
        assert plays.claim(["a"]).tolist() == [True]
        assert plays.recall("key") == answer(place)
    with pytest.raises(StorageFullError):
        heir.maintain()
    monkeypatch.undo()
    heir.maintain()
    assert place.files("wal") == []
    assert place.ids(plays) == place.ids(place.take_over().dataset("plays")) == ["a", "b", "c"]


def test_a_full_disk_ends_a_recovery_of_more_than_the_buffer_may_hold(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.plays()
    for start in range(0, 400, 100):
        store.append(Append(place.events([str(id) for id in range(start, start + 100)]))).result()
    monkeypatch.setattr(maintenance, "write_segment", full)
    with pytest.raises(StorageFullError):
        place.take_over(flush_bytes=1024)
    monkeypatch.undo()
    assert len(place.ids(place.take_over(flush_bytes=1024).dataset("plays"))) == 400


def test_a_commit_whose_outcome_is_not_known_is_repeated_and_not_made_twice(place: Any) -> None:
    rows = place.catalog.tenant("tenant_001")
    store = place.take_over_through(place.fs, rows).create(place.schema)
    store.append(Append(place.events(["a"]))).result()
    commit, lost = rows.commit, [True]

    def answer_is_lost(change: Any, epoch: int) -> None:
        commit(change, epoch)
        if lost:
            lost.pop()
            raise UnavailableError("catalog", "connection lost")

    rows.commit = answer_is_lost
    with pytest.raises(UnavailableError):
        store.flush()
    assert place.ids(store) == ["a"]
    store.append(Append(place.events(["b"]))).result()
    assert store.due(place.clock.monotonic())
    store.flush()
    assert place.ids(store) == ["a", "b"]
    assert place.ids(place.take_over().dataset("plays")) == ["a", "b"]


def test_appends_are_refused_when_flushing_has_failed_for_long(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.plays(flush_bytes=1024)
    monkeypatch.setattr(maintenance, "write_segment", full)
    accepted: list[str] = []
    refused: BaseException | None = None
    while refused is None and len(accepted) < 1_000:
        name = str(len(accepted))
        refused = store.append(Append(place.events([name]))).exception(10)
        accepted += [name] if refused is None else []
    assert isinstance(refused, BackpressureError)
    assert "unflushed_bytes" in str(refused)
    assert place.ids(store) == accepted
    monkeypatch.undo()
    store.flush()
    store.append(Append(place.events(["last"]))).result()
    assert place.ids(store) == [*accepted, "last"]


@pytest.mark.parametrize(("setting", "value"), [("flush_rows", 2), ("flush_bytes", 1024), ("flush_age_seconds", 60.0)])
def test_it_is_due_by_rows_by_bytes_and_by_age(
    place: Any, setting: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.plays(**{setting: value})
    monkeypatch.setattr(store, "_flush_when_due", lambda: None)
    assert not store.due(place.clock.monotonic())
    store.append(Append(place.events(["a"]))).result()
    if setting == "flush_age_seconds":
        assert not store.due(place.clock.monotonic() + 59)
        assert store.due(place.clock.monotonic() + 60)
    else:
        assert not store.due(place.clock.monotonic() + 59)
        store.append(Append(place.events([f"id {n}" for n in range(100)]))).result()
        assert store.due(place.clock.monotonic())
    store.flush()
    assert not store.due(place.clock.monotonic() + 86_400)


def test_a_full_buffer_is_flushed_without_being_asked(place: Any) -> None:
    store = place.plays(flush_rows=10)
    store.append(Append(place.events([str(n) for n in range(10)]))).result()
    place.executor.shutdown()
    with store.snapshot() as snapshot:
        assert [segment.rows for segment in snapshot.segments] == [10]


def test_an_owner_that_was_replaced_acknowledges_nothing_and_answers_nothing(place: Any) -> None:
    old = place.plays()
    old.append(Append(place.events(["a"]))).result()
    heir = place.take_over().dataset("plays")
    with pytest.raises(StaleOwnerError):
        old.append(Append(place.events(["b"]))).result()
    for call in (old.snapshot, old.quarantine_snapshot, lambda: old.claim(["x"]), lambda: old.recall("key")):
        with pytest.raises(StaleOwnerError):
            call()
    with pytest.raises(StaleOwnerError):
        old.flush()
    assert place.ids(heir) == ["a"]
    assert place.ids(place.take_over().dataset("plays")) == ["a"]


def test_a_replaced_owner_that_flushes_leaves_the_new_owner_s_rows_alone(place: Any) -> None:
    old = place.plays()
    old.append(Append(place.events(["a"]))).result()
    heir = place.take_over().dataset("plays")
    with pytest.raises(StaleOwnerError):
        old.flush()
    assert place.ids(heir) == ["a"]
    place.take_over()
    with heir.snapshot() as snapshot:
        assert place.files("segments") == [segment.url.rpartition("/")[2] for segment in snapshot.segments]


def test_a_batch_that_is_in_the_log_twice_is_replayed_once(place: Any) -> None:
    """As when it was written, its acknowledgement failed, and the caller repeated it."""
    store = place.plays()
    schema = store.schema.arrow()
    log = WriteAheadLog(place.fs, "tenancy://tenant_001/plays/wal", store._owner.epoch)
    now = place.clock.now()

    def write(ids: list[str], key: str | None) -> None:
        events = pa.concat_tables([schema.empty_table(), place.events(ids)], promote_options="default")
        digests = b"" if key else b"".join(map(digest, ids))
        log.write([LogBatch(now, len(ids), 0, digests, answer(place, key) if key else None)], events, None)

    write(["a", "b"], None)
    write(["b", "c"], None)
    write(["k"], "key")
    write(["k"], "key")
    heir = place.take_over().dataset("plays")
    assert sorted(place.ids(heir)) == ["a", "b", "c", "k"]
    assert heir.claim(["a", "b", "c"]).all()


def test_concurrent_appends_are_all_there_and_share_objects(place: Any) -> None:
    store = place.plays()
    start = threading.Barrier(8)

    def append(worker: int) -> None:
        start.wait(10)
        for n in range(20):
            store.append(Append(place.events([f"{worker}-{n}"]))).result(10)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(append, range(8)))
    expected = [f"{worker}-{n}" for worker in range(8) for n in range(20)]
    assert sorted(place.ids(store)) == sorted(expected)
    assert len(place.files("wal")) < 160
    assert sorted(place.ids(place.take_over().dataset("plays"))) == sorted(expected)


def test_a_failed_append_fails_the_batches_that_rest_on_it(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row is not told to be a duplicate of one that then is not stored."""
    store = place.plays()
    write, started, go = place.fs.write_durable, threading.Event(), threading.Event()

    def slow_and_full(url: str, data: Any) -> None:
        started.set()
        assert go.wait(10)
        raise StorageFullError(url)

    monkeypatch.setattr(place.fs, "write_durable", slow_and_full)
    store.claim(["a"])
    first = store.append(Append(place.events(["a"]), own_ids=("a",)))
    assert started.wait(10)
    second = store.append(Append(place.events(["b"])))
    with ThreadPoolExecutor(1) as pool:
        retry = pool.submit(store.claim, ["a"])
        go.set()
        assert retry.result(10).tolist() == [False]
    for future in (first, second):
        with pytest.raises(StorageFullError):
            future.result(10)
    monkeypatch.setattr(place.fs, "write_durable", write)
    store.append(Append(place.events(["a"]), own_ids=("a",))).result()
    assert place.ids(store) == ["a"]


def test_a_closed_store_keeps_everything_and_takes_nothing_more(place: Any) -> None:
    store = place.plays()
    store.append(Append(place.events(["a"]))).result()
    store.close()
    assert place.files("wal") == []
    with pytest.raises(AnalyticsError, match="closing"):
        store.append(Append(place.events(["b"]))).result()
    assert place.ids(place.take_over().dataset("plays")) == ["a"]
