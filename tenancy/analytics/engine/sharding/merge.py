"""The receipts of a whole call from those of its parts, each row under its own position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tenancy.analytics.engine.pieces import bits
from tenancy.analytics.engine.sharding.split import Rows
from tenancy.analytics.types import Receipt, Receipts

_NO_ID = 0


def interleaved(rows: int, parts: Sequence[tuple[Rows, Receipts]]) -> Receipts:
    """Receipts of `rows` rows; each part has those at its positions, which together are all.

    >>> even, odd = Receipts(rows=2, first_id=10), Receipts(rows=1, first_id=90)
    >>> whole = interleaved(3, [(np.array([0, 2]), even), (np.array([1]), odd)])
    >>> [whole[row].event_id == part.event_id for row, part in ((0, even[0]), (1, odd[0]), (2, even[1]))]
    [True, True, True]
    """
    exceptions: dict[int, Receipt] = {}
    own = np.zeros(rows, dtype=np.uint8)
    late = np.zeros(rows, dtype=np.uint8)
    ids: list[int] = [_NO_ID] * rows
    for positions, receipts in parts:
        places = positions.tolist()
        for index, receipt in receipts.exceptions.items():
            exceptions[places[index]] = replace(receipt, index=places[index])
        own[positions] = bits(receipts.own_ids, receipts.rows)
        late[positions] = bits(receipts.late, receipts.rows)
        for place, id in zip(places, _ids(receipts), strict=True):
            ids[place] = id
    starts = {row: id for row, id in enumerate(ids) if id != _NO_ID and (row == 0 or id != ids[row - 1] + 1)}
    told = [receipts for positions, receipts in parts if len(positions)] or [receipts for _, receipts in parts]
    return Receipts(
        rows=rows,
        exceptions=dict(sorted(exceptions.items())),
        first_id=starts.pop(0, None),
        own_ids=_packed(own),
        replayed=all(receipts.replayed for receipts in told),
        later_ids=starts,
        late=_packed(late),
    )


def _ids(receipts: Receipts) -> list[int]:
    """The id that was counted for each row, used or not."""
    found: list[int] = []
    starts = {0: receipts.first_id, **receipts.later_ids}
    bounds = [*sorted(starts), receipts.rows]
    for start, end in pairwise(bounds):
        first = starts[start]
        found += [_NO_ID] * (end - start) if first is None else range(first, first + end - start)
    return found


def _packed(mask: npt.NDArray[np.uint8]) -> bytes:
    return np.packbits(mask).tobytes() if mask.any() else b""
