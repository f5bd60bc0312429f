"""Request bodies: read once, within a limit, and decompressed within the same limit.

A body is gathered as it arrives and given up as soon as it is over the limit. A compressed one is then inflated a
mebibyte at a time, off the event loop, and given up at the same limit: a body that expands a thousandfold costs
no more memory than one that was sent as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pyarrow as pa
from starlette.requests import ClientDisconnect, Request

from tenancy.analytics.errors import InvalidRequestError, PayloadTooLargeError, UnsupportedMediaError

ENCODINGS: Mapping[str, str] = {"gzip": "gzip", "x-gzip": "gzip", "zstd": "zstd"}
"""Content codings that are read (RFC 9110 §8.4.1, RFC 8878 §7.2), and Arrow's names for them."""

_STEP = 1024 * 1024


async def read_body(request: Request, limit: int, remedy: str) -> bytes:
    """The request's body, decompressed, of at most `limit` bytes; `remedy` tells what to do about a larger one.

    Raises PayloadTooLargeError over the limit, UnsupportedMediaError for a content coding nobody here reads, and
    InvalidRequestError for a compressed body that is damaged or cut.
    """
    coding = _coding(request.headers.get("content-encoding", ""))
    body = await _gather(request, limit, remedy)
    if coding is None or not body:
        return body
    return await asyncio.to_thread(inflate, body, coding, limit, remedy)


def inflate(body: bytes, coding: str, limit: int, remedy: str) -> bytes:
    """`body` without its `coding` (`gzip`, also of several members, or `zstd`), if that is at most `limit` bytes.

    >>> import gzip
    >>> inflate(gzip.compress(b"one ") + gzip.compress(b"two"), "gzip", 100, "send less")
    b'one two'

    Raises PayloadTooLargeError, InvalidRequestError.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        with pa.input_stream(pa.py_buffer(body), compression=coding) as stream:
            while piece := stream.read(min(_STEP, limit + 1 - size)):
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise PayloadTooLargeError(limit, remedy)
    except (OSError, pa.ArrowException) as error:
        raise InvalidRequestError(
            "body", str(error)[:200], f"send a whole {coding} stream, or none and no Content-Encoding"
        ) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _coding(header: str) -> str | None:
    given = header.strip().lower()
    if given in ("", "identity"):
        return None
    known = ENCODINGS.get(given)
    if known is None:
        raise UnsupportedMediaError(header, ("identity", "gzip", "zstd"))
    return known


async def _gather(request: Request, limit: int, remedy: str) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise PayloadTooLargeError(limit, remedy)
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in request.stream():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise PayloadTooLargeError(limit, remedy)
    except ClientDisconnect:
        # Nobody hears the answer, but a body that was cut must never be taken for a whole one.
        raise InvalidRequestError("body", f"{size:,} bytes", "the connection ended before the body did") from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
