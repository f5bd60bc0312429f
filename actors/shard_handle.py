"""One shard of a tenant, wherever it is served: typed calls that find its host, outlive it, and count once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ray import ObjectRef

from actors.answers import answer
from actors.directory_handle import DirectoryHandle, patiently
from actors.fleet import TenantHostActor
from actors.tenant_directory import Placement, Sleep
from actors.tenant_host import TenantStatus
from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.collection import Payload
from tenancy.analytics.collection.portion import Portion
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import DatasetInfo
from tenancy.analytics.engine.sharding.shard import ALONE, PartAnswer, ShardCall, Union
from tenancy.analytics.errors import CatalogUnavailableError, StaleOwnerError, UnavailableError
from tenancy.analytics.query import QueryResult
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.types import DataSourceType, Receipts

if TYPE_CHECKING:
    from tenancy.analytics.query.parts import PartOfAnswer
    from tenancy.analytics.query.plan import Plan

T = TypeVar("T")

_ASK_S = 5.0
"""How long the directory may take to say where a tenant is, while an answer of its host is waited for."""

_GRACE_S = 10.0
"""Beyond its own time limit, how long a query may take to say that it was stopped."""


class ShardHandle:
    """One shard, wherever it is served. A tenant that is not sharded is its own only shard.

    A call whose host is gone, fenced off or unreachable is repeated on the next host, for
    `placement.call_timeout_seconds`; then UnavailableError is raised. Collecting carries an idempotency key,
    so a repeated call is counted once.
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
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._directory = directory or DirectoryHandle(config, self._clock, sleep)
        self._patience_s = config.placement.call_timeout_seconds
        # A host that hangs is given up early enough to ask the next one.
        self._answer_s = config.placement.call_timeout_seconds / 4
        self._query_s = config.performance.query_timeout_seconds + _GRACE_S
        self._placement: Placement | None = None
        self._doubted: int | None = None

    async def collect(self, dataset: str, payload: Payload, source: DataSourceType, idempotency_key: str) -> Receipts:
        """Collect one batch; returns when what was accepted is durable and queryable."""
        return await self._ask(
            lambda host: host.collect.remote(self.tenant, dataset, payload, source, idempotency_key), self._answer_s
        )

    async def collect_part(
        self, dataset: str, payload: Payload, source: DataSourceType, idempotency_key: str, portion: Portion
    ) -> PartAnswer:
        """Collect the rows of a call that belong to this shard."""
        return await self._ask(
            lambda host: host.collect_part.remote(self.tenant, dataset, payload, source, idempotency_key, portion),
            self._answer_s,
        )

    async def ask_shard(self, call: ShardCall[T]) -> T:
        """What this shard answers to a question of those who know the tenant as a whole."""
        answered = await self._ask(lambda host: host.ask_shard.remote(self.tenant, call), self._answer_s)
        return cast("T", answered)

    async def query(self, request: Mapping[str, Any], union: Union = ALONE) -> QueryResult:
        """The answer to `request`, over everything acknowledged so far here and what other shards share."""
        return await self._ask(lambda host: host.query.remote(self.tenant, request, union), self._query_s)

    async def part(self, plan: Plan, layout: int) -> PartOfAnswer | None:
        """What this shard has to give to the answer of a plan that the first shard made."""
        return await self._ask(lambda host: host.part.remote(self.tenant, plan, layout), self._query_s)

    async def whole(self, request: Mapping[str, Any], plan: Plan, parts: Sequence[PartOfAnswer]) -> QueryResult:
        """The answer to `request` from what all shards gave."""
        return await self._ask(lambda host: host.whole.remote(self.tenant, request, plan, parts), self._query_s)

    async def explain(self, request: Mapping[str, Any], union: Union = ALONE) -> str:
        """The plan of `request` as text; it is not executed."""
        return await self._ask(lambda host: host.explain.remote(self.tenant, request, union), self._query_s)

    async def datasets(self, layout: int = 0) -> list[DatasetInfo]:
        """What the shard has."""
        return await self._ask(lambda host: host.datasets.remote(self.tenant, layout), self._answer_s)

    async def declare(self, schema: DatasetSchema, layout: int = 0) -> DatasetSchema:
        """Declare a dataset, or change what is declared of it; returns the schema as it is now."""
        return await self._ask(lambda host: host.declare.remote(self.tenant, schema, layout), self._answer_s)

    async def model(self) -> str:
        """The semantic model as YAML."""
        return await self._ask(lambda host: host.model.remote(self.tenant), self._answer_s)

    async def set_model(self, text: str) -> int:
        """Make the YAML (or JSON) `text` the semantic model; returns its version."""
        return await self._ask(lambda host: host.set_model.remote(self.tenant, text), self._answer_s)

    async def quarantine(
        self, dataset: str, limit: int = 100, cursor: str | None = None, union: Union = ALONE
    ) -> QueryResult:
        """What `dataset` refused and was not collected since, newest first, in pages."""
        return await self._ask(
            lambda host: host.quarantine.remote(self.tenant, dataset, limit, cursor, union), self._query_s
        )

    async def replay_quarantine(self, dataset: str, limit: int = 10_000, layout: int = 0) -> Receipts:
        """Collect up to `limit` quarantined rows again, oldest first, under the schema of now."""
        return await self._ask(
            lambda host: host.replay_quarantine.remote(self.tenant, dataset, limit, layout), self._answer_s
        )

    async def flush(self) -> None:
        """Write what is buffered into segments. Nothing depends on it: what is acknowledged is durable."""
        await self._ask(lambda host: host.flush.remote(self.tenant), self._answer_s)

    async def status(self) -> TenantStatus:
        """How the tenant is, and on which host; wakes a cold tenant."""
        return await self._ask(lambda host: host.tenant_status.remote(self.tenant), self._answer_s)

    async def _ask(self, call: Callable[[TenantHostActor], ObjectRef[T]], answer_s: float) -> T:
        async def attempt() -> T:
            placement = self._placement
            if placement is None:
                placement = self._placement = await self._directory.locate(self.tenant, self._doubted)
            try:
                part = f"the host of tenant {self.tenant!r}"
                return await answer(call(placement.host), part, answer_s, lambda: self._still(placement))
            except CatalogUnavailableError:
                raise  # the host is well
            except (UnavailableError, StaleOwnerError):
                # Another call may have found the next host already; then there is nothing to doubt.
                if self._placement is placement:
                    self._placement, self._doubted = None, placement.epoch
                raise

        return await patiently(attempt, self._patience_s, self._clock, self._sleep)

    async def _still(self, placement: Placement) -> None:
        """Raises UnavailableError when the tenant is served elsewhere by now: its host hangs, or the tenant moved."""
        try:
            async with asyncio.timeout(_ASK_S):
                now = await self._directory.locate(self.tenant)
        except (TimeoutError, UnavailableError):
            return  # nobody knows: the answer may come still
        if now.epoch != placement.epoch:
            raise UnavailableError(f"the host of tenant {self.tenant!r}", "the tenant is served by another one now")
