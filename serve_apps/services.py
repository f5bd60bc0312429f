"""What the routes work with: handles of tenants, the directory, the catalog and the keys, opened once a replica."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from starlette.requests import Request

from actors.directory_handle import DirectoryHandle
from actors.placement import HostCondition
from actors.tenant_handle import TenantHandle
from actors.turns import Turns
from serve_apps.edge import Edge
from serve_apps.readiness import BlockingProbe, Readiness
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.errors import UnavailableError
from tenancy.analytics.security import ApiKeys
from tenancy.analytics.storage.catalog import Catalog, TenantCatalog
from tenancy.analytics.storage.probing import probe_storage

_MOST_HANDLES = 10_000


@dataclass(frozen=True, slots=True)
class Services:
    """Everything one replica holds. A handle is small: it remembers where its tenant is served."""

    config: AnalyticsConfig
    catalog: Catalog
    keys: ApiKeys
    directory: DirectoryHandle
    readiness: Readiness
    edge: Edge
    turns: Turns
    _handles: OrderedDict[str, TenantHandle] = field(default_factory=OrderedDict)

    @classmethod
    def open(cls, config: AnalyticsConfig, directory: DirectoryHandle | None = None) -> Self:
        """Connects to the catalog; tenants and their hosts are found when they are asked for."""
        catalog = Catalog.open(config.storage)
        directory = directory or DirectoryHandle(config)
        probes: dict[str, Callable[[], Awaitable[object]]] = {
            "catalog": BlockingProbe("catalog", catalog.probe),
            "storage": BlockingProbe("storage", partial(probe_storage, config.storage)),
            "hosts": partial(_some_host, directory),
        }
        return cls(
            config,
            catalog,
            ApiKeys(
                catalog,
                cache_seconds=config.security.api_key_cache_seconds,
                grace_seconds=config.storage.catalog_grace_seconds,
            ),
            directory,
            Readiness(probes),
            Edge(config.limits, lambda tenant, addition: catalog.tenant(tenant).add_usage(addition)),
            Turns(config.limits.collecting_at_once),
        )

    def tenant(self, tenant: str) -> TenantHandle:
        """The handle of a tenant. Whether the tenant exists turns out when it is asked something."""
        handle = self._handles.get(tenant)
        if handle is None:
            handle = self._handles[tenant] = TenantHandle(tenant, self.config, self.directory)
            if len(self._handles) > _MOST_HANDLES:
                self._handles.popitem(last=False)
        else:
            self._handles.move_to_end(tenant)
        return handle

    def forget(self, tenant: str) -> None:
        """Drop the handle of a tenant that was deleted."""
        self._handles.pop(tenant, None)
        self.edge.forget(tenant)

    async def rows(self, tenant: str) -> TenantCatalog:
        """The tenant's rows of the catalog. Raises UnknownNameError with near matches."""
        return await asyncio.to_thread(self.catalog.tenant, tenant)

    def close(self) -> None:
        self.edge.close()
        self.catalog.close()


def services(request: Request) -> Services:
    """The services of the application that answers `request`."""
    found: Any = request.app.state.services
    assert isinstance(found, Services)
    return found


async def _some_host(directory: DirectoryHandle) -> None:
    """The directory answers, and a host serves or none is needed yet: the first call starts one."""
    hosts = await directory.hosts()
    if hosts and not any(host.condition is HostCondition.SERVING for host in hosts):
        raise UnavailableError("every host", ", ".join(f"{host.name} is {host.condition}" for host in hosts))
