"""Which host serves whom, and moving tenants between hosts by hand: for operators."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from actors.placement import HostSight, dedicated_name, dedicated_to
from serve_apps.access import operator
from serve_apps.routes.as_json import as_json
from serve_apps.routes.queries import read_object
from serve_apps.services import services
from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.types import tenant_id

router = APIRouter(tags=["hosts"], dependencies=[Depends(operator)])

_MOVE = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["host"],
                "properties": {"host": {"type": "string", "description": "`shared-<n>`, or `dedicated`"}},
            },
            "example": {"host": "dedicated"},
        }
    },
}


@router.get("/v1/hosts", summary="List hosts")
async def hosts(request: Request) -> Response:
    """Every running host, with its tenants, their work in cores and their memory, looked at now."""
    found = await services(request).directory.hosts()
    return as_json({"hosts": [_plain(sight) for sight in found]})


@router.post("/v1/hosts/{host}/drain", summary="Drain a host")
async def drain(request: Request, host: str) -> Response:
    """Its tenants are written out, the process ends, and each tenant is placed anew with its next call."""
    return as_json({"host": host, "released": await services(request).directory.drain(host)})


@router.put("/v1/tenants/{tenant}/placement", summary="Move a tenant", openapi_extra={"requestBody": _MOVE})
async def move(request: Request, tenant: str) -> Response:
    """To a shared host, or to one of its own. Calls in flight are repeated there and count once.

    The placement of now, not a rule: a tenant that does little on a host of its own goes back to a shared one.
    """
    given = await read_object(request)
    host = _host_named(given.get("host"), tenant_id(tenant))
    placement = await services(request).directory.move(tenant, host)
    return as_json({"tenant": tenant, "host": placement.name, "epoch": placement.epoch})


def _host_named(given: object, tenant: str) -> str:
    if given == "dedicated":
        return dedicated_name(tenant)
    if isinstance(given, str):
        number = given.removeprefix("shared-")
        if dedicated_to(given) == tenant or (number != given and number.isascii() and number.isdecimal()):
            return given
    raise InvalidRequestError("host", given, "give 'dedicated', or a shared host such as 'shared-0'")


def _plain(sight: HostSight) -> dict[str, Any]:
    return {**asdict(sight), "tenants": [asdict(tenant) for tenant in sight.tenants]}
