"""What a dataset refused, and collecting it again after a fix."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from serve_apps import examples
from serve_apps import receipts as receipts_form
from serve_apps.access import allowed
from serve_apps.refusals import Kind
from serve_apps.results import respond
from serve_apps.services import services
from tenancy.analytics.security import Action
from tenancy.analytics.types import DEFAULT_DATASET, dataset_name

router = APIRouter(tags=["quarantine"])
replays = APIRouter(tags=["quarantine"])

Dataset: TypeAlias = Annotated[str, Query(description="Whose refused rows")]


@router.get(
    "/v1/tenants/{tenant}/quarantine",
    summary="Rows that were refused and not collected since",
    dependencies=[Depends(allowed(Action.READ_QUARANTINE))],
    responses=examples.RESULT_RESPONSES,
)
async def quarantine(
    request: Request,
    tenant: str,
    dataset: Dataset = DEFAULT_DATASET,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before")] = None,
) -> Response:
    """Newest first, each with the code, field, value and remedy of its refusal and the row as it came."""
    held = services(request)
    with held.edge.minding(tenant, Kind.QUERYING):
        result = await held.tenant(tenant).quarantine(dataset_name(dataset), limit, cursor)
    return await respond(request, result)


@replays.post(
    "/v1/tenants/{tenant}/quarantine/replay",
    summary="Collect refused rows again",
    dependencies=[Depends(allowed(Action.REPLAY_QUARANTINE))],
    responses=examples.RECEIPTS_RESPONSES,
)
async def replay(
    request: Request,
    tenant: str,
    dataset: Dataset = DEFAULT_DATASET,
    limit: Annotated[int, Query(ge=1, le=100_000)] = 10_000,
) -> Response:
    """Oldest first, under the schema of now. Rows that are still wrong stay in quarantine."""
    held = services(request)
    with held.edge.minding(tenant, Kind.COLLECTING):
        receipts = await held.tenant(tenant).replay_quarantine(dataset_name(dataset), limit)
    return await receipts_form.respond(receipts)
