from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tenancy.analytics.collection import Payload
from tenancy.analytics.collection.codec import decode, encode
from tenancy.analytics.collection.payload import Media
from tenancy.analytics.engine.sharding.merge import interleaved
from tenancy.analytics.engine.sharding.split import body_of, dealt, key_text, shard_by
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.types import Receipt, Receipts, ReceiptStatus

values = st.one_of(st.none(), st.text(max_size=3), st.integers(), st.booleans(), st.floats(allow_nan=False))
events = st.lists(st.fixed_dictionaries({}, optional={"user_id": values, "event_id": values, "n": values}), min_size=1)


def spread(payload: Payload, shards: int = 5) -> list[int]:
    found: list[int] = body_of(payload).shards("user_id", "event_id", shards).tolist()
    return found


@settings(deadline=None)
@given(events, st.integers(1, 9))
def test_every_row_is_in_one_part_in_order_and_under_its_line(rows: list[dict[str, Any]], shards: int) -> None:
    lines = b"\n\n".join(json.dumps(row).encode() for row in rows)
    body = body_of(Payload(lines, Media.NDJSON))
    parts = dealt(body.shards("user_id", "event_id", shards), np.arange(body.rows))
    found: dict[int, bytes] = {}
    for positions in parts.values():
        payload, numbers = body.part(positions)
        assert isinstance(payload.body, bytes)
        assert sorted(positions.tolist()) == positions.tolist()
        for number, text in zip(np.frombuffer(numbers, np.uint32), payload.body.split(b"\n"), strict=True):
            found[int(number)] = text
    assert b"\n\n".join(found[line] for line in sorted(found)) == lines
    assert sorted(found) == list(range(1, 2 * len(rows), 2))


@settings(deadline=None)
@given(events)
def test_the_form_of_a_body_does_not_move_a_row_that_has_a_key(rows: list[dict[str, Any]]) -> None:
    kept = [row for row in rows if key_text(row.get("user_id")) or key_text(row.get("event_id"))]
    if not kept:
        return
    ndjson = b"\n".join(json.dumps(row).encode() for row in kept)
    assert spread(Payload(ndjson, Media.NDJSON)) == spread(Payload(json.dumps(kept).encode(), Media.JSON))


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=4), min_size=1))
def test_a_table_is_spread_as_json_is(users: list[str]) -> None:
    users = [user.encode("utf-8", "replace").decode() for user in users]
    table = pa.table({"user_id": users})
    lines = b"\n".join(json.dumps({"user_id": user}).encode() for user in users)
    assert spread(Payload.of(table)) == spread(Payload(lines, Media.NDJSON))


def test_the_hash_is_the_one_that_is_documented() -> None:
    # Written down: what is stored by it must be found by it for ever.
    assert [shard_by(f"user{n}".encode(), 16) for n in range(8)] == [8, 7, 8, 14, 5, 6, 11, 11]
    assert key_text(7.0) == key_text(7) == "7"


def test_keys_are_spread_evenly() -> None:
    counts = np.bincount([shard_by(f"user_{n}".encode(), 8) for n in range(20_000)])
    assert counts.max() / counts.mean() < 1.05


def test_rows_without_a_key_go_by_their_id_and_lines_that_are_no_events_by_their_bytes() -> None:
    body = b'{"event_id":"e"}\n{"user_id":null,"event_id":"e"}\n{"user_id":"e"}\nbad\n[1]\nbad'
    first, second, third, bad, _, again = spread(Payload(body, Media.NDJSON), 1_000)
    assert first == second == third
    assert bad == again == shard_by(b"bad", 1_000)


def test_what_may_bring_a_column_is_told_at_a_glance() -> None:
    schema = DatasetSchema.model_validate({"name": "plays", "fields": {"n": {"type": "integer"}}})

    def may_grow(line: bytes) -> bool:
        return body_of(Payload(line, Media.NDJSON)).may_grow(schema)

    assert not may_grow(b'{"n":1,"timestamp":"2025-07-15","event_id":"e"}\nbad')
    assert may_grow(b'{"n":1,"m":2}')
    assert may_grow(b'{"n":{"m":2}}')


@st.composite
def part_receipts(draw: st.DrawFn, rows: int) -> Receipts:
    statuses = draw(st.lists(st.sampled_from("adql"), min_size=rows, max_size=rows))
    own = np.array([draw(st.booleans()) for _ in range(rows)], dtype=np.uint8)
    late = np.array([status == "l" for status in statuses], dtype=np.uint8)
    kinds = {"d": ReceiptStatus.DUPLICATE, "q": ReceiptStatus.QUARANTINED}
    exceptions = {
        row: Receipt(row, kinds[status], f"id{row}", row + 1) for row, status in enumerate(statuses) if status in kinds
    }
    first = draw(st.integers(1, 1_000)) if rows else None
    return Receipts(rows, exceptions, first, np.packbits(own).tobytes(), late=np.packbits(late).tobytes())


@settings(deadline=None)
@given(st.data(), st.lists(st.integers(0, 3), max_size=60))
def test_each_row_of_a_whole_has_the_receipt_that_its_part_gave(data: st.DataObject, shards: list[int]) -> None:
    parts = [
        (positions, data.draw(part_receipts(len(positions))))
        for positions in dealt(np.array(shards, dtype=np.int64), np.arange(len(shards))).values()
    ]
    whole = interleaved(len(shards), parts)
    for positions, receipts in parts:
        for index, place in enumerate(positions.tolist()):
            expected = receipts[index]
            found = whole[place]
            assert (found.status, found.event_id, found.line) == (expected.status, expected.event_id, expected.line)
            assert found.index == place
    assert list(decode(encode(whole))) == list(whole)
    assert sum(whole.counts().values()) == len(shards)
