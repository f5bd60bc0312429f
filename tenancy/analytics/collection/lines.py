"""The lines of an NDJSON body: which of its bytes are which event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

_NEWLINE, _OPEN, _CLOSE = b"\n{}"


@dataclass(frozen=True, slots=True)
class Lines:
    """Events as separate texts, with the number of each one's line; no numbers where the body has no lines."""

    texts: Sequence[bytes]
    numbers: Sequence[int] | None = None

    @classmethod
    def of(cls, body: bytes) -> Lines:
        """The lines of `body` that are not blank."""
        numbered = [(number, line) for number, text in enumerate(body.split(b"\n"), 1) if (line := text.strip())]
        return cls([line for _, line in numbered], [number for number, _ in numbered])

    def raw(self, index: int) -> bytes:
        return self.texts[index]

    def line(self, index: int) -> int | None:
        return None if self.numbers is None else self.numbers[index]

    def body(self) -> bytes:
        """The texts again, one a line."""
        return b"\n".join(self.texts)


class CleanBody:
    """A body of which every line is one text from `{` to `}`, as machines write them; split only when asked."""

    def __init__(self, body: bytes, numbered: bool = True) -> None:
        self._body = body
        self._numbered = numbered

    @cached_property
    def _texts(self) -> list[bytes]:
        return self._body.split(b"\n")

    def raw(self, index: int) -> bytes:
        return self._texts[index]

    def line(self, index: int) -> int | None:
        return index + 1 if self._numbered else None


def count_if_clean(body: bytes, max_row_bytes: int) -> int | None:
    """The number of lines, if each begins with `{`, ends with `}` and is no longer than allowed; else None.

    Where this holds and a JSON parser finds as many objects as there are lines, each line is one object:
    a line break between `}` and `{` is inside of nothing, for JSON has no such text but between two objects.
    """
    text = np.frombuffer(body, dtype=np.uint8)
    breaks = np.flatnonzero(text == _NEWLINE)
    if len(breaks) and breaks[-1] == len(text) - 1:
        breaks = breaks[:-1]
        last = len(text) - 2
    else:
        last = len(text) - 1
    if last < 1 or text[0] != _OPEN or text[last] != _CLOSE:
        return None
    if not (np.all(text[breaks - 1] == _CLOSE) and np.all(text[breaks + 1] == _OPEN)):
        return None
    if len(body) > max_row_bytes and int(np.diff(breaks, prepend=-1, append=last + 1).max()) - 1 > max_row_bytes:
        return None
    return len(breaks) + 1
