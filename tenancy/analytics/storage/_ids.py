"""Names of segments: UUIDv7 that sort in the order they were made, also when the clock stands still."""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

from tenancy.analytics.clock import Clock

_STEP_BITS = 40


class SegmentIds:
    """Makes ids, each greater than the last and than every one in `seen`.

    RFC 9562, section 6.2: a millisecond that is not later than the last id's is counted up instead. Segments
    are read in order of id, and that is the order of a dimension table's rows, so it must not depend on luck.
    """

    def __init__(self, clock: Clock, seen: str = "") -> None:
        self._clock = clock
        self._last_ms = UUID(seen).int >> 80 if seen else 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """A new id, greater than all before it."""
        with self._lock:
            self._last_ms = max(int(self._clock.now().timestamp() * 1000), self._last_ms + 1)
            head = self._last_ms << 16 | 0x7 << 12 | secrets.randbits(12)
        # The top bit of the random part stays 0, so that `after` never carries into the variant.
        return str(UUID(int=head << 64 | 0b10 << 62 | secrets.randbits(61)))


def made_at(id: str) -> datetime:
    """When `id` was made, to the millisecond."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=UUID(id).int >> 80)


def after(id: str) -> str:
    """A new id that sorts right after `id` and before the ones that were made later.

    It is what a merged segment is called, since it takes the place of the last of its parts. It is random, so
    that an owner that was replaced cannot write to the name its successor chose.
    """
    return str(UUID(int=UUID(id).int + 1 + secrets.randbits(_STEP_BITS)))
