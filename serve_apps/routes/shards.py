"""Over how many shards a tenant is spread: for operators."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from serve_apps.access import operator
from serve_apps.routes.as_json import as_json
from serve_apps.routes.queries import read_object
from serve_apps.services import services
from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.storage.catalog import ShardLayout
from tenancy.analytics.types import tenant_id

router = APIRouter(tags=["hosts"], dependencies=[Depends(operator)])

_SHARDS = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["shards"],
                "properties": {
                    "shards": {"type": "integer", "minimum": 1, "maximum": 99},
                    "keys": {
                        "type": "object",
                        "additionalProperties": {"type": "string"},
                        "description": "By dataset, the field whose hash says where a row belongs; else `user_id`",
                    },
                },
            },
            "example": {"shards": 4},
        }
    },
}


@router.get("/v1/tenants/{tenant}/shards", summary="The shards of a tenant")
async def shards(request: Request, tenant: str) -> Response:
    """Over how many shards its rows are spread now; one, for a tenant that one host can serve."""
    layouts = await services(request).directory.layouts(tenant_id(tenant))
    return as_json(_plain(tenant, layouts[-1]))


@router.put("/v1/tenants/{tenant}/shards", summary="Reshard a tenant", openapi_extra={"requestBody": _SHARDS})
async def reshard(request: Request, tenant: str) -> Response:
    """Spread what it collects from now on over so many shards. Calls wait meanwhile, and count once.

    What is stored stays where it is, and every query reads all of it.
    """
    given = await read_object(request)
    unknown = sorted(given.keys() - {"shards", "keys"})
    if unknown:
        raise InvalidRequestError(unknown[0], given[unknown[0]], "give 'shards', and 'keys' if need be")
    number, keys = given.get("shards"), given.get("keys", {})
    if not isinstance(number, int) or isinstance(number, bool):
        raise InvalidRequestError("shards", number, "give a whole number from 1 to 99")
    if not isinstance(keys, dict) or not all(isinstance(field, str) and field for field in keys.values()):
        raise InvalidRequestError("keys", keys, "give the name of a field for each dataset")
    layout = await services(request).directory.reshard(tenant_id(tenant), number, keys)
    return as_json(_plain(tenant, layout))


def _plain(tenant: str, layout: ShardLayout) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "shards": layout.shards,
        "members": layout.members,
        "keys": dict(layout.keys),
        "version": layout.version,
    }
