"""Receipts as JSON: the counts of a call, and what happened to each row that was not stored."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import orjson
from starlette.responses import Response

from tenancy.analytics.types import Receipt, Receipts

_FEW = 1_000
"""Fewer receipts than this are turned into text on the event loop: quicker than to ask a thread."""


async def respond(receipts: Receipts, every: bool = False) -> Response:
    """`receipts_json` as a response."""
    shown = receipts.rows if every else len(receipts.exceptions)
    if shown < _FEW:
        body = receipts_json(receipts, every)
    else:
        body = await asyncio.to_thread(receipts_json, receipts, every)
    return Response(body, media_type="application/json")


def receipts_json(receipts: Receipts, every: bool = False) -> bytes:
    """What `POST …/events` answers: receipts for duplicates and quarantined rows; with `every`, for each row.

    Late rows are stored like any other, so they are counted, and listed with `every` only.

    >>> receipts_json(Receipts(rows=2))
    b'{"rows":2,"counts":{"accepted":2,"duplicate":0,"quarantined":0,"late":0},"replayed":false,"receipts":[]}'
    """
    shown: Iterable[Receipt]
    shown = receipts if every else (receipts.exceptions[index] for index in sorted(receipts.exceptions))
    return orjson.dumps(
        {
            "rows": receipts.rows,
            "counts": receipts.counts(),
            "replayed": receipts.replayed,
            "receipts": [_plain(receipt) for receipt in shown],
        }
    )


def _plain(receipt: Receipt) -> dict[str, Any]:
    plain: dict[str, Any] = {"index": receipt.index, "status": receipt.status.value, "event_id": receipt.event_id}
    if receipt.line is not None:
        plain["line"] = receipt.line
    if receipt.refusal is not None:
        refusal = receipt.refusal
        plain["error"] = {
            "code": refusal.code,
            "field": refusal.field,
            "value": refusal.value,
            "remedy": refusal.remedy,
        }
    return plain
