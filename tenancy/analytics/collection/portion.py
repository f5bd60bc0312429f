"""A part of a call: the rows of it that belong to one shard, and what they must know of the whole."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tenancy.analytics.collection.reading import RawRows


@dataclass(frozen=True, slots=True)
class Portion:
    """What a shard is told of the call that its rows are a part of."""

    layout: int
    """The version of the layout that the call was split by."""
    schema_version: int
    """Of the tenant's dataset: the rows are read under this one or a later one."""
    fingerprint: bytes
    """Of the whole body, so that another body under the same key is found out by every shard."""
    lines: bytes | None = None
    """The rows' lines in the body, from 1, as 32-bit integers; empty where the body has no lines, None where the
    rows are the whole body."""
    watermark: datetime | None = None
    """The newest event of the tenant that the caller knows of, on whichever shard."""


def packed(lines: Sequence[int]) -> bytes:
    """Numbers of lines as `Portion.lines`."""
    return array("I", lines).tobytes()


class Renumbered:
    """The rows of a part under their lines in the whole."""

    def __init__(self, rows: RawRows, lines: bytes) -> None:
        self._rows = rows
        self._lines = array("I")
        self._lines.frombytes(lines)

    def raw(self, index: int) -> bytes:
        return self._rows.raw(index)

    def line(self, index: int) -> int | None:
        return self._lines[index] if self._lines else None
