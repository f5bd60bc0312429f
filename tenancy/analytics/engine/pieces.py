"""One call collected in several pieces: the keys of the pieces, and the receipts of all as those of the call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tenancy.analytics.types import Receipt, Receipts


def piece_key(key: str | None, index: int) -> str | None:
    """The idempotency key of one piece: the call's own key, told apart by position.

    >>> piece_key("load-7", 2)
    'load-7/2'
    """
    return None if key is None else f"{key}/{index}"


def merged(parts: Sequence[Receipts]) -> Receipts:
    """The receipts of a whole call from those of its pieces, in order (one at least): every row keeps its own.

    >>> whole = merged([Receipts(rows=2, first_id=10), Receipts(rows=3, first_id=90)])
    >>> len(whole), whole[2].event_id == Receipts(rows=3, first_id=90)[0].event_id
    (5, True)
    """
    if len(parts) == 1:
        return parts[0]
    exceptions: dict[int, Receipt] = {}
    starts: dict[int, int] = {}
    start = 0
    for part in parts:
        for index, receipt in part.exceptions.items():
            exceptions[start + index] = replace(receipt, index=start + index)
        if part.first_id is not None:
            starts[start] = part.first_id
        starts |= {start + row: first for row, first in part.later_ids.items()}
        start += part.rows
    return Receipts(
        rows=start,
        exceptions=exceptions,
        first_id=starts.pop(0, None),
        own_ids=_joined([(part.own_ids, part.rows) for part in parts]),
        replayed=all(part.replayed for part in parts),
        later_ids=starts,
        late=_joined([(part.late, part.rows) for part in parts]),
    )


def _joined(masks: Sequence[tuple[bytes, int]]) -> bytes:
    """One mask of all rows from the masks of the pieces and their numbers of rows; empty where no bit is set."""
    if not any(mask for mask, _ in masks):
        return b""
    return np.packbits(np.concatenate([bits(mask, rows) for mask, rows in masks])).tobytes()


def bits(mask: bytes, rows: int) -> npt.NDArray[np.uint8]:
    """A mask of receipts, a number for each row; an empty one has no bit set."""
    return np.unpackbits(np.frombuffer(mask, np.uint8), count=rows) if mask else np.zeros(rows, np.uint8)
