from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tenancy.analytics.engine.pieces import merged, piece_key
from tenancy.analytics.types import Receipt, Receipts, ReceiptStatus


@st.composite
def receipts(draw: st.DrawFn) -> Receipts:
    rows = draw(st.integers(0, 20))
    own = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    statuses = draw(st.lists(st.sampled_from(ReceiptStatus), min_size=rows, max_size=rows))
    exceptions = {
        index: Receipt(index, status, f"e{index}", line=index + 1)
        for index, status in enumerate(statuses)
        if status in (ReceiptStatus.DUPLICATE, ReceiptStatus.QUARANTINED)
    }
    late = [status is ReceiptStatus.LATE for status in statuses]
    first = draw(st.integers(1, 2**64)) if not all(own) or draw(st.booleans()) else None
    return Receipts(rows, exceptions, first, packed(own), late=packed(late))


def packed(mask: list[bool]) -> bytes:
    return np.packbits(mask).tobytes() if any(mask) else b""


@given(st.lists(receipts(), min_size=1, max_size=6))
def test_every_row_of_a_piece_keeps_its_receipt_in_the_whole(parts: list[Receipts]) -> None:
    whole = list(merged(parts))

    apart = [receipt for part in parts for receipt in part]
    assert [(r.status, r.event_id, r.line) for r in whole] == [(r.status, r.event_id, r.line) for r in apart]
    assert [receipt.index for receipt in whole] == list(range(len(apart)))
    assert all(merged(parts).count(status) == sum(part.count(status) for part in parts) for status in ReceiptStatus)


@given(st.lists(receipts(), min_size=2, max_size=6), st.data())
def test_pieces_may_be_merged_in_any_grouping(parts: list[Receipts], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(parts) - 1))

    assert list(merged([merged(parts[:cut]), merged(parts[cut:])])) == list(merged(parts))


def test_a_call_is_a_replay_only_when_every_piece_is() -> None:
    fresh, replayed = Receipts(1), Receipts(1, replayed=True)

    assert not merged([replayed, fresh]).replayed
    assert merged([replayed, replayed]).replayed


def test_a_call_without_a_key_has_pieces_without_keys() -> None:
    assert piece_key(None, 1) is None
    assert piece_key("k", 1) != piece_key("k", 2)
