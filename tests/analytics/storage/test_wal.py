"""The write-ahead log: what is read is what was written, or an error that names the file."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.errors import IntegrityError, StorageFullError
from tenancy.analytics.storage._wal_format import LogBatch, decode, encode
from tenancy.analytics.storage.catalog import IdempotencyRecord, WalPosition
from tenancy.analytics.storage.wal import WriteAheadLog, object_name

FOLDER = "tenancy://tenant_001/plays/wal"
START = WalPosition(0, 0)
TIME = datetime(2025, 7, 15, tzinfo=UTC)

moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda time: time.replace(tzinfo=UTC))
answers = st.builds(IdempotencyRecord, st.text(), st.binary(max_size=32), st.binary(max_size=200), moments)
batches = st.builds(
    LogBatch,
    moments,
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(0, 4).flatmap(lambda count: st.binary(min_size=16 * count, max_size=16 * count)),
    st.none() | answers,
)


def rows(count: int, first: int = 0) -> pa.Table:
    return pa.table({"n": pa.array(range(first, first + count), pa.int64()), "s": [f"row {n}" for n in range(count)]})


def one_batch(count: int = 1) -> list[LogBatch]:
    return [LogBatch(TIME, count, 0, b"", None)]


@given(st.lists(batches, max_size=6))
def test_an_object_is_read_as_it_was_written(given_batches: list[LogBatch]) -> None:
    events = rows(sum(batch.event_rows for batch in given_batches))
    refused = sum(batch.quarantined_rows for batch in given_batches)
    quarantined = rows(refused) if refused else None
    found = decode(bytes(encode(given_batches, events, quarantined)), "url")
    assert list(found.batches) == given_batches
    assert found.events.equals(events)
    assert (found.quarantined is None) == (quarantined is None)
    parts = list(found.parts())
    assert [batch for batch, _, _ in parts] == given_batches
    assert [table.num_rows for _, table, _ in parts] == [batch.event_rows for batch in given_batches]
    assert pa.concat_tables([table for _, table, _ in parts] or [events]).equals(events)
    if quarantined is not None:
        assert pa.concat_tables([table for _, _, table in parts]).equals(quarantined)


def test_an_object_cut_anywhere_is_an_error_that_names_it() -> None:
    answer = IdempotencyRecord("key", b"fingerprint", b"receipts", TIME)
    whole = bytes(encode([LogBatch(TIME, 2, 1, b"d" * 32, answer)], rows(2), rows(1)))
    for size in range(len(whole)):
        with pytest.raises(IntegrityError, match="wal/7"):
            decode(whole[:size], "wal/7")
    with pytest.raises(IntegrityError, match="wal/7"):
        decode(whole + b"\0", "wal/7")


places = st.builds(WalPosition, st.integers(0, 99), st.integers(0, 9_999))


@given(st.lists(places, min_size=2, max_size=2, unique=True), st.integers(1), st.integers(1))
def test_names_sort_as_positions_do(two: list[WalPosition], size: int, other_size: int) -> None:
    a, b = two
    assert (object_name(a, size) < object_name(b, other_size)) == (a < b)


def test_objects_beyond_the_folded_position_are_replayed_in_order(place: Any) -> None:
    first = WriteAheadLog(place.fs, FOLDER, 1)
    positions = [first.write(one_batch(), rows(1, n), None) for n in range(3)]
    positions.append(WriteAheadLog(place.fs, FOLDER, 2).write(one_batch(), rows(1, 3), None))
    found = list(WriteAheadLog(place.fs, FOLDER, 3).replay(positions[0]))
    assert [position for position, _ in found] == positions[1:]
    assert [each.events["n"].to_pylist() for _, each in found] == [[1], [2], [3]]


def test_what_is_folded_is_removed_also_when_its_owner_died_before(place: Any) -> None:
    first = WriteAheadLog(place.fs, FOLDER, 1)
    positions = [first.write(one_batch(), rows(1), None) for _ in range(3)]
    second = WriteAheadLog(place.fs, FOLDER, 2)
    assert len(list(second.replay(positions[1]))) == 1
    second.forget(positions[1])
    assert second.positions() == [positions[2]]


def test_a_cut_last_object_is_passed_over_and_reported(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    log = WriteAheadLog(place.fs, FOLDER, 1)
    positions = [log.write(one_batch(), rows(1, n), None) for n in range(3)]
    cut(path_of(place, positions[2]))
    with caplog.at_level(logging.WARNING):
        found = list(WriteAheadLog(place.fs, FOLDER, 2).replay(START))
    assert [position for position, _ in found] == positions[:2]
    assert path_of(place, positions[2]).name in caplog.text
    assert path_of(place, positions[2]).exists()


def test_a_last_object_of_any_shorter_length_is_passed_over(place: Any) -> None:
    log = WriteAheadLog(place.fs, FOLDER, 1)
    positions = [log.write(one_batch(), rows(1, n), None) for n in range(2)]
    victim = path_of(place, positions[1])
    whole = victim.read_bytes()
    for size in range(len(whole)):
        victim.write_bytes(whole[:size])
        found = [position for position, _ in WriteAheadLog(place.fs, FOLDER, 2).replay(START)]
        assert found == positions[:1]


def test_a_last_object_that_the_disk_lengthened_and_never_filled_is_passed_over(place: Any) -> None:
    log = WriteAheadLog(place.fs, FOLDER, 1)
    positions = [log.write(one_batch(200), rows(200, n), None) for n in range(2)]
    victim = path_of(place, positions[1])
    whole = victim.read_bytes()
    assert len(whole) > 2048
    for filled in (0, 512, 1024):
        victim.write_bytes(whole[:filled].ljust(len(whole), b"\0"))
        found = [position for position, _ in WriteAheadLog(place.fs, FOLDER, 2).replay(START)]
        assert found == positions[:1]


def test_a_bit_flipped_anywhere_in_the_last_object_is_an_error_that_names_it(place: Any) -> None:
    log = WriteAheadLog(place.fs, FOLDER, 1)
    positions = [log.write(one_batch(), rows(1, n), None) for n in range(2)]
    victim = path_of(place, positions[1])
    whole = victim.read_bytes()
    for index in range(len(whole)):
        flipped = bytearray(whole)
        flipped[index] ^= 1 << index % 8
        victim.write_bytes(flipped)
        with pytest.raises(IntegrityError, match=victim.name):
            list(WriteAheadLog(place.fs, FOLDER, 2).replay(START))


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_last_object_under_a_name_of_another_length_is_not_read(place: Any, difference: int) -> None:
    log = WriteAheadLog(place.fs, FOLDER, 1)
    position = log.write(one_batch(), rows(1), None)
    victim = path_of(place, position)
    size = place.fs.info(f"{FOLDER}/{victim.name}")["size"]
    victim.rename(victim.with_name(object_name(position, size + difference)))
    replay = WriteAheadLog(place.fs, FOLDER, 2).replay(START)
    if difference > 0:
        assert list(replay) == []
        return
    with pytest.raises(IntegrityError):
        list(replay)


@pytest.mark.parametrize("epoch", [1, 2])
def test_the_last_object_of_every_epoch_may_be_cut(place: Any, epoch: int) -> None:
    written = {
        n: [log.write(one_batch(), rows(1, n), None) for _ in range(2)]
        for n in (1, 2)
        for log in [WriteAheadLog(place.fs, FOLDER, n)]
    }
    path_of(place, written[epoch][1]).write_bytes(b"")
    found = [position for position, _ in WriteAheadLog(place.fs, FOLDER, 3).replay(START)]
    assert found == sorted({*written[1], *written[2]} - {written[epoch][1]})


@pytest.mark.parametrize("damage", ["cut", "flipped", "swapped", "empty"])
def test_a_damaged_object_in_the_middle_is_an_error_that_names_it(place: Any, damage: str) -> None:
    log = WriteAheadLog(place.fs, FOLDER, 1)
    positions = [log.write(one_batch(), rows(1, n), None) for n in range(3)]
    victim = path_of(place, positions[1])
    if damage == "cut":
        cut(victim)
    elif damage == "flipped":
        data = bytearray(victim.read_bytes())
        data[-20] ^= 1
        victim.write_bytes(data)
    elif damage == "swapped":
        victim.write_bytes(path_of(place, positions[2]).read_bytes())
    else:
        victim.write_bytes(b"")
    with pytest.raises(IntegrityError, match=victim.name):
        list(WriteAheadLog(place.fs, FOLDER, 2).replay(START))


def test_what_a_failed_write_left_is_removed_before_the_next_one(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    log = WriteAheadLog(place.fs, FOLDER, 1)
    whole = place.fs.write_durable

    def cut_short(url: str, data: Any) -> None:
        whole(url, bytes(data)[:10])
        raise StorageFullError(url)

    monkeypatch.setattr(place.fs, "write_durable", cut_short)
    with pytest.raises(StorageFullError):
        log.write(one_batch(), rows(1), None)
    monkeypatch.undo()
    position = log.write(one_batch(), rows(1), None)
    assert log.positions() == [position]


def test_an_object_that_disappears_was_not_acknowledged_and_is_passed_over(place: Any) -> None:
    log = WriteAheadLog(place.fs, FOLDER, 1)
    positions = [log.write(one_batch(), rows(1, n), None) for n in range(2)]
    replay = WriteAheadLog(place.fs, FOLDER, 2).replay(START)
    assert next(replay)[0] == positions[0]
    log.withdraw(positions[1])
    assert list(replay) == []


def test_times_are_kept_to_the_microsecond() -> None:
    batch = LogBatch(TIME + timedelta(microseconds=1), 0, 0, b"", None)
    assert decode(bytes(encode([batch], rows(0), None)), "url").batches == (batch,)


def path_of(place: Any, position: WalPosition) -> Path:
    return Path(next(place.root.rglob(f"{position.epoch:010d}-{position.sequence:012d}-*.wal")))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
