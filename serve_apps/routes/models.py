"""The semantic model of a tenant: what its measures and dimensions mean."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from serve_apps.access import allowed
from serve_apps.bodies import read_body
from serve_apps.routes.as_json import as_json
from serve_apps.services import services
from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.security import Action

router = APIRouter(tags=["model"])

_LARGEST_MODEL = 1024 * 1024
_TOO_LARGE = "keep a model within 1 MiB: leave out what holds by convention"
_YAML = "application/yaml"

_MODEL_BODY: dict[str, Any] = {
    "required": True,
    "content": {_YAML: {"schema": {"type": "string"}}, "application/json": {"schema": {"type": "object"}}},
}


@router.get("/v1/tenants/{tenant}/model", summary="The semantic model", dependencies=[Depends(allowed(Action.QUERY))])
async def model(request: Request, tenant: str) -> Response:
    """The model in use, as YAML."""
    return Response(await services(request).tenant(tenant).model(), media_type=_YAML)


@router.put(
    "/v1/tenants/{tenant}/model",
    summary="Set the semantic model",
    dependencies=[Depends(allowed(Action.CHANGE_MODEL))],
    openapi_extra={"requestBody": _MODEL_BODY},
)
async def set_model(request: Request, tenant: str) -> Response:
    """Checks the YAML (or JSON) document and makes it the model of every later query; answers with its version."""
    body = await read_body(request, _LARGEST_MODEL, _TOO_LARGE)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestError("body", str(error), "send UTF-8") from None
    version = await services(request).tenant(tenant).set_model(text)
    return as_json({"version": version})
