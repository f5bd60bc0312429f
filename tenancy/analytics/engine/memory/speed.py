"""How fast bodies get done, and so how long one more has to wait."""

from __future__ import annotations

_WINDOW_S = 1.0
_LEAST_WAIT_S, _MOST_WAIT_S, _FIRST_GUESS_S = 0.1, 3.0, 0.5


class Speed:
    """Bytes a second, over windows of a second in which something was done.

    >>> speed = Speed()
    >>> speed.passed(100, now=0.0); speed.passed(400, now=0.5); speed.passed(500, now=1.0)
    >>> speed.wait_s(450)
    0.5
    """

    __slots__ = ("_bytes", "_per_s", "_since")

    def __init__(self) -> None:
        self._since: float | None = None
        self._bytes = 0
        self._per_s: float | None = None

    def passed(self, size: int, now: float) -> None:
        """So many bytes are done."""
        if self._since is None:
            self._since = now  # what it took is not known
            return
        self._bytes += size
        if now - self._since >= _WINDOW_S:
            self._per_s = self._bytes / (now - self._since)
            self._since, self._bytes = now, 0

    def wait_s(self, size: int) -> float:
        """Seconds until so many bytes should be done: a guess while nothing was measured, 3 at the most."""
        if not self._per_s:
            return _FIRST_GUESS_S
        return round(min(max(size / self._per_s, _LEAST_WAIT_S), _MOST_WAIT_S), 3)
