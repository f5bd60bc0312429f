"""When a flush is due, also for batches that leave no row, and maintenance that goes on past what fails."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest

from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage import maintenance
from tenancy.analytics.storage.append import Append
from tenancy.analytics.storage.catalog import IdempotencyRecord
from tenancy.analytics.storage.segments import write_segment
from tenancy.analytics.storage.store import DatasetStore

AGE = timedelta(seconds=60)


def nothing_but_an_answer(place: Any, store: DatasetStore, key: str) -> None:
    """What a repeated batch leaves: every row was a duplicate."""
    record = IdempotencyRecord(key, b"fingerprint", b"receipts", place.clock.now())
    store.append(Append(place.events([]), idempotency=record)).result()


def test_an_answer_without_rows_is_flushed_when_it_waited_long_enough(place: Any) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    nothing_but_an_answer(place, store, "first")
    place.clock.advance(AGE / 2)
    nothing_but_an_answer(place, store, "second")
    owner.maintain()
    assert len(place.files("wal")) == 2
    place.clock.advance(AGE / 2)
    owner.maintain()
    assert (place.files("wal"), place.files("segments")) == ([], [])
    assert place.catalog.tenant("tenant_001").idempotency("plays", "second") is not None
    assert not store.due(place.clock.monotonic() + 86_400)


def test_what_is_logged_after_a_flush_waits_for_its_own_age(place: Any) -> None:
    store = place.plays()
    nothing_but_an_answer(place, store, "first")
    place.clock.advance(AGE)
    store.flush()
    nothing_but_an_answer(place, store, "second")
    assert not store.due(place.clock.monotonic() + AGE.total_seconds() - 1)
    assert store.due(place.clock.monotonic() + AGE.total_seconds())


def test_a_flush_that_failed_leaves_the_age_of_what_it_took(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.plays()
    nothing_but_an_answer(place, store, "first")
    place.clock.advance(AGE)

    def failing(*_: Any) -> Any:
        raise OSError("unplugged")

    monkeypatch.setattr(maintenance.Maintenance, "_run_written", failing)
    with pytest.raises(OSError, match="unplugged"):
        store.flush()
    monkeypatch.undo()
    assert store.due(place.clock.monotonic())
    store.flush()
    assert place.files("wal") == []


def test_answers_alone_can_fill_the_buffer(place: Any) -> None:
    store = place.plays(flush_bytes=4096)
    for number in range(32):
        nothing_but_an_answer(place, store, f"key {number}")
    place.executor.shutdown()
    assert len(place.files("wal")) < 32
    assert place.catalog.tenant("tenant_001").idempotency("plays", "key 0") is not None


ERRORS = [OSError("unplugged"), pa.ArrowMemoryError("no room"), MemoryError()]


def two_datasets_of_which_one_fails(place: Any, error: Exception, monkeypatch: pytest.MonkeyPatch) -> Any:
    owner = place.take_over()
    real = write_segment

    def failing_for_one(fs: Any, id: str, url: str, rows: pa.Table, schema: DatasetSchema) -> Any:
        if schema.name == "albums":
            raise error
        return real(fs, id, url, rows, schema)

    monkeypatch.setattr(maintenance, "write_segment", failing_for_one)
    for name in ("albums", "plays"):
        owner.create(place.schema.model_copy(update={"name": name})).append(Append(place.events(["a"]))).result()
    return owner


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_maintenance_goes_on_past_any_error(place: Any, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = two_datasets_of_which_one_fails(place, error, monkeypatch)
    place.clock.advance(AGE)
    with pytest.raises(type(error)):
        owner.maintain()
    assert (len(place.files("segments")), place.files("wal")) == (1, [])


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_closing_goes_on_past_any_error(place: Any, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = two_datasets_of_which_one_fails(place, error, monkeypatch)
    with pytest.raises(type(error)):
        owner.close()
    assert (len(place.files("segments")), place.files("wal")) == (1, [])
