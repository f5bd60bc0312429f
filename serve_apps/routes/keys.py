"""API keys of a tenant: made, listed, revoked. With the tenant `*`, those of the installation, for operators."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from serve_apps.access import allowed
from serve_apps.routes.as_json import as_json
from serve_apps.routes.queries import read_object
from serve_apps.services import services
from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.security import Action, ApiKey

router = APIRouter(tags=["keys"], dependencies=[Depends(allowed(Action.MANAGE_KEYS))])

_LONGEST_LABEL = 200
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["roles"],
                "properties": {
                    "roles": {"type": "array", "items": {"enum": ["admin", "writer", "analyst"]}, "minItems": 1},
                    "label": {"type": "string", "maxLength": _LONGEST_LABEL},
                },
            },
            "example": {"roles": ["analyst"], "label": "notebook"},
        }
    },
}


@router.post(
    "/v1/tenants/{tenant}/keys", summary="Create an API key", status_code=201, openapi_extra={"requestBody": _BODY}
)
async def create(request: Request, tenant: str) -> Response:
    """The answer's `key` is what to send; it is shown this once, since only a hash of it is kept."""
    given = await read_object(request)
    roles, label = given.get("roles"), given.get("label", "")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise InvalidRequestError("roles", roles, 'give a list such as ["analyst"]')
    if not isinstance(label, str) or len(label) > _LONGEST_LABEL:
        raise InvalidRequestError("label", label, f"give text of at most {_LONGEST_LABEL} characters")
    made = await asyncio.to_thread(services(request).keys.create, tenant, roles, label)
    body = orjson.dumps({**_plain(made.key), "key": made.text})
    return Response(body, 201, {"Cache-Control": "no-store"}, "application/json")


@router.get("/v1/tenants/{tenant}/keys", summary="List API keys")
async def keys(request: Request, tenant: str) -> Response:
    """Revoked ones too, oldest first; never what their holders send."""
    found = await asyncio.to_thread(services(request).keys.list, tenant)
    return as_json({"keys": [_plain(key) for key in found]})


@router.delete("/v1/tenants/{tenant}/keys/{id}", summary="Revoke an API key", status_code=204)
async def revoke(request: Request, tenant: str, id: str) -> Response:
    """It opens nothing any more, here at once and at other replicas within `security.api_key_cache_seconds`."""
    await asyncio.to_thread(services(request).keys.revoke, tenant, id)
    return Response(status_code=204)


def _plain(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "roles": sorted(key.roles),
        "label": key.label,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
    }
