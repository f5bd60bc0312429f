"""The application at `/ingest`: the event routes alone, as a fleet of its own for heavy producers."""

# No `from __future__ import annotations` here: Serve looks at the type of `app`'s parameter to check `args`.

from fastapi import FastAPI
from ray import serve

from serve_apps.application import application
from serve_apps.routes import events, health, quarantine
from serve_apps.settings import AppSettings

ROUTERS = (events.router, quarantine.replays, health.router)


class IngestApp:
    """One replica: Serve asks it for the ASGI application once it is constructed."""

    def __init__(self, settings: AppSettings) -> None:
        self._config = settings.load()

    def __serve_build_asgi_app__(self) -> FastAPI:
        return application(self._config, ROUTERS, "Collect, in a fleet that scales by itself.")


def app(settings: AppSettings) -> serve.Application:
    """What `import_path: serve_apps.ingest:app` builds, from the `args` of the Serve configuration."""
    return serve.deployment(name="ingest")(serve.ingress()(IngestApp)).bind(settings)
