"""How far a source was read: kept for loaders, which go on from there after a break."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from serve_apps.access import allowed
from serve_apps.routes.as_json import as_json
from serve_apps.routes.queries import read_object
from serve_apps.services import services
from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.security import Action

router = APIRouter(tags=["sources"], dependencies=[Depends(allowed(Action.INGEST))])

_LONGEST = 255


@router.get("/v1/tenants/{tenant}/sources/{source}", summary="How far a source was read")
async def offset(request: Request, tenant: str, source: str) -> Response:
    """`offset` is whatever the loader last put here; null before that."""
    rows = await services(request).rows(tenant)
    found = await asyncio.to_thread(rows.source_offset, _checked(source))
    return as_json({"offset": found})


@router.put("/v1/tenants/{tenant}/sources/{source}", summary="Note how far a source was read", status_code=204)
async def note(request: Request, tenant: str, source: str) -> Response:
    """Put after the receipts of everything before `offset` (a string) arrived."""
    given = (await read_object(request)).get("offset")
    if not isinstance(given, str) or len(given) > _LONGEST:
        raise InvalidRequestError("offset", given, f"give a string of at most {_LONGEST} characters")
    rows = await services(request).rows(tenant)
    await asyncio.to_thread(rows.save_source_offset, _checked(source), given)
    return Response(status_code=204)


def _checked(source: str) -> str:
    if 0 < len(source) <= _LONGEST:
        return source
    raise InvalidRequestError("source", source, f"use 1 to {_LONGEST} characters")
