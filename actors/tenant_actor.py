"""The actor around `TenantHost`: one line a method, each in the concurrency group that keeps it responsive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import ray
from ray.actor import ActorClass

from actors.lean_process import give_back_memory, hide
from actors.termination import Termination

if TYPE_CHECKING:
    from actors.tenant_host import HostStatus, TenantStatus
    from tenancy.analytics.collection import Payload
    from tenancy.analytics.collection.portion import Portion
    from tenancy.analytics.config import AnalyticsConfig
    from tenancy.analytics.engine import DatasetInfo
    from tenancy.analytics.engine.limits import Standing
    from tenancy.analytics.engine.sharding.shard import PartAnswer, ShardCall, Union
    from tenancy.analytics.query import QueryResult
    from tenancy.analytics.query.parts import PartOfAnswer
    from tenancy.analytics.query.plan import Plan
    from tenancy.analytics.schema import DatasetSchema
    from tenancy.analytics.types import DataSourceType, Receipts


_LET_GO_S = 25.0
"""After SIGTERM; orchestrators commonly send SIGKILL half a minute later."""


class TenantServant:
    """`TenantHost`, reachable by actor calls. Arguments are given by position, which is what Ray can type.

    At SIGTERM it is drained: its tenants are served elsewhere while it writes them out, then its process ends.
    """

    _termination: Termination

    def __new__(cls, *_: object) -> Self:
        made = super().__new__(cls)
        made._termination = Termination(_LET_GO_S)
        return made

    def __init__(self, name: str, config: AnalyticsConfig) -> None:
        # What a host consists of is imported only once that is settled.
        hide("pandas")
        give_back_memory()
        from actors.tenant_host import TenantHost

        self._host = TenantHost(name, config, node=ray.get_runtime_context().get_node_id())
        self._termination.on_request(self._host.close)

    @ray.method(concurrency_group="control")
    async def open(self, tenant: str) -> int:
        return await self._host.open(tenant)

    @ray.method(concurrency_group="control")
    async def serves(self, tenant: str) -> int | None:
        return await self._host.serves(tenant)

    @ray.method(concurrency_group="ingest")
    async def collect(
        self, tenant: str, dataset: str, payload: Payload, source: DataSourceType, idempotency_key: str | None
    ) -> Receipts:
        return await self._host.collect(tenant, dataset, payload, source, idempotency_key)

    @ray.method(concurrency_group="ingest")
    async def collect_part(
        self,
        tenant: str,
        dataset: str,
        payload: Payload,
        source: DataSourceType,
        idempotency_key: str,
        portion: Portion,
    ) -> PartAnswer:
        return await self._host.collect_part(tenant, dataset, payload, source, idempotency_key, portion)

    @ray.method(concurrency_group="ingest")
    async def replay_quarantine(self, tenant: str, dataset: str, limit: int, layout: int) -> Receipts:
        return await self._host.replay_quarantine(tenant, dataset, limit, layout)

    @ray.method(concurrency_group="query")
    async def ask_shard(self, tenant: str, call: ShardCall[Any]) -> Any:
        return await self._host.ask_shard(tenant, call)

    @ray.method(concurrency_group="query")
    async def query(self, tenant: str, request: Mapping[str, Any], union: Union) -> QueryResult:
        return await self._host.query(tenant, request, union)

    @ray.method(concurrency_group="query")
    async def part(self, tenant: str, plan: Plan, layout: int) -> PartOfAnswer | None:
        return await self._host.part(tenant, plan, layout)

    @ray.method(concurrency_group="query")
    async def whole(
        self, tenant: str, request: Mapping[str, Any], plan: Plan, parts: Sequence[PartOfAnswer]
    ) -> QueryResult:
        return await self._host.whole(tenant, request, plan, parts)

    @ray.method(concurrency_group="query")
    async def explain(self, tenant: str, request: Mapping[str, Any], union: Union) -> str:
        return await self._host.explain(tenant, request, union)

    @ray.method(concurrency_group="query")
    async def quarantine(self, tenant: str, dataset: str, limit: int, cursor: str | None, union: Union) -> QueryResult:
        return await self._host.quarantine(tenant, dataset, limit, cursor, union)

    @ray.method(concurrency_group="control")
    async def datasets(self, tenant: str, layout: int) -> list[DatasetInfo]:
        return await self._host.datasets(tenant, layout)

    @ray.method(concurrency_group="control")
    async def declare(self, tenant: str, schema: DatasetSchema, layout: int) -> DatasetSchema:
        return await self._host.declare(tenant, schema, layout)

    @ray.method(concurrency_group="control")
    async def model(self, tenant: str) -> str:
        return await self._host.model(tenant)

    @ray.method(concurrency_group="control")
    async def set_model(self, tenant: str, text: str) -> int:
        return await self._host.set_model(tenant, text)

    @ray.method(concurrency_group="control")
    async def flush(self, tenant: str) -> None:
        await self._host.flush(tenant)

    @ray.method(concurrency_group="control")
    async def read_limits(self, tenant: str) -> None:
        await self._host.read_limits(tenant)

    @ray.method(concurrency_group="control")
    async def standings(self, tenant: str) -> tuple[Standing, ...] | None:
        return await self._host.standings(tenant)

    @ray.method(concurrency_group="control")
    async def tenant_status(self, tenant: str) -> TenantStatus:
        return await self._host.tenant_status(tenant)

    @ray.method(concurrency_group="health")
    async def status(self) -> HostStatus:
        return await self._host.status()

    @ray.method(concurrency_group="health")
    async def beat(self) -> str:
        return await self._host.beat()

    @ray.method(concurrency_group="control")
    async def retire(self, idle_seconds: float) -> list[str]:
        return await self._host.retire(idle_seconds)

    @ray.method(concurrency_group="control")
    async def release(self, tenant: str) -> None:
        await self._host.release(tenant)

    @ray.method(concurrency_group="control")
    async def drain(self) -> list[str]:
        return await self._host.drain()

    @ray.method(concurrency_group="control")
    async def drain_if_empty(self) -> bool:
        return await self._host.drain_if_empty()


# Calls of one group that run at once; the rest wait in the actor. Collection is cheap to hold, since admission
# inside the host refuses what is too much, and queries wait for their turn in its fair queue. Health has a group of
# its own, so that a host is not taken for dead because it is busy.
_GROUPS = {"ingest": 1024, "query": 1024, "control": 256, "health": 4}

# A host that died is replaced by the directory under a higher epoch, never restarted by Ray.
# Ray's own stubs do not know `concurrency_groups`; the annotation keeps the methods typed.
TenantActor: ActorClass[TenantServant] = ray.remote(num_cpus=0, max_restarts=0, concurrency_groups=_GROUPS)(  # type: ignore[call-overload]
    TenantServant
)
