"""Event ids assigned by the system: UUIDv7, a batch at a time."""

from __future__ import annotations

import secrets
from datetime import datetime

import numpy as np
import pyarrow as pa

_COUNTER_BITS = 61  # of the 62 below the variant: the top bit starts at 0, so counting up never carries into it
_HEX = np.frombuffer("".join(f"{value:02x}" for value in range(256)).encode(), dtype=np.uint16)
_TEXT_BYTES = 36


def first_id(now: datetime) -> int:
    """A UUIDv7 as an integer, from which a batch counts up: RFC 9562, section 6.2, method 2.

    The 48-bit Unix time in milliseconds, then 12 random bits, then a random base of 61 bits.
    """
    milliseconds = int(now.timestamp() * 1000) & (1 << 48) - 1
    head = milliseconds << 16 | 0x7 << 12 | secrets.randbits(12)
    return head << 64 | 0b10 << 62 | secrets.randbits(_COUNTER_BITS)


def id_texts(first: int, rows: int) -> pa.Array:
    """The text form of `rows` ids counting up from `first`.

    >>> id_texts(0x0198A3F07C0070008000000000000009, 2).to_pylist()
    ['0198a3f0-7c00-7000-8000-000000000009', '0198a3f0-7c00-7000-8000-00000000000a']
    """
    low = np.uint64(first & (1 << 64) - 1) + np.arange(rows, dtype=np.uint64)
    digits = _HEX[low.astype(">u8").view(np.uint8)].view(np.uint8).reshape(rows, 16)
    head = f"{first >> 64:016x}"
    text = np.empty((rows, _TEXT_BYTES), dtype=np.uint8)
    text[:, :19] = np.frombuffer(f"{head[:8]}-{head[8:12]}-{head[12:]}-".encode(), dtype=np.uint8)
    text[:, 19:23] = digits[:, :4]
    text[:, 23] = ord("-")
    text[:, 24:] = digits[:, 4:]
    offsets = np.arange(0, (rows + 1) * _TEXT_BYTES, _TEXT_BYTES, dtype=np.int32)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets), pa.py_buffer(text))
