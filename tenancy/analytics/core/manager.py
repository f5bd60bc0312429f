"""The four-line API: register a tenant, collect its data, ask, draw."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from actors.directory_handle import DirectoryHandle
from actors.ray_runtime import connect, disconnect
from actors.tenant_handle import TenantHandle
from tenancy.analytics.collection import Payload
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine import DatasetInfo, TenantConfig
from tenancy.analytics.errors import ConflictError, InvalidRequestError, UnavailableError
from tenancy.analytics.query import QueryResult
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.types import DEFAULT_DATASET, DataSourceType, Receipts, tenant_id
from tenancy.analytics.visualization import Chart, ChartConfig, VisualizationEngine


class CoreAnalyticsManager:
    """The door to every tenant; each is served by an actor of its own, wherever it runs.

        async with CoreAnalyticsManager({"storage": {"root": "/var/lib/tenancy"}}) as manager:
            await manager.register_tenant("tenant_001")
            await manager.collect_data("tenant_001", {"user_id": "u1", "action": "play_song"}, DataSourceType.API)
            result = await manager.execute_query("tenant_001", {"type": "aggregation", "metrics": ["play_count"]})

    `config` is a mapping, an AnalyticsConfig, or None for the defaults (and what the environment sets). It raises
    ConfigurationError for settings that are not right. Every method may raise UnknownNameError for a tenant
    nobody registered, and UnavailableError when its host could not be reached in
    `placement.call_timeout_seconds`.
    """

    def __init__(self, config: Mapping[str, Any] | AnalyticsConfig | None = None) -> None:
        self.config = AnalyticsConfig.load(config).anchored()
        self._charts = VisualizationEngine()
        self._handles: dict[str, TenantHandle] = {}
        self._directory: DirectoryHandle | None = None
        self._connected = False

    async def initialize(self) -> None:
        """Connect to Ray, or start a local one; start the directory; make the storage. Repeating it is harmless.

        Raises ConflictError when a directory with other settings runs in the same namespace.
        """
        if self._directory is not None:
            return
        self._connected = await asyncio.to_thread(connect, self.config.placement.namespace)
        try:
            directory = DirectoryHandle(self.config)
            if await directory.settings() != self.config:
                raise ConflictError(
                    f"a directory with other settings runs in namespace {self.config.placement.namespace!r}",
                    "use its settings, or another placement.namespace",
                )
        except BaseException:
            await self.close()
            raise
        self._directory = directory

    async def close(self) -> None:
        """Let go of Ray. A local Ray that `initialize` started ends; a cluster and its tenants go on."""
        self._directory = None
        self._handles.clear()
        if self._connected:
            self._connected = False
            await asyncio.to_thread(disconnect)

    async def __aenter__(self) -> Self:
        await self.initialize()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def register_tenant(self, tenant_id: str, config: Mapping[str, Any] | TenantConfig | None = None) -> None:
        """Make a tenant; it works at once. Again with an equal configuration, nothing changes.

        Raises InvalidRequestError for a name that no tenant may have, ConfigurationError that names the setting and
        the nearest known one, ConflictError when the tenant has another configuration.
        """
        await self._running().register(tenant_id, TenantConfig.load(config).settings())

    async def delete_tenant(self, tenant_id: str) -> None:
        """End a tenant. Its key is destroyed first, so no copy of its data can be read again, not even a backup."""
        await self._running().delete(tenant_id)
        self._handles.pop(tenant_id, None)

    async def tenants(self, after: str = "", limit: int = 1000) -> list[str]:
        """Up to `limit` tenants that sort after `after`."""
        return [record.id for record in await self._running().tenants(after, limit)]

    async def collect_data(
        self,
        tenant_id: str,
        data: object,
        source_type: DataSourceType | str = DataSourceType.API,
        dataset: str | None = None,
        idempotency_key: str | None = None,
    ) -> Receipts:
        """What happened to every row of `data`; what was accepted is durable and queryable when this returns.

        `data` is a dict, a list of dicts, a pandas DataFrame, a pyarrow Table, or a `Payload`. `dataset` is
        `user_interactions` where none is named. With an `idempotency_key` a call that is repeated, for a day by
        default, is answered as it was the first time and counted once.
        """
        payload = await asyncio.to_thread(Payload.of, data)
        return await self._tenant(tenant_id).collect(
            DEFAULT_DATASET if dataset is None else dataset,
            payload,
            source=_source(source_type),
            idempotency_key=idempotency_key,
        )

    async def execute_query(self, tenant_id: str, query: Mapping[str, Any]) -> QueryResult:
        """The answer: `.data`, `.to_pandas()`, `.to_arrow()`, `.schema`, `.stats`, `.sql`."""
        return await self._tenant(tenant_id).query(query)

    async def explain_query(self, tenant_id: str, query: Mapping[str, Any]) -> str:
        """The plan of `query` as text; it is not executed."""
        return await self._tenant(tenant_id).explain(query)

    async def create_visualization(
        self, tenant_id: str, chart_config: ChartConfig | Mapping[str, Any], data: object
    ) -> Chart:
        """A Plotly figure of `data` (`.to_html()`, `.to_json()`, `.show()`); see `VisualizationEngine.create`."""
        _checked(tenant_id)
        return await asyncio.to_thread(self._charts.create, chart_config, data)

    async def datasets(self, tenant_id: str) -> list[DatasetInfo]:
        """What the tenant has: rows, fields with their types, the newest event."""
        return await self._tenant(tenant_id).datasets()

    async def declare_dataset(self, tenant_id: str, schema: DatasetSchema | Mapping[str, Any]) -> DatasetSchema:
        """Declare a dataset, or change what is declared of it; returns the schema as it is now."""
        (declared,) = TenantConfig.load({"datasets": [schema]}).datasets
        return await self._tenant(tenant_id).declare(declared)

    async def model(self, tenant_id: str) -> str:
        """The tenant's semantic model as YAML."""
        return await self._tenant(tenant_id).model()

    async def set_model(self, tenant_id: str, text: str) -> int:
        """Make YAML (or JSON) text the tenant's semantic model; returns its version."""
        return await self._tenant(tenant_id).set_model(text)

    async def quarantine(
        self, tenant_id: str, dataset: str = DEFAULT_DATASET, limit: int = 100, cursor: str | None = None
    ) -> QueryResult:
        """Rows that were refused and not collected since, with the reasons, newest first, in pages."""
        return await self._tenant(tenant_id).quarantine(dataset, limit, cursor)

    async def replay_quarantine(self, tenant_id: str, dataset: str = DEFAULT_DATASET, limit: int = 10_000) -> Receipts:
        """Collect refused rows again, after the schema was changed."""
        return await self._tenant(tenant_id).replay_quarantine(dataset, limit)

    async def reshard(self, tenant_id: str, shards: int, keys: Mapping[str, str] | None = None) -> int:
        """Spread what the tenant collects from now on over `shards` (1 to 99); returns the layout's version.

        For a tenant that is more than one host can serve. Live: calls wait meanwhile, and nothing is lost or counted
        twice. Rows go by the hash of `user_id`, or of the field that `keys` name for their dataset.
        """
        return (await self._running().reshard(_checked(tenant_id), shards, keys)).version

    def _tenant(self, tenant_id: str) -> TenantHandle:
        directory = self._running()
        handle = self._handles.get(_checked(tenant_id))
        if handle is None:
            handle = self._handles[tenant_id] = TenantHandle(tenant_id, self.config, directory)
        return handle

    def _running(self) -> DirectoryHandle:
        if self._directory is None:
            raise UnavailableError("the manager", "it is not initialized, or closed: `await manager.initialize()`")
        return self._directory


_checked = tenant_id


def _source(given: DataSourceType | str) -> DataSourceType:
    try:
        return DataSourceType(given)
    except ValueError:
        known = ", ".join(repr(kind.value) for kind in DataSourceType)
        raise InvalidRequestError("source_type", given, f"give one of {known}") from None
