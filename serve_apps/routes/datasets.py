"""What a tenant has: its datasets, and declaring one."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import APIRouter, Depends, Request
from pydantic import ValidationError
from starlette.responses import Response

from serve_apps.access import allowed
from serve_apps.routes.as_json import as_json
from serve_apps.routes.queries import read_object
from serve_apps.services import services
from tenancy.analytics.errors import InvalidRequestError, near
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.security import Action
from tenancy.analytics.types import dataset_name

router = APIRouter(tags=["datasets"])

_DECLARATION: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"type": "object", "additionalProperties": True},
            "examples": {
                "events": {
                    "value": {
                        "fields": {
                            "action": {"type": "string", "required": True, "enum": ["play_song", "skip_song"]},
                            "duration": {"type": "integer", "minimum": 0},
                        }
                    }
                },
                "dimension": {"value": {"kind": "dimension", "key": "song_id"}},
            },
        }
    },
}


@router.get(
    "/v1/tenants/{tenant}/datasets", summary="List datasets", dependencies=[Depends(allowed(Action.LIST_DATASETS))]
)
async def datasets(request: Request, tenant: str) -> Response:
    """Every dataset with its kind, columns, stored and quarantined rows, and newest event."""
    found = await services(request).tenant(tenant).datasets()
    return as_json({"datasets": [dataclasses.asdict(info) for info in found]})


@router.put(
    "/v1/tenants/{tenant}/datasets/{dataset}",
    summary="Declare a dataset",
    dependencies=[Depends(allowed(Action.CHANGE_DATASETS))],
    openapi_extra={"requestBody": _DECLARATION},
)
async def declare(request: Request, tenant: str, dataset: str) -> Response:
    """Declares the columns and rules of a dataset, or changes them; answers with the schema as it is now."""
    schema = _schema(dataset_name(dataset), await read_object(request))
    declared = await services(request).tenant(tenant).declare(schema)
    return Response(declared.model_dump_json(), media_type="application/json")


def _schema(name: str, given: dict[str, Any]) -> DatasetSchema:
    if given.setdefault("name", name) != name:
        raise InvalidRequestError("name", given["name"], f"leave it out, or give {name!r} as in the path")
    try:
        return DatasetSchema.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = [str(part) for part in first["loc"]]
        close = near(path[-1], DatasetSchema.model_fields) if first["type"] == "extra_forbidden" else ()
        remedy = f"did you mean {close[0]!r}?" if close else first["msg"].removeprefix("Value error, ")
        raise InvalidRequestError(".".join(path) or "schema", first["input"], remedy) from None
