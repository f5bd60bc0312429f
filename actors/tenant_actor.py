"""The actor around `TenantHost`: one line a method, each in the concurrency group that keeps it responsive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import ray
from ray.actor import ActorClass

from actors.lean_process import hide

if TYPE_CHECKING:
    from actors.tenant_host import HostStatus
    from tenancy.analytics.collection import Payload
    from tenancy.analytics.config import AnalyticsConfig
    from tenancy.analytics.engine import DatasetInfo
    from tenancy.analytics.query import QueryResult
    from tenancy.analytics.schema import DatasetSchema
    from tenancy.analytics.types import DataSourceType, Receipts


class TenantServant:
    """`TenantHost`, reachable by actor calls. Arguments are given by position, which is what Ray can type."""

    def __init__(self, tenant: str, config: AnalyticsConfig) -> None:
        # What a host consists of is imported only once that is settled.
        hide("pandas")
        from actors.tenant_host import TenantHost

        self._host = TenantHost(tenant, config)

    @ray.method(concurrency_group="control")
    async def open(self) -> int:
        return await self._host.open()

    @ray.method(concurrency_group="ingest")
    async def collect(
        self, dataset: str, payload: Payload, source: DataSourceType, idempotency_key: str | None
    ) -> Receipts:
        return await self._host.collect(dataset, payload, source, idempotency_key)

    @ray.method(concurrency_group="ingest")
    async def replay_quarantine(self, dataset: str, limit: int) -> Receipts:
        return await self._host.replay_quarantine(dataset, limit)

    @ray.method(concurrency_group="query")
    async def query(self, request: Mapping[str, Any]) -> QueryResult:
        return await self._host.query(request)

    @ray.method(concurrency_group="query")
    async def explain(self, request: Mapping[str, Any]) -> str:
        return await self._host.explain(request)

    @ray.method(concurrency_group="query")
    async def quarantine(self, dataset: str, limit: int, cursor: str | None) -> QueryResult:
        return await self._host.quarantine(dataset, limit, cursor)

    @ray.method(concurrency_group="control")
    async def datasets(self) -> list[DatasetInfo]:
        return await self._host.datasets()

    @ray.method(concurrency_group="control")
    async def declare(self, schema: DatasetSchema) -> DatasetSchema:
        return await self._host.declare(schema)

    @ray.method(concurrency_group="control")
    async def model(self) -> str:
        return await self._host.model()

    @ray.method(concurrency_group="control")
    async def set_model(self, text: str) -> int:
        return await self._host.set_model(text)

    @ray.method(concurrency_group="control")
    async def flush(self) -> None:
        await self._host.flush()

    @ray.method(concurrency_group="control")
    async def status(self) -> HostStatus:
        return await self._host.status()

    @ray.method(concurrency_group="control")
    async def retire(self, idle_seconds: float) -> bool:
        return await self._host.retire(idle_seconds)


# Calls of one group that run at once; the rest wait in the actor. Collection is cheap to hold, since admission
# inside the host refuses what is too much; queries hold a thread each.
_GROUPS = {"ingest": 256, "query": 32, "control": 64}

# A host that died is replaced by the directory under a higher epoch, never restarted by Ray.
# Ray's own stubs do not know `concurrency_groups`; the annotation keeps the methods typed.
TenantActor: ActorClass[TenantServant] = ray.remote(num_cpus=0, max_restarts=0, concurrency_groups=_GROUPS)(  # type: ignore[call-overload]
    TenantServant
)
