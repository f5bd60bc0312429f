"""Composes routers into an application: its errors, its documentation, and the services it lives with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI

from serve_apps import examples, problems
from serve_apps.services import Services
from tenancy.analytics.config import AnalyticsConfig

TITLE = "Multi-tenant analytics"


def application(
    config: AnalyticsConfig,
    routers: Sequence[APIRouter],
    description: str,
    open_services: Callable[[AnalyticsConfig], Services] = Services.open,
) -> FastAPI:
    """An application of `routers`. Its services are opened when it starts and closed when it ends."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = await asyncio.to_thread(open_services, config)
        app.state.services = services
        accounts = asyncio.create_task(services.edge.settle_forever())
        try:
            yield
        finally:
            accounts.cancel()
            await asyncio.to_thread(services.close)

    app = FastAPI(
        title=TITLE,
        description=description,
        lifespan=lifespan,
        responses=examples.PROBLEM_RESPONSES,
        # A slash too many is an unknown path: a redirect would lose the body of a POST in many clients.
        redirect_slashes=False,
    )
    problems.install(app)
    for router in routers:
        app.include_router(router)
    return app
