"""A tenant's store: datasets by name, take-over, damage that stays where it is, and tidying up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tenancy.analytics.errors import (
    ConflictError,
    IntegrityError,
    InvalidRequestError,
    StaleOwnerError,
    StorageFullError,
    UnknownNameError,
)
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.storage import maintenance
from tenancy.analytics.storage.append import Append
from tenancy.analytics.storage.catalog import IdempotencyRecord
from tenancy.analytics.storage.segments import write_segment
from tenancy.analytics.types import DatasetKind, made_key


def test_an_unknown_dataset_is_an_error_with_near_matches(place: Any) -> None:
    owner = place.take_over()
    owner.create(place.schema)
    for ask in (owner.dataset, owner.snapshot):
        with pytest.raises(UnknownNameError, match="did you mean 'plays'"):
            ask("playz")
    with pytest.raises(UnknownNameError):
        owner.snapshot("other_quarantine")


def test_datasets_and_their_quarantines_are_listed(place: Any) -> None:
    owner = place.take_over()
    owner.create(place.schema)
    assert [(schema.name, schema.kind) for schema in owner.datasets()] == [
        ("plays", DatasetKind.EVENTS),
        ("plays_quarantine", DatasetKind.QUARANTINE),
    ]
    with owner.snapshot("plays_quarantine") as snapshot:
        assert snapshot.rows == 0


def test_creating_twice_gives_the_same_store_and_may_change_what_is_declared(place: Any) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    assert owner.create(place.schema) is store
    stricter = place.schema.model_copy(
        update={"fields": {**place.schema.fields, "song": FieldSpec(type=FieldType.STRING, required=True)}}
    )
    owner.create(stricter)
    assert store.schema.fields["song"].required
    assert place.take_over().dataset("plays").schema == store.schema
    with pytest.raises(ConflictError, match="kind"):
        owner.create(DatasetSchema(name="plays", kind=DatasetKind.DIMENSION, key="song"))


def test_a_name_of_a_quarantine_cannot_be_taken(place: Any) -> None:
    with pytest.raises(InvalidRequestError):
        place.take_over().create(DatasetSchema(name="plays_quarantine"))


def test_every_owner_has_an_epoch_of_its_own(place: Any) -> None:
    old, new = place.take_over(), place.take_over()
    assert new.epoch == old.epoch + 1
    with pytest.raises(StaleOwnerError):
        old.create(place.schema)
    old.close()  # nothing to be lost, and no error


def test_closing_flushes_every_dataset(place: Any) -> None:
    with place.take_over() as owner:
        owner.create(place.schema).append(Append(place.events(["a"]))).result()
    assert place.files("wal") == []
    assert place.ids(place.take_over().dataset("plays")) == ["a"]


def test_maintenance_flushes_what_is_old_enough(place: Any) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    store.append(Append(place.events(["a"]))).result()
    owner.maintain()
    assert place.files("segments") == []
    place.clock.advance(timedelta(seconds=60))
    owner.maintain()
    assert len(place.files("segments")) == 1


def test_maintenance_reaches_the_other_datasets_when_one_fails(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = place.take_over()
    real = write_segment

    def full_for_one(fs: Any, id: str, url: str, rows: pa.Table, schema: DatasetSchema) -> Any:
        if schema.name == "albums":
            raise StorageFullError(url)
        return real(fs, id, url, rows, schema)

    monkeypatch.setattr(maintenance, "write_segment", full_for_one)
    for name in ("albums", "plays"):
        owner.create(place.schema.model_copy(update={"name": name})).append(Append(place.events(["a"]))).result()
    place.clock.advance(timedelta(minutes=2))
    with pytest.raises(StorageFullError):
        owner.maintain()
    assert len(place.files("segments")) == 1
    monkeypatch.undo()
    owner.maintain()
    with owner.snapshot("albums") as snapshot:
        assert len(snapshot.segments) == 1


@pytest.mark.parametrize("which", ["in the middle", "newest"])
def test_a_damaged_log_stops_its_own_dataset_and_no_other(place: Any, which: str) -> None:
    owner = place.take_over()
    for name in ("albums", "plays"):
        store = owner.create(place.schema.model_copy(update={"name": name}))
        for id in ("a", "b", "c"):
            store.append(Append(place.events([id]))).result()
    victim = sorted(Path(place.root).glob("tenants/*/albums/wal/*"))[-1 if which == "newest" else 1]
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    heir = place.take_over()
    assert place.ids(heir.dataset("plays")) == ["a", "b", "c"]
    for ask in (heir.dataset, heir.snapshot):
        with pytest.raises(IntegrityError, match=victim.name):
            ask("albums")
    with pytest.raises(IntegrityError, match=victim.name):
        heir.create(place.schema.model_copy(update={"name": "albums"}))
    heir.maintain()
    heir.close()
    data[-1] ^= 1
    victim.write_bytes(data)
    assert place.ids(place.take_over().dataset("albums")) == ["a", "b", "c"]


def test_files_that_were_never_committed_are_deleted_by_the_next_owner(place: Any) -> None:
    store = place.plays()
    store.claim(["a"])
    store.append(Append(place.events(["a"]), own_ids=("a",))).result()
    store.flush()
    kept = place.files("segments"), place.files("ids")
    for name in ("segments/orphan.parquet", "ids/orphan.ids"):
        place.fs.write_durable(f"tenancy://tenant_001/plays/{name}", b"half")
    heir = place.take_over()
    assert (place.files("segments"), place.files("ids")) == kept
    assert place.ids(heir.dataset("plays")) == ["a"]


def test_old_answers_are_forgotten(place: Any) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    record = IdempotencyRecord("key", b"", b"", place.clock.now())
    store.append(Append(place.events(["a"]), idempotency=record)).result()
    store.flush()
    place.clock.advance(timedelta(hours=24))
    owner.maintain()
    assert store.recall("key") == record
    place.clock.advance(timedelta(seconds=1))
    owner.maintain()
    assert store.recall("key") is None


def test_a_key_that_no_caller_chose_is_forgotten_when_nobody_can_repeat_its_call_any_more(place: Any) -> None:
    owner = place.take_over()
    store = owner.create(place.schema)
    now = place.clock.now()
    made = made_key(now)
    keys = [made, f"{made}/0", "chosen", "zz chosen", made_key(now + timedelta(hours=5))]
    for key in keys:
        record = IdempotencyRecord(key, b"", b"", now)
        store.append(Append(place.events([key]), idempotency=record)).result()
    store.flush()

    def known() -> list[str]:
        owner.maintain()
        return [key for key in keys if store.recall(key) is not None]

    place.clock.advance(timedelta(hours=1))
    assert known() == keys
    place.clock.advance(timedelta(seconds=1))
    assert known() == keys[2:], "and one made by a clock that is ahead when that time has come"
    place.clock.advance(timedelta(hours=5))
    assert known() == ["chosen", "zz chosen"]
    place.clock.advance(timedelta(hours=18))
    assert known() == []
