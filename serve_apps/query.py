"""The application at `/`: everything. `serve deploy` finds its builder here."""

# No `from __future__ import annotations` here: Serve looks at the type of `app`'s parameter to check `args`.

from fastapi import FastAPI
from ray import serve

from serve_apps.application import application
from serve_apps.routes import (
    datasets,
    events,
    health,
    hosts,
    keys,
    limits,
    models,
    quarantine,
    queries,
    shards,
    sources,
    tenants,
)
from serve_apps.settings import AppSettings

ROUTERS = (
    events.router,
    queries.router,
    datasets.router,
    models.router,
    quarantine.router,
    quarantine.replays,
    tenants.router,
    hosts.router,
    shards.router,
    limits.router,
    keys.router,
    sources.router,
    health.router,
)


class QueryApp:
    """One replica: Serve asks it for the ASGI application once it is constructed."""

    def __init__(self, settings: AppSettings) -> None:
        self._config = settings.load()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return application(self._config, ROUTERS, "Collect, keep, ask.")


def app(settings: AppSettings) -> serve.Application:
    """What `import_path: serve_apps.query:app` builds, from the `args` of the Serve configuration."""
    return serve.deployment(name="query")(serve.ingress()(QueryApp)).bind(settings)
