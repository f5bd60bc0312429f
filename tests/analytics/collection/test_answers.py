"""Receipts: duplicates, lateness, retries with the same key, and what a failure leaves behind."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest

from tenancy.analytics.collection import DataCollector, Payload
from tenancy.analytics.collection import collector as collector_module
from tenancy.analytics.collection.codec import decode, encode
from tenancy.analytics.config import CollectionConfig
from tenancy.analytics.errors import (
    BackpressureError,
    IdempotencyMismatchError,
    IntegrityError,
    InvalidRequestError,
    StorageFullError,
)
from tenancy.analytics.testing import ManualClock, MemorySink
from tenancy.analytics.types import DataSourceType, Receipt, Receipts, ReceiptStatus, Refusal

API = DataSourceType.API
Collect = Callable[..., Receipts]


def test_assigned_ids_are_those_of_the_stored_rows(collect: Collect, sink: MemorySink, clock: ManualClock) -> None:
    receipts = collect([{"user": "a"}, {"user": 1}, {"user": "b", "event_id": "own"}, {"user": "c", "event_id": 7}])
    told = [receipt.event_id for receipt in receipts]
    assert sink.table()["event_id"].to_pylist() == [told[0], "own", "7"]
    assert sink.quarantine()["event_id"].to_pylist() == [told[1]]
    assert told[2:] == [None, None]
    first = UUID(str(told[0]))
    assert first.version == 7
    assert first.int >> 80 == int(clock.now().timestamp() * 1000)


def test_an_id_seen_before_is_a_duplicate_within_a_batch_and_after_it(collect: Collect, sink: MemorySink) -> None:
    rows = [{"event_id": "a", "duration": 1}, {"event_id": "a", "duration": 2}, {"event_id": "", "duration": 3}]
    assert collect(rows).counts() == {"accepted": 2, "duplicate": 1, "quarantined": 0, "late": 0}
    again = collect(rows)
    assert [again[0].status, again[1].status] == [ReceiptStatus.DUPLICATE] * 2
    assert sink.table()["duration"].to_pylist() == [1, 3, 3]


def test_a_quarantined_row_does_not_claim_its_id(collect: Collect, sink: MemorySink) -> None:
    collect({"event_id": "a", "duration": "x"})
    assert collect({"event_id": "a", "duration": 1}).counts()["accepted"] == 1


def test_an_event_far_behind_the_newest_is_stored_and_told_late(collect: Collect, sink: MemorySink) -> None:
    collect({"timestamp": "2025-07-16T00:00:00Z"})
    receipts = collect([{"timestamp": "2025-07-14T23:59:59Z"}, {"timestamp": "2025-07-15T00:00:00Z"}])
    assert receipts.counts() == {"accepted": 1, "duplicate": 0, "quarantined": 0, "late": 1}
    assert receipts[0].status is ReceiptStatus.LATE
    assert receipts[0].event_id is not None
    assert sink.table().num_rows == 3


def test_a_late_batch_needs_no_receipt_object_a_row(collect: Collect) -> None:
    collect({"timestamp": "2025-07-16T00:00:00Z"})
    late = [{"timestamp": "2025-07-14T00:00:00Z", "event_id": f"e{row % 900}"} for row in range(1000)]
    receipts = collect([*late, {"timestamp": "2025-07-14T00:00:00Z", "duration": "long"}])
    assert receipts.counts() == {"accepted": 0, "duplicate": 100, "quarantined": 1, "late": 900}
    assert sorted(receipts.exceptions) == list(range(900, 1001))


def test_a_key_used_for_another_body_is_an_error(collect: Collect) -> None:
    collect({"duration": 1}, key="k")
    with pytest.raises(IdempotencyMismatchError, match="'k'"):
        collect({"duration": 2}, key="k")
    assert collect({"duration": 1}, key="k").replayed


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
def test_a_key_that_can_be_none_is_an_error(collect: Collect, key: str) -> None:
    with pytest.raises(InvalidRequestError, match="Idempotency-Key"):
        collect({"duration": 1}, key=key)


def test_calls_at_once_with_one_key_are_one_call(sink: MemorySink, collector: DataCollector) -> None:
    sink.hold()
    payload = Payload.of([{"duration": 1}])
    first, second = (collector.collect("plays", payload, source=API, idempotency_key="k") for _ in range(2))
    with pytest.raises(IdempotencyMismatchError):
        collector.collect("plays", Payload.of([{"duration": 2}]), source=API, idempotency_key="k")
    assert not second.done()
    sink.finish()
    assert second.result().replayed
    assert not first.result().replayed
    assert list(second.result()) == list(first.result())
    assert sink.table().num_rows == 1


def test_a_retry_after_a_failure_runs_and_succeeds(sink: MemorySink, collector: DataCollector) -> None:
    payload = Payload.of([{"duration": 1, "event_id": "a"}])
    sink.hold()
    waiting = [collector.collect("plays", payload, source=API, idempotency_key="k") for _ in range(2)]
    sink.finish(StorageFullError("/data"))
    for done in waiting:
        with pytest.raises(StorageFullError):
            done.result()
    again = collector.collect("plays", payload, source=API, idempotency_key="k").result()
    assert again.counts()["accepted"] == 1
    assert not again.replayed


def test_a_body_that_cannot_be_read_does_not_hold_its_key(collect: Collect) -> None:
    with pytest.raises(InvalidRequestError):
        collect(b"", key="k")
    assert collect({"duration": 1}, key="k").counts()["accepted"] == 1


def test_the_answer_for_a_duplicate_waits_for_the_row_it_repeats(sink: MemorySink, collector: DataCollector) -> None:
    sink.hold()
    payload = Payload.of({"event_id": "a"})
    first, second = (collector.collect("plays", payload, source=API) for _ in range(2))
    assert not second.done()
    sink.finish(StorageFullError("/data"))
    for done in (first, second):
        with pytest.raises(StorageFullError):
            done.result()


def test_a_call_that_was_given_up_is_stored_all_the_same(sink: MemorySink, collector: DataCollector) -> None:
    sink.hold()
    done = collector.collect("plays", Payload.of({"duration": 1}), source=API, idempotency_key="k")
    assert not done.cancel()
    sink.finish()
    assert done.result().counts()["accepted"] == 1


def test_many_threads_with_one_key_store_one_batch(sink: MemorySink, collector: DataCollector) -> None:
    payload = Payload.of([{"duration": 1, "new": 2}] * 10)
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(collector.collect, "plays", payload, source=API, idempotency_key="k") for _ in range(32)]
        answers = [call.result().result(timeout=5) for call in calls]
    assert sink.table().num_rows == 10
    assert sum(not answer.replayed for answer in answers) == 1
    assert all(list(answer) == list(answers[0]) for answer in answers)


def test_rows_are_counted_by_dataset_source_and_status(sink: MemorySink, collector: DataCollector) -> None:
    collector.collect("plays", Payload.of([{"duration": 1}, {"duration": "x"}]), source=DataSourceType.FILES).result()
    counts = collector.counts()
    assert counts["plays", DataSourceType.FILES, ReceiptStatus.ACCEPTED] == 1
    assert counts["plays", DataSourceType.FILES, ReceiptStatus.QUARANTINED] == 1


def test_receipts_survive_their_encoding() -> None:
    refusal = Refusal("type_conflict", "größe", "1\ufffd", "send text")
    exceptions = {
        1: Receipt(1, ReceiptStatus.DUPLICATE, "a", 2),
        2: Receipt(2, ReceiptStatus.QUARANTINED, None, None, refusal),
    }
    receipts = Receipts(9, exceptions, first_id=2**127 + 5, own_ids=b"\x80\x00", later_ids={4: 7}, late=b"\x11\x80")
    kept = decode(encode(receipts))
    assert kept.replayed
    assert list(kept) == list(receipts)
    assert kept.counts() == receipts.counts()
    assert kept.later_ids == receipts.later_ids


def test_receipts_of_a_clean_batch_take_few_bytes() -> None:
    assert len(encode(Receipts(1000, first_id=2**127))) < 100


@pytest.mark.parametrize("stored", [b"", b"nonsense", encode(Receipts(1))[:-4]])
def test_bytes_that_are_no_receipts_are_an_error(stored: bytes) -> None:
    with pytest.raises(IntegrityError):
        decode(stored)


def limited(sink: MemorySink, clock: ManualClock, **limits: int) -> DataCollector:
    return DataCollector("tenant_001", lambda _: sink, CollectionConfig(**limits), clock)  # type: ignore[arg-type]


def test_beyond_the_buffer_a_call_is_told_to_wait_and_nothing_of_it_is_done(
    sink: MemorySink, clock: ManualClock
) -> None:
    collector = limited(sink, clock, buffer_size=10)
    sink.hold()
    first = collector.collect("plays", Payload.of([{"duration": 1}] * 8), source=API)
    more = Payload.of([{"duration": 1, "event_id": f"e{row}", "new": 1} for row in range(3)])
    with pytest.raises(BackpressureError, match="buffer_size=10") as refused:
        collector.collect("plays", more, source=API, idempotency_key="k")
    assert refused.value.retry_after_s > 0
    assert sink.evolved == 0
    clock.advance(timedelta(seconds=1))
    sink.finish()
    first.result()
    assert collector.collect("plays", more, source=API, idempotency_key="k").result().counts()["accepted"] == 3


def test_bytes_in_flight_are_bounded_as_well(sink: MemorySink, clock: ManualClock) -> None:
    collector = limited(sink, clock, max_in_flight_bytes=1024)
    sink.hold()
    collector.collect("plays", Payload.of({"user": "x" * 900}), source=API)
    with pytest.raises(BackpressureError, match="max_in_flight_bytes=1,024"):
        collector.collect("plays", Payload.of({"user": "x" * 900}), source=API)
    sink.finish()
    assert collector.collect("plays", Payload.of({"user": "x" * 900}), source=API).result().rows == 1


def test_a_batch_larger_than_the_buffer_is_admitted_when_nothing_waits(sink: MemorySink, clock: ManualClock) -> None:
    collector = limited(sink, clock, buffer_size=10, max_in_flight_bytes=1024)
    assert collector.collect("plays", Payload.of([{"user": "x" * 50}] * 100), source=API).result().rows == 100


@pytest.mark.parametrize("body", [b"", b"{", b'{"duration":1}', b'{"duration":"x"}', b"[]"])
def test_room_is_given_back_whatever_becomes_of_a_call(sink: MemorySink, clock: ManualClock, body: bytes) -> None:
    collector = limited(sink, clock, buffer_size=3)
    for _ in range(20):
        try:
            collector.collect("plays", Payload.from_http(body, "application/json"), source=API).result()
        except InvalidRequestError:
            continue
    assert collector.collect("plays", Payload.of([{"duration": 1}] * 3), source=API).result().rows == 3


def test_what_waits_in_the_store_counts_as_well(sink: MemorySink, clock: ManualClock) -> None:
    sink.pending_rows = 50_000
    with pytest.raises(BackpressureError):
        limited(sink, clock).collect("plays", Payload.of({"duration": 1}), source=API)


def test_ids_claimed_by_a_call_that_failed_before_it_was_stored_are_free_again(
    collect: Collect, sink: MemorySink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: Receipts) -> bytes:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(collector_module, "encode", failing)
        with pytest.raises(MemoryError):
            collect({"event_id": "a", "duration": 1}, key="k")
    assert collect({"event_id": "a", "duration": 1}, key="k").counts()["accepted"] == 1
    assert sink.table()["event_id"].to_pylist() == ["a"]
