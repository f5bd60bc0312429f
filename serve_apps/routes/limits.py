"""What a tenant may use, and what it used."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from serve_apps.access import allowed, operator
from serve_apps.routes.as_json import as_json
from serve_apps.routes.queries import read_object
from serve_apps.services import services
from tenancy.analytics.config import LimitsConfig
from tenancy.analytics.engine.limits import Standing, TenantLimits
from tenancy.analytics.engine.limits.usage import CPU_US, MEMORY
from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.security import Action
from tenancy.analytics.storage.catalog import UsageRow
from tenancy.analytics.types import tenant_id

router = APIRouter(tags=["limits"])

_LONGEST = timedelta(days=366)
_LIMITS: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": TenantLimits.model_json_schema(),
            "example": {"events_per_second": 1000, "queries_per_second": 20, "stored_bytes": 10_000_000_000},
        }
    },
}


@router.get(
    "/v1/tenants/{tenant}/limits",
    summary="What a tenant may use",
    dependencies=[Depends(allowed(Action.LIST_DATASETS))],
)
async def limits(request: Request, tenant: str) -> Response:
    """`limits` is what holds; `given` what was set for this tenant, the rest being that of every tenant."""
    held = services(request)
    record = await asyncio.to_thread((await held.rows(tenant)).record)
    own = TenantLimits.load(record.settings.get("limits", {}) if record.limits is None else record.limits)
    return as_json(_whole(own, held.config.limits))


@router.put(
    "/v1/tenants/{tenant}/limits",
    summary="Change what a tenant may use",
    dependencies=[Depends(operator)],
    openapi_extra={"requestBody": _LIMITS},
)
async def set_limits(request: Request, tenant: str) -> Response:
    """All of its limits anew; one that is left out is that of every tenant, null is no limit.

    They hold at once; a replica that has just passed on a refusal repeats it for `limits.remembered_seconds` at most.
    """
    held = services(request)
    own = TenantLimits.load(await read_object(request, may_be_empty=True))
    await held.directory.set_limits(tenant_id(tenant), own.given())
    held.edge.forget(tenant)
    return as_json(_whole(own, held.config.limits))


@router.get(
    "/v1/tenants/{tenant}/usage",
    summary="What a tenant used",
    dependencies=[Depends(allowed(Action.LIST_DATASETS))],
)
async def usage(
    request: Request,
    tenant: str,
    start: Annotated[datetime | None, Query(alias="from", description="The last 24 hours where not given")] = None,
    end: Annotated[datetime | None, Query(alias="to", description="Now where not given")] = None,
) -> Response:
    """By the hour, up to this moment, and how the tenant stands with each of its limits. Wakes no cold tenant."""
    now = datetime.now(UTC)
    until = _aware(end) if end is not None else now
    since = _aware(start) if start is not None else until - timedelta(hours=23)
    since = since.replace(minute=0, second=0, microsecond=0)
    if not timedelta(0) <= until - since <= _LONGEST:
        raise InvalidRequestError(
            "from", since.isoformat(), f"give a time before 'to', by {_LONGEST.days} days at most"
        )
    held = services(request)
    rows = await held.rows(tenant)
    standings = await held.directory.standings(tenant)  # first, for the running engine settles its accounts then
    found, stored = await asyncio.to_thread(lambda: (rows.usage(since, until), rows.stored_bytes()))
    return as_json(
        {
            "from": since,
            "to": until,
            "stored_bytes": stored,
            "hours": _by_hour(found),
            "limits": None if standings is None else [_plain(standing) for standing in standings],
        }
    )


def _by_hour(rows: list[UsageRow]) -> list[dict[str, Any]]:
    hours: defaultdict[datetime, dict[str, Any]] = defaultdict(dict)
    for row in rows:
        hour = hours[row.hour]
        kind, _, limit = row.what.partition(".")
        match row.what:
            case _ if limit:
                hour.setdefault(kind, {})[limit] = row.amount
            case _ if row.what == CPU_US:
                hour["cpu_seconds"] = row.amount / 1e6
            case _ if row.what == MEMORY:
                hour["cache_mb_hours"] = row.amount / (1e6 * 3600e3)
            case _:
                hour[row.what] = row.amount
    return [{"hour": hour, **used} for hour, used in sorted(hours.items())]


def _whole(own: TenantLimits, defaults: LimitsConfig) -> dict[str, Any]:
    return {"limits": own.over(defaults).model_dump(mode="json"), "given": own.given()}


def _plain(standing: Standing) -> dict[str, Any]:
    return {"limit": standing.limit, "allowed": standing.allowed, "used": standing.used, "retry_after": standing.wait_s}


def _aware(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
