"""Receipts as bytes, to be kept beside an idempotency key and given again on a retry."""

from __future__ import annotations

import zlib
from dataclasses import replace

import orjson

from tenancy.analytics.errors import IntegrityError
from tenancy.analytics.types import Receipt, Receipts, ReceiptStatus, Refusal

_VERSION = 2


def encode(receipts: Receipts) -> bytes:
    """Compact: a batch with nothing to tell takes about 60 bytes, a thousand duplicates a few kilobytes."""
    exceptions = [
        [
            receipt.index,
            receipt.status.value,
            receipt.event_id,
            receipt.line,
            receipt.refusal
            and [receipt.refusal.code, receipt.refusal.field, receipt.refusal.value, receipt.refusal.remedy],
        ]
        for receipt in receipts.exceptions.values()
    ]
    first = None if receipts.first_id is None else f"{receipts.first_id:x}"
    later = [[row, f"{start:x}"] for row, start in receipts.later_ids.items()]
    told = [_VERSION, receipts.rows, first, receipts.own_ids.hex(), exceptions, later, receipts.late.hex()]
    return zlib.compress(orjson.dumps(told), level=1)


def decode(stored: bytes) -> Receipts:
    """What `encode` was given, marked as replayed.

    >>> decode(encode(Receipts(rows=2, first_id=7))) == replace(Receipts(rows=2, first_id=7), replayed=True)
    True

    Raises IntegrityError for bytes that `encode` did not make.
    """
    try:
        version, rows, first, own_ids, exceptions, later, late = orjson.loads(zlib.decompress(stored))
        if version != _VERSION:
            raise ValueError(f"version {version} is not {_VERSION}")
        receipts = [
            Receipt(index, ReceiptStatus(status), event_id, line, refusal and Refusal(*refusal))
            for index, status, event_id, line, refusal in exceptions
        ]
        kept = Receipts(
            rows,
            {receipt.index: receipt for receipt in receipts},
            first and int(first, 16),
            bytes.fromhex(own_ids),
            later_ids={row: int(start, 16) for row, start in later},
            late=bytes.fromhex(late),
        )
    except (zlib.error, ValueError, TypeError) as error:
        raise IntegrityError("receipts of an idempotency key", str(error)) from None
    return replace(kept, replayed=True)
