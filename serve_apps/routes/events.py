"""`POST …/events`: a batch of events in, a receipt for every row out."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response

from serve_apps import examples
from serve_apps.access import allowed
from serve_apps.bodies import read_body
from serve_apps.receipts import respond
from serve_apps.refusals import Kind
from serve_apps.services import services
from tenancy.analytics.collection import Payload
from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.security import Action
from tenancy.analytics.types import DataSourceType, dataset_name

router = APIRouter(tags=["events"])

_LONGEST_KEY = 255
_TOO_LARGE = "send smaller batches, or raise data_collection.max_body_bytes"


@router.post(
    "/v1/tenants/{tenant}/datasets/{dataset}/events",
    summary="Collect a batch of events",
    dependencies=[Depends(allowed(Action.INGEST))],
    openapi_extra={"requestBody": examples.EVENTS_BODY},
    responses=examples.RECEIPTS_RESPONSES,
)
async def collect(
    request: Request,
    tenant: str,
    dataset: str,
    receipts: Annotated[
        Literal["exceptions", "all"], Query(description="Which rows to give a receipt for")
    ] = "exceptions",
    source: Annotated[DataSourceType, Query(description="Where the batch came from")] = DataSourceType.API,
    idempotency_key: Annotated[
        str | None, Header(description="The same key with the same body is counted once, and answered the same")
    ] = None,
) -> Response:
    """Answers when every accepted row is durable and in the reach of the next query.

    A row that is wrong is quarantined and never costs its neighbours: the answer is 200 with a receipt that says
    which row, which field, and what to do. Bodies are JSON (an object or an array), NDJSON or an Arrow IPC stream,
    as they are or compressed with gzip or zstd.
    """
    if idempotency_key is not None and not 0 < len(idempotency_key) <= _LONGEST_KEY:
        raise InvalidRequestError("Idempotency-Key", len(idempotency_key), f"use 1 to {_LONGEST_KEY} characters")
    name = dataset_name(dataset)
    services_ = services(request)
    # The form is checked before the body is read: a body in a form nobody reads need not travel.
    Payload.from_http(b"", request.headers.get("content-type", ""))
    with services_.edge.minding(tenant, Kind.COLLECTING):
        async with services_.turns.of(tenant):
            body = await read_body(request, services_.config.data_collection.max_body_bytes, _TOO_LARGE)
            payload = Payload.from_http(body, request.headers.get("content-type", ""))
            handle = services_.tenant(tenant)
            answer = await handle.collect(name, payload, source=source, idempotency_key=idempotency_key)
    return await respond(answer, every=receipts == "all")
