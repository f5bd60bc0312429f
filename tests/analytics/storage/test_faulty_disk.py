"""A disk that is slow, full or broken: nothing is acknowledged before it is synced, and what is was stored once."""

from __future__ import annotations

import errno
import os
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.errors import BackpressureError, StorageFullError, UnavailableError
from tenancy.analytics.storage.append import Append
from tenancy.analytics.storage.catalog import IdempotencyRecord

FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def refusal(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@pytest.mark.parametrize("last", ["file", "folder"])
def test_nothing_is_acknowledged_or_visible_before_file_and_name_are_synced(
    place: Any, faulty_disk: Any, held: Any, last: str
) -> None:
    store = place.plays()
    store.append(Append(place.events(["a"]))).result()
    sync = faulty_disk.fault = held("fsync", part=".wal" if last == "file" else "/wal")
    if last == "folder":
        # The file's own sync passes, that of the folder it is named in waits.
        faulty_disk.fault = lambda name, path: None if path.endswith(".wal") else sync(name, path)
    acknowledged = store.append(Append(place.events(["b"])))
    assert sync.reached.wait(30)
    assert not acknowledged.done()
    assert place.ids(store) == ["a"], "the slow disk keeps nobody from reading"
    before = len(faulty_disk.done)
    sync.let_go()
    acknowledged.result(30)
    assert place.ids(store) == ["a", "b"]
    synced = [path.rpartition("/")[2][-4:] for name, path in faulty_disk.done[before:] if name == "fsync"]
    assert synced == ([".wal", "wal"] if last == "file" else ["wal"])


@pytest.mark.parametrize("call", ["open", "write", "fsync"])
@pytest.mark.parametrize("code", FAILURES, ids=errno.errorcode.__getitem__)
def test_a_write_the_disk_refuses_is_refused_and_works_once_the_disk_does(
    place: Any, faulty_disk: Any, call: str, code: int
) -> None:
    store = place.plays()
    store.append(Append(place.events(["a"]))).result()

    def fault(name: str, path: str) -> None:
        if name == call and "/wal" in path:
            raise refusal(code)

    faulty_disk.fault = fault
    expected = StorageFullError if code in (errno.ENOSPC, errno.EDQUOT) else UnavailableError
    for _ in range(3):
        store.claim(["b"])
        refused = store.append(Append(place.events(["b"]), own_ids=("b",))).exception(30)
        assert type(refused) is expected
        assert refused.status == (507 if expected is StorageFullError else 503)
        assert place.ids(store) == ["a"]
    faulty_disk.fault = None
    assert not store.claim(["b"])[0]
    store.append(Append(place.events(["b"]), own_ids=("b",))).result(30)
    assert place.ids(store) == ["a", "b"]
    assert place.ids(place.take_over().dataset("plays")) == ["a", "b"]


def test_what_a_disk_that_broke_kept_of_a_refused_write_is_removed_before_the_next(
    place: Any, faulty_disk: Any
) -> None:
    store = place.plays()

    def broken(name: str, path: str) -> None:
        if name in ("write", "unlink") and "/wal" in path:
            raise refusal(errno.EIO)

    faulty_disk.fault = broken
    assert isinstance(store.append(Append(place.events(["a"]))).exception(30), UnavailableError)
    assert len(place.files("wal")) == 1, "half an object, which nothing may follow"
    faulty_disk.fault = None
    store.append(Append(place.events(["b"]))).result(30)
    assert len(place.files("wal")) == 1
    assert place.ids(place.take_over().dataset("plays")) == ["b"]


def test_while_the_disk_is_stuck_what_waits_is_bounded_and_then_all_of_it_is_stored(
    place: Any, faulty_disk: Any, held: Any
) -> None:
    store = place.plays(flush_bytes=4096)
    sync = faulty_disk.fault = held("fsync", part="/wal")
    waiting = []
    refused: BaseException | None = None
    for number in range(10_000):
        done = store.append(Append(place.events([str(number)])))
        refused = done.exception(0) if done.done() else None
        if refused is not None:
            break
        waiting.append(done)
    assert isinstance(refused, BackpressureError)
    assert refused.retry_after_s > 0
    assert store.pending_bytes <= 5 * 4096
    sync.let_go()
    for done in waiting:
        done.result(30)
    assert place.ids(store) == [str(number) for number in range(len(waiting))]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.integers(0, 60), st.sampled_from(FAILURES), min_size=1, max_size=12),
    st.integers(1, 3),
)
def test_whichever_calls_of_the_system_fail_every_row_is_there_once(
    new_place: Any, faulty_disk: Any, failures: dict[int, int], per_flush: int
) -> None:
    place = new_place()
    owner = place.take_over()
    store = owner.create(place.schema)
    calls = iter(range(1_000_000))

    def fault(name: str, path: str) -> None:
        code = failures.get(next(calls))
        if code is not None:
            raise refusal(code)

    def collected(name: str) -> None:
        """As a client does that repeats the call until it is told that it is done."""
        for _ in range(len(failures) + 2):
            if store.recall(name) is not None:
                return
            record = IdempotencyRecord(name, b"", b"", place.clock.now())
            ids = [f"{name} {row}" for row in range(3)]
            assert not store.claim(ids).any(), "what was refused left claims behind"
            done = store.append(Append(place.events(ids), own_ids=tuple(ids), idempotency=record))
            error = done.exception(30)
            if error is None:
                return
            assert isinstance(error, StorageFullError | UnavailableError)
        raise AssertionError(f"{name} was refused more often than the disk failed")

    faulty_disk.fault = fault
    names = [f"call {number}" for number in range(6)]
    for number, name in enumerate(names, 1):
        collected(name)
        assert Counter(place.ids(store)) == Counter(f"{each} {row}" for each in names[:number] for row in range(3))
        if number % per_flush == 0:
            try:
                store.flush()
                owner.maintain()
            except (OSError, StorageFullError, UnavailableError):
                pass  # tried again later
    faulty_disk.fault = None
    owner.maintain()

    expected = Counter(f"{name} {row}" for name in names for row in range(3))
    assert Counter(place.ids(store)) == expected
    heir = place.take_over().dataset("plays")
    assert Counter(place.ids(heir)) == expected
    heir.flush()
    assert Counter(place.ids(heir)) == expected
    assert place.files("wal") == []
    assert not [file for file in place.root.rglob("*") if file.name.startswith(".partial-")]
