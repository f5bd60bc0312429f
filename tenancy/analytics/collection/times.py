"""Event times, read a column at a time: ISO 8601 with or without zone, and epoch numbers by their magnitude."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tenancy.analytics.schema import TIMESTAMP

_NAIVE = pa.timestamp("us")
_ZONED_TEXT = r"(?:Z|[+-]\d\d(?::?\d\d)?)$"
_TIME_OF_DAY = r"^\d{4,}-\d\d-\d\d[T ]\d"
_BEYOND_CALENDAR = r"^\s*(?:[+-]\d+|\d{5,})-\d\d-\d\d"
_MOST = 2**63

# Below each limit a number counts that unit: seconds until the year 5138, and so on down.
_SECONDS_BELOW = 10**11
_MILLISECONDS_BELOW = 10**14
_MICROSECONDS_BELOW = 10**17


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """Times as they came: each row has a text, or a stamp already, or neither."""

    texts: pa.Array | None
    stamps: pa.Array | None
    shown: Callable[[int], str | None]
    """A row's original as text; None where there was none."""
    beyond: tuple[int, ...] = ()
    """Rows that gave a number which no stamp can hold."""


@dataclass(frozen=True, slots=True)
class ReadTimes:
    """Times as microseconds in UTC; `unreadable` and `beyond` are rows that had a text with no such time in it."""

    stamps: pa.Array
    unreadable: tuple[int, ...] = ()
    beyond: tuple[int, ...] = ()
    """Rows that name a time no stamp can hold, as a year before 0 or after 9999."""


def epoch_stamp(value: int | float) -> int | None:
    """An epoch number (s, ms, µs or ns, by its magnitude) in microseconds; None when it is beyond 64 bits.

    >>> epoch_stamp(1_752_575_400), epoch_stamp(1_752_575_400_000), epoch_stamp(1_752_575_400.5)
    (1752575400000000, 1752575400000000, 1752575400500000)
    """
    size = abs(value)
    if not size < _MOST:  # true for NaN as well
        return None
    if size < _SECONDS_BELOW:
        return round(value * 1_000_000)
    if size < _MILLISECONDS_BELOW:
        return round(value * 1_000)
    if size < _MICROSECONDS_BELOW:
        return round(value)
    return value // 1_000 if isinstance(value, int) else int(value // 1_000)


def epoch_stamps(numbers: pa.Array) -> pa.Array:
    """`epoch_stamp` of a whole column of int64 or float64; what is beyond 64 bits becomes null."""
    valid = numbers.is_valid().to_numpy(zero_copy_only=False)
    values = pc.fill_null(numbers, 0).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.abs(values)
        # abs of the smallest int64 is itself, negative: it is beyond as well
        beyond = ~((size >= 0) & (size < _MOST)) if values.dtype.kind == "f" else size < 0
        scaled = np.select(
            [size < _SECONDS_BELOW, size < _MILLISECONDS_BELOW, size < _MICROSECONDS_BELOW],
            [np.rint(values * 1_000_000), np.rint(values * 1_000), np.rint(values)]
            if values.dtype.kind == "f"
            else [values * 1_000_000, values * 1_000, values],
            values // 1_000,
        )
        microseconds = np.where(beyond, 0, scaled).astype(np.int64)
    return pa.array(microseconds, mask=~valid | beyond).cast(TIMESTAMP)


def read_times(column: TimeColumn) -> ReadTimes:
    """Every text of `column` read, its stamps kept."""
    if column.texts is None:
        assert column.stamps is not None
        return ReadTimes(column.stamps, beyond=column.beyond)
    read = _read_texts(column.texts)
    if column.stamps is None:
        return ReadTimes(read.stamps, read.unreadable, (*read.beyond, *column.beyond))
    stamps = pc.coalesce(read.stamps, column.stamps)
    return ReadTimes(stamps, read.unreadable, (*read.beyond, *column.beyond))


def _read_texts(texts: pa.Array) -> ReadTimes:
    try:
        return ReadTimes(texts.cast(TIMESTAMP))  # every one with a zone: one pass
    except pa.ArrowInvalid:
        pass
    try:
        return ReadTimes(texts.cast(_NAIVE).cast(TIMESTAMP))  # every one without
    except pa.ArrowInvalid:
        pass
    tidy = pc.utf8_upper(pc.utf8_trim_whitespace(texts))
    tidy = pc.replace_substring_regex(tidy, r"(\.\d{6})\d+", r"\1")  # finer than a microsecond
    zoned = pc.and_(pc.match_substring_regex(tidy, _TIME_OF_DAY), pc.match_substring_regex(tidy, _ZONED_TEXT))
    zoned = pc.fill_null(zoned, False).to_numpy(zero_copy_only=False)
    stamps = np.zeros(len(texts), dtype=np.int64)
    missing = texts.is_null().to_numpy(zero_copy_only=False)
    bad: list[int] = []
    for rows, kind in ((np.flatnonzero(zoned), TIMESTAMP), (np.flatnonzero(~zoned & ~missing), _NAIVE)):
        bad += _read_group(tidy, rows, kind, stamps)
    missing[bad] = True
    refused = np.array(sorted(bad), dtype=np.int64)
    beyond = pc.match_substring_regex(texts.take(pa.array(refused)), _BEYOND_CALENDAR).to_numpy(zero_copy_only=False)
    beyond = beyond.astype(bool)
    return ReadTimes(
        pa.array(stamps, mask=missing).cast(TIMESTAMP),
        unreadable=tuple(refused[~beyond].tolist()),
        beyond=tuple(refused[beyond].tolist()),
    )


def _read_group(
    texts: pa.Array, rows: npt.NDArray[np.int64], kind: pa.DataType, into: npt.NDArray[np.int64]
) -> list[int]:
    """Reads `rows` of `texts`; the unreadable ones are found by halving, so a few cost a few casts."""
    bad: list[int] = []
    waiting = [rows]
    while waiting:
        part = waiting.pop()
        if not len(part):
            continue
        try:
            read = texts.take(pa.array(part)).cast(kind)
        except pa.ArrowInvalid:
            if len(part) == 1:
                bad.append(int(part[0]))
            else:
                middle = len(part) // 2
                waiting += [part[:middle], part[middle:]]
            continue
        into[part] = read.cast(pa.int64()).to_numpy()
    return bad
