"""`POST …/query` and `POST …/explain`."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from serve_apps import examples
from serve_apps.access import allowed
from serve_apps.bodies import read_body
from serve_apps.refusals import Kind
from serve_apps.results import respond
from serve_apps.routes.as_json import as_json
from serve_apps.services import services
from tenancy.analytics.errors import InvalidRequestError, UnsupportedMediaError
from tenancy.analytics.security import Action

router = APIRouter(tags=["queries"])

_LARGEST_REQUEST = 1024 * 1024
_TOO_LARGE = "keep a JSON request within 1 MiB: name fewer values, or a range of them"


@router.post(
    "/v1/tenants/{tenant}/query",
    summary="Ask",
    dependencies=[Depends(allowed(Action.QUERY))],
    openapi_extra={"requestBody": examples.QUERY_BODY},
    responses=examples.RESULT_RESPONSES,
)
async def query(request: Request, tenant: str) -> Response:
    """The answer over everything acknowledged so far: JSON, or NDJSON or an Arrow IPC stream where `Accept` says so."""
    held = services(request)
    with held.edge.minding(tenant, Kind.QUERYING):
        answer = await held.tenant(tenant).query(await read_object(request))
    return await respond(request, answer)


@router.post(
    "/v1/tenants/{tenant}/explain",
    summary="Explain how a query would run",
    dependencies=[Depends(allowed(Action.EXPLAIN))],
    openapi_extra={"requestBody": examples.QUERY_BODY},
)
async def explain(request: Request, tenant: str) -> Response:
    """The plan as text, in JSON. Nothing is executed."""
    held = services(request)
    with held.edge.minding(tenant, Kind.QUERYING):
        text = await held.tenant(tenant).explain(await read_object(request))
    return as_json({"plan": text})


async def read_object(request: Request, *, may_be_empty: bool = False) -> dict[str, Any]:
    """The request's body, which must be one JSON object of at most 1 MiB.

    Raises InvalidRequestError with the place of the mistake, UnsupportedMediaError, PayloadTooLargeError.
    """
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise UnsupportedMediaError(media, ("application/json",))
    body = await read_body(request, _LARGEST_REQUEST, _TOO_LARGE)
    if may_be_empty and not body:
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError("body", str(error), "send one JSON object") from None
    if not isinstance(value, dict):
        raise InvalidRequestError("body", type(value).__name__, "send one JSON object")
    return value
