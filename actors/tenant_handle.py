"""What callers hold of a tenant: typed calls that find where it is served, outlive that, and count exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from actors.directory_handle import DirectoryHandle
from actors.placement import pauses
from actors.shard_handle import ShardHandle
from actors.tenant_directory import Sleep
from actors.tenant_host import TenantStatus
from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import DatasetInfo
from tenancy.analytics.engine.sharding.sharded import ShardedTenant
from tenancy.analytics.errors import StaleLayoutError
from tenancy.analytics.query import QueryResult
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.types import DataSourceType, Receipts, made_key, shard_name

T = TypeVar("T")


class TenantHandle:
    """One tenant, wherever it is served, and on however many shards.

    A call whose host is gone, fenced off or unreachable is repeated on the next host, for
    `placement.call_timeout_seconds`; then UnavailableError is raised. Collecting carries an idempotency key
    (one is made where the caller has none), so a repeated call is counted once. Until a host says otherwise the
    tenant is taken to have one shard; whose layout is over asks the directory for the one of now.
    """

    def __init__(
        self,
        tenant: str,
        config: AnalyticsConfig,
        directory: DirectoryHandle | None = None,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.tenant = tenant
        self._config = config
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._directory = directory or DirectoryHandle(config, self._clock, sleep)
        self._alone = self._shard(0)
        self._sharded: ShardedTenant | None = None

    async def collect(
        self,
        dataset: str,
        payload: Payload,
        *,
        source: DataSourceType = DataSourceType.API,
        idempotency_key: str | None = None,
    ) -> Receipts:
        """Collect one batch; returns when what was accepted is durable and queryable."""
        key = idempotency_key or made_key(self._clock.now())
        again = False

        async def alone(shard: ShardHandle) -> Receipts:
            nonlocal again
            try:
                return await shard.collect(dataset, payload, source, key)
            finally:
                again = True  # whatever came of it, a later layout has to look what was answered

        async def sharded(whole: ShardedTenant) -> Receipts:
            nonlocal again
            chosen = idempotency_key is not None
            try:
                return await whole.collect(dataset, payload, source, key, chosen=chosen, again=again)
            finally:
                again = True

        return await self._ask(alone, sharded)

    async def query(self, request: Mapping[str, Any]) -> QueryResult:
        """The answer to `request`, over everything acknowledged so far."""
        return await self._ask(lambda shard: shard.query(request), lambda whole: whole.query(request))

    async def explain(self, request: Mapping[str, Any]) -> str:
        """The plan of `request` as text; it is not executed."""
        return await self._ask(lambda shard: shard.explain(request), lambda whole: whole.explain(request))

    async def datasets(self) -> list[DatasetInfo]:
        """What the tenant has."""
        return await self._ask(lambda shard: shard.datasets(), lambda whole: whole.datasets())

    async def declare(self, schema: DatasetSchema) -> DatasetSchema:
        """Declare a dataset, or change what is declared of it; returns the schema as it is now."""
        return await self._ask(lambda shard: shard.declare(schema), lambda whole: whole.declare(schema))

    async def model(self) -> str:
        """The semantic model as YAML."""
        return await self._alone.model()

    async def set_model(self, text: str) -> int:
        """Make the YAML (or JSON) `text` the semantic model; returns its version."""
        return await self._alone.set_model(text)

    async def quarantine(self, dataset: str, limit: int = 100, cursor: str | None = None) -> QueryResult:
        """What `dataset` refused and was not collected since, newest first, in pages."""
        return await self._ask(
            lambda shard: shard.quarantine(dataset, limit, cursor),
            lambda whole: whole.quarantine(dataset, limit, cursor),
        )

    async def replay_quarantine(self, dataset: str, limit: int = 10_000) -> Receipts:
        """Collect up to `limit` quarantined rows again, oldest first, under the schema of now."""
        return await self._ask(
            lambda shard: shard.replay_quarantine(dataset, limit), lambda whole: whole.replay_quarantine(dataset, limit)
        )

    async def flush(self) -> None:
        """Write what is buffered into segments. Nothing depends on it: what is acknowledged is durable."""
        await self._ask(lambda shard: shard.flush(), lambda whole: whole.flush())

    async def status(self) -> TenantStatus:
        """How the tenant (of a sharded one, its first shard) is, and on which host; wakes a cold tenant."""
        return await self._alone.status()

    async def _ask(
        self, alone: Callable[[ShardHandle], Awaitable[T]], sharded: Callable[[ShardedTenant], Awaitable[T]]
    ) -> T:
        deadline = self._clock.monotonic() + self._config.placement.call_timeout_seconds
        for pause in pauses():
            whole = self._sharded
            try:
                return await (alone(self._alone) if whole is None else sharded(whole))
            except StaleLayoutError:
                if self._clock.monotonic() + pause >= deadline:
                    raise
                if self._sharded is whole:  # or another call has asked already
                    await self._refresh()
                    continue
            await self._sleep(pause)
        raise AssertionError("pauses never end")

    async def _refresh(self) -> None:
        layouts = await self._directory.layouts(self.tenant)
        made = ShardedTenant(self.tenant, layouts, self._shard, self._config, self._clock)
        self._sharded = made if made.layout.version else None

    def _shard(self, index: int) -> ShardHandle:
        return ShardHandle(shard_name(self.tenant, index), self._config, self._directory, self._clock, self._sleep)
