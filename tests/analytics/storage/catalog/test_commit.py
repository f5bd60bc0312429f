"""A commit is made whole or not at all, by the current owner only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tenancy.analytics.errors import ConflictError, StaleOwnerError
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.storage.catalog import (
    Catalog,
    Change,
    DedupRun,
    IdempotencyRecord,
    TenantCatalog,
    WalPosition,
)
from tenancy.analytics.storage.snapshot import Segment
from tenancy.analytics.testing import ManualClock

MakeSegment = Callable[..., Segment]
MakeRecord = Callable[[str], IdempotencyRecord]
MakeRun = Callable[..., DedupRun]

PLAYS = DatasetSchema(
    name="plays", fields={"zeta": FieldSpec(type=FieldType.STRING), "alpha": FieldSpec(type=FieldType.INTEGER)}
)


def view(rows: TenantCatalog) -> tuple[Any, ...]:
    return (
        rows.datasets(),
        rows.segments("plays"),
        rows.segments("plays_quarantine"),
        rows.wal_position("plays"),
        rows.idempotency("plays", "k"),
        rows.dedup_runs("plays", ManualClock().now()),
        rows.dead_segments(),
    )


def test_all_of_a_change_comes_back_as_it_was(
    rows: TenantCatalog, segment: MakeSegment, remembered: MakeRecord, run: MakeRun
) -> None:
    epoch = rows.raise_epoch()
    good, refused = segment("1"), segment("2", "plays_quarantine")
    change = Change(
        "plays",
        add={"plays": (good,), "plays_quarantine": (refused,)},
        wal_position=WalPosition(epoch, 7),
        idempotency=(remembered("k"),),
        dedup_runs=(run("r"),),
        schema=PLAYS,
    )
    rows.commit(change, epoch)
    position = WalPosition(epoch, 7)
    assert view(rows) == ([PLAYS], [good], [refused], position, remembered("k"), [run("r")], [])
    (kept,) = rows.datasets()
    assert list(kept.fields) == ["zeta", "alpha"], "the order of fields is the order of columns"


def test_a_stale_owner_changes_nothing(rows: TenantCatalog, segment: MakeSegment) -> None:
    old, new = rows.raise_epoch(), rows.raise_epoch()
    before = view(rows)
    with pytest.raises(StaleOwnerError) as caught:
        rows.commit(Change("plays", add={"plays": (segment("1"),)}, schema=PLAYS), old)
    assert (caught.value.epoch, caught.value.current) == (old, new)
    with pytest.raises(StaleOwnerError):
        rows.save_dataset(PLAYS, old)
    assert view(rows) == before


def test_a_failure_in_the_middle_leaves_nothing_visible(
    rows: TenantCatalog, segment: MakeSegment, remembered: MakeRecord
) -> None:
    epoch = rows.raise_epoch()
    rows.commit(Change("plays", add={"plays": (segment("1"),)}), epoch)
    before = view(rows)
    broken: Any = replace(remembered("k"), receipts=None)  # type: ignore[arg-type]
    with pytest.raises(ConflictError):
        rows.commit(
            Change(
                "plays", {"plays": (segment("2"),)}, {"plays": ("1",)}, WalPosition(epoch, 1), (broken,), schema=PLAYS
            ),
            epoch,
        )
    assert view(rows) == before


def test_after_a_take_over_the_old_owner_adds_nothing(rows: TenantCatalog, segment: MakeSegment) -> None:
    """The race the epoch is for: one owner commits as fast as it can while another takes over."""
    old = rows.raise_epoch()
    committed, started = [], threading.Event()
    fenced: list[StaleOwnerError] = []

    def commit_until_fenced() -> None:
        for number in range(100_000):
            try:
                rows.commit(Change("plays", add={"plays": (segment(f"{number:06d}"),)}), old)
            except StaleOwnerError as error:
                fenced.append(error)
                return
            committed.append(f"{number:06d}")
            if number == 3:
                started.set()

    owner = threading.Thread(target=commit_until_fenced)
    owner.start()
    assert started.wait(30)
    new = rows.raise_epoch()
    seen = rows.segments("plays")
    owner.join(30)
    assert [error.current for error in fenced] == [new]
    assert rows.segments("plays") == seen
    assert [s.id for s in seen] == committed


def test_threads_that_take_over_at_once_get_different_epochs(catalog: Catalog, rows: TenantCatalog) -> None:
    epochs: list[int] = []
    threads = [
        threading.Thread(target=lambda: epochs.extend(catalog.tenant(rows.tenant).raise_epoch() for _ in range(10)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(epochs) == list(range(1, 81))


def test_replaced_segments_vanish_and_their_files_are_remembered_until_deleted(
    rows: TenantCatalog, segment: MakeSegment, clock: ManualClock
) -> None:
    epoch = rows.raise_epoch()
    first, second, merged = segment("1"), segment("2"), segment("3", rows=6)
    rows.commit(Change("plays", add={"plays": (first, second)}), epoch)
    rows.commit(Change("plays", add={"plays": (merged,)}, remove={"plays": ("2",)}), epoch)
    clock.advance(timedelta(seconds=1))
    rows.commit(Change("plays", remove={"plays": ("1",)}), epoch)
    assert rows.segments("plays") == [merged]
    assert rows.dead_segments() == [second.url, first.url], "oldest first"
    rows.forget_dead([second.url])
    assert rows.dead_segments() == [first.url]


def test_a_commit_whose_answer_was_lost_can_be_repeated(
    rows: TenantCatalog, segment: MakeSegment, remembered: MakeRecord, run: MakeRun
) -> None:
    epoch = rows.raise_epoch()
    rows.commit(Change("plays", add={"plays": (segment("1"),)}), epoch)
    change = Change(
        "plays",
        {"plays": (segment("2"),)},
        {"plays": ("1",)},
        WalPosition(epoch, 1),
        (remembered("k"),),
        (run("r"),),
        schema=PLAYS,
    )
    rows.commit(change, epoch)
    once = view(rows), rows.dataset_version("plays")
    rows.commit(change, epoch)
    assert (view(rows), rows.dataset_version("plays")) == once


def test_replacing_a_segment_that_is_gone_is_a_conflict(rows: TenantCatalog, segment: MakeSegment) -> None:
    """Else two compactions of one segment would both add its rows."""
    epoch = rows.raise_epoch()
    rows.commit(Change("plays", add={"plays": (segment("1"),)}), epoch)
    rows.commit(Change("plays", add={"plays": (segment("2"),)}, remove={"plays": ("1",)}), epoch)
    with pytest.raises(ConflictError, match="not live"):
        rows.commit(Change("plays", add={"plays": (segment("3"),)}, remove={"plays": ("1",)}), epoch)
    assert [s.id for s in rows.segments("plays")] == ["2"]


def test_the_same_segment_id_in_two_datasets_is_two_segments(rows: TenantCatalog, segment: MakeSegment) -> None:
    epoch = rows.raise_epoch()
    other = segment("1", "skips")
    rows.commit(Change("plays", add={"plays": (segment("1"),), "skips": (other,)}), epoch)
    rows.commit(Change("plays", remove={"plays": ("1",)}), epoch)
    assert (rows.segments("plays"), rows.segments("skips")) == ([], [other])


def test_thousands_of_names_in_one_change_are_no_trouble(rows: TenantCatalog, segment: MakeSegment) -> None:
    epoch = rows.raise_epoch()
    many = tuple(segment(f"{number:06d}") for number in range(12_000))
    rows.commit(Change("plays", add={"plays": many}), epoch)
    rows.commit(Change("plays", remove={"plays": tuple(s.id for s in many[1:])}), epoch)
    assert rows.segments("plays") == [many[0]]
    rows.forget_dead(rows.dead_segments())
    assert rows.dead_segments() == []


def test_what_deduplication_remembers_expires(
    rows: TenantCatalog, remembered: MakeRecord, run: MakeRun, clock: ManualClock
) -> None:
    epoch, noon = rows.raise_epoch(), clock.now()
    late = noon + timedelta(hours=2)
    keys = (remembered("old"), replace(remembered("new"), created_at=late))
    rows.commit(Change("plays", idempotency=keys, dedup_runs=(run("old"), run("new", late))), epoch)
    assert rows.dedup_runs("plays", noon + timedelta(microseconds=1)) == [run("new", late)]
    assert rows.expire(noon) == [], "what is exactly as old as the limit is kept"
    assert rows.expire(noon + timedelta(hours=1)) == [run("old").url]
    assert rows.dead_segments() == [run("old").url], "so that a crash before the deletion leaks no file"
    assert (rows.idempotency("plays", "old"), rows.idempotency("plays", "new")) == (None, keys[1])
    assert rows.dedup_runs("plays", noon) == [run("new", late)]


def test_the_first_answer_to_an_idempotency_key_stays(rows: TenantCatalog, remembered: MakeRecord) -> None:
    epoch = rows.raise_epoch()
    rows.commit(Change("plays", idempotency=(remembered("k"),)), epoch)
    rows.commit(Change("plays", idempotency=(replace(remembered("k"), receipts=b"other"),)), epoch)
    assert rows.idempotency("plays", "k") == remembered("k")
