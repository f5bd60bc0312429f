"""How long a query will run: a line through its size, corrected by how long such queries have run.

The exactness that matters is one of order: a query that is over in milliseconds is answered at once, one that takes
long waits for its turn and gives way. The correction is an exponentially weighted mean of measured against expected
time, kept for each shape of query, so it holds as the data grows.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

FIXED_S = 0.002
CELL_S = 8e-9
"""One value of one column read, filtered and aggregated by one thread."""
NEWEST = 0.3
_SHAPES = 1_000


def expected_s(rows: int, columns: int) -> float:
    """Seconds on one thread to aggregate `rows` of `columns`, before anything like it was measured.

    >>> expected_s(0, 3)
    0.002
    >>> expected_s(1_000_000, 4)
    0.034
    """
    return FIXED_S + rows * max(1, columns) * CELL_S


class CostBook:
    """What queries of one tenant have taken.

    >>> book = CostBook()
    >>> book.corrected("plays by genre", 0.1)
    0.1
    >>> book.learn("plays by genre", expected=0.1, took=0.3)
    >>> book.corrected("plays by genre", 0.2)
    0.6
    """

    def __init__(self) -> None:
        self._ratios: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = threading.Lock()

    def corrected(self, shape: Hashable, expected: float) -> float:
        """Seconds that a query of this shape will take, of which `expected` are expected by its size."""
        with self._lock:
            return expected * self._ratios.get(shape, 1.0)

    def learn(self, shape: Hashable, expected: float, took: float) -> None:
        """A query has taken so many seconds."""
        ratio = took / expected
        with self._lock:
            known = self._ratios.pop(shape, None)
            self._ratios[shape] = ratio if known is None else known + NEWEST * (ratio - known)
            while len(self._ratios) > _SHAPES:
                self._ratios.popitem(last=False)
