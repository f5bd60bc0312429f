"""`/healthz`: this process answers. `/readyz`: what it depends on answers too."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from starlette.responses import Response

from serve_apps.problems import problem
from serve_apps.readiness import OK
from serve_apps.routes.as_json import as_json
from serve_apps.services import services

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Whether this replica is alive")
async def healthz() -> Response:
    """Answers while the process does; says nothing of what it depends on."""
    return Response(b'{"status":"alive"}', media_type="application/json")


@router.get("/readyz", summary="Whether requests can be served", responses={503: {"description": "Not ready"}})
async def readyz(request: Request) -> Response:
    """Ready when the catalog and the tenant directory answer and the storage can be written to; asked once a second."""
    checks = await services(request).readiness.verdicts()
    if all(verdict == OK for verdict in checks.values()):
        return as_json({"status": "ready", "checks": checks})
    failed = ", ".join(name for name, verdict in checks.items() if verdict != OK)
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not-ready",
        f"not ready: {failed}",
        request.url.path,
        {"Retry-After": "1"},
        checks=checks,
        retry_after=1.0,
    )
