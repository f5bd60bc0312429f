"""One dataset's store: what was acknowledged is visible at once, survives, and is there exactly once."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from tenancy.analytics.storage.append import Append


def test_an_acknowledged_row_is_in_the_next_snapshot(place: Any) -> None:
    store = place.plays()
    store.append(Append(place.events(["a", "b"]))).result()
    assert place.ids(store) == ["a", "b"]


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


def test_an_id_that_was_claimed_once_is_a_duplicate_ever_after(place: Any) -> None:
    store = place.plays()
    assert store.claim(pa.array(["a", "b", "a"])).tolist() == [False, False, True]
    store.append(Append(place.events(["a", "b"]), own_ids=("a", "b"))).result()
    assert store.claim(pa.array(["b", "c"])).tolist() == [True, False]
    store.release(["c"])
    store.flush()
    assert store.claim(pa.array(["a", "c"])).tolist() == [True, False]
