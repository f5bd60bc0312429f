"""`/healthz`: this process answers. `/readyz`: what it depends on answers too."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from serve_apps.problems import problem
from serve_apps.services import services

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Whether this replica is alive")
async def healthz() -> Response:
    """Answers while the process does; says nothing of what it depends on."""
    return Response(b'{"status":"alive"}', media_type="application/json")


@router.get("/readyz", summary="Whether requests can be served", responses={503: {"description": "Not ready"}})
async def readyz(request: Request) -> Response:
    """Ready when the catalog answers and the storage can be written to."""
    checks = await services(request).readiness()
    if all(verdict == "ok" for verdict in checks.values()):
        return Response(orjson.dumps({"status": "ready", "checks": checks}), media_type="application/json")
    failed = ", ".join(name for name, verdict in checks.items() if verdict != "ok")
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "not-ready",
        f"not ready: {failed}",
        request.url.path,
        {"Retry-After": "1"},
        checks=checks,
        retry_after=1.0,
    )
