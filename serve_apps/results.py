"""Query results in the form that the caller accepts: JSON, NDJSON, or an Arrow IPC stream."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping

import orjson
import pyarrow as pa
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from tenancy.analytics.query import QueryResult

JSON = "application/json"
NDJSON = "application/x-ndjson"
ARROW = "application/vnd.apache.arrow.stream"

_SMALL_ROWS = 1_000
"""Fewer rows than this are turned into text on the event loop: quicker than to ask a thread."""


async def respond(request: Request, result: QueryResult) -> Response:
    """`result` as `Accept` asks for it."""
    media = preferred(request.headers.get("accept", ""))
    form = _FORMS[media]
    body = form(result) if len(result) < _SMALL_ROWS else await asyncio.to_thread(form, result)
    # In every form, what the rows themselves do not say.
    headers = {"X-Rows": str(len(result)), "X-Truncated": str(result.stats.truncated).lower()}
    if result.next_cursor is not None:
        headers["X-Next-Cursor"] = result.next_cursor
    return Response(body, headers=headers, media_type=media)


def preferred(accept: str) -> str:
    """The media type to answer in, by the quality values of an `Accept` header (RFC 9110 §12.5.1).

    >>> preferred("application/x-ndjson, application/json;q=0.5")
    'application/x-ndjson'
    >>> preferred("*/*")
    'application/json'

    Raises HTTPException 406 when none of the three is accepted.
    """
    best, best_quality = "", 0.0
    for media in (JSON, NDJSON, ARROW):
        quality = _quality(accept, media)
        if quality > best_quality:
            best, best_quality = media, quality
    if not best:
        raise HTTPException(406, f"none of {accept!r} can be given; accept one of {', '.join(_FORMS)}")
    return best


def _quality(accept: str, media: str) -> float:
    """How welcome `media` is: what the most specific range that covers it says."""
    if not accept.strip():
        return 1.0 if media == JSON else 0.5
    kind = media.partition("/")[0]
    ranges = {media: 3, f"{kind}/*": 2, "*/*": 1}
    found = (0, 0.0)
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        specific = ranges.get(name)
        if specific is not None and specific > found[0]:
            found = (specific, _weight(parameters))
    return found[1]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def _json(result: QueryResult) -> bytes:
    return orjson.dumps(
        {
            "data": result.data,
            "schema": [dataclasses.asdict(field) for field in result.schema],
            "stats": dataclasses.asdict(result.stats),
            "sql": result.sql,
            "next_cursor": result.next_cursor,
        }
    )


def _ndjson(result: QueryResult) -> bytes:
    return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in result.data)


def _arrow(result: QueryResult) -> bytes:
    table = result.to_arrow()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    body: bytes = sink.getvalue().to_pybytes()
    return body


_FORMS: Mapping[str, Callable[[QueryResult], bytes]] = {JSON: _json, NDJSON: _ndjson, ARROW: _arrow}
