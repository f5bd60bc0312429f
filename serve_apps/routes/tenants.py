"""Registering, listing and deleting tenants: for operators."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from serve_apps.access import allowed, operator
from serve_apps.routes.as_json import as_json
from serve_apps.routes.queries import read_object
from serve_apps.services import services
from tenancy.analytics.security import Action
from tenancy.analytics.storage.catalog import TenantRecord
from tenancy.analytics.types import tenant_id

router = APIRouter(tags=["tenants"])


@router.get("/v1/tenants", summary="List tenants", dependencies=[Depends(operator)])
async def tenants(
    request: Request,
    after: Annotated[str, Query(description="The last id of the page before")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> Response:
    """In order of id; a page as long as `limit` may have a next one."""
    found = await services(request).directory.tenants(after, limit)
    return as_json({"tenants": [_plain(record) for record in found]})


@router.put(
    "/v1/tenants/{tenant}",
    summary="Register a tenant",
    dependencies=[Depends(operator)],
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": {"type": "object"}, "example": {}}}}},
)
async def register(request: Request, tenant: str) -> Response:
    """With a key of its own, and ready for events at once. Repeated with the same configuration, nothing changes.

    The body may hold the tenant's configuration: `datasets` to declare, and a `model`.
    """
    given = await read_object(request, may_be_empty=True)
    return as_json(_plain(await services(request).directory.register(tenant_id(tenant), given)))


@router.get("/v1/tenants/{tenant}", summary="One tenant", dependencies=[Depends(allowed(Action.MANAGE_KEYS))])
async def tenant_record(request: Request, tenant: str) -> Response:
    """Its settings and when it was registered."""
    rows = await services(request).rows(tenant)
    return as_json(_plain(await asyncio.to_thread(rows.record)))


@router.delete("/v1/tenants/{tenant}", summary="Delete a tenant", status_code=204, dependencies=[Depends(operator)])
async def delete(request: Request, tenant: str) -> Response:
    """Its key is destroyed first, so from that moment no copy of its data can be read, backups included."""
    held = services(request)
    await held.directory.delete(tenant_id(tenant))
    held.forget(tenant)
    return Response(status_code=204)


def _plain(record: TenantRecord) -> dict[str, Any]:
    return {"id": record.id, "settings": dict(record.settings), "created_at": record.created_at}
