"""One tenant, whole: its storage, its collector and its queries, wired; free of Ray."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from tenancy.analytics.collection import DataCollector, Payload
from tenancy.analytics.collection.portion import Portion
from tenancy.analytics.collection.sink import EventSink
from tenancy.analytics.config import StorageConfig
from tenancy.analytics.engine.asking import Asking
from tenancy.analytics.engine.collecting import Collecting
from tenancy.analytics.engine.host_resources import HostResources
from tenancy.analytics.engine.info import DatasetInfo, EngineStatus
from tenancy.analytics.engine.limits import Accounts, Standing, TenantLimits
from tenancy.analytics.engine.memory import Holding, leaning
from tenancy.analytics.engine.quarantines import Quarantines
from tenancy.analytics.engine.scheduling import Lanes
from tenancy.analytics.engine.sharding.shard import (
    ALONE,
    FollowingSink,
    PartAnswer,
    Shard,
    ShardCall,
    Union,
    expect_plain,
)
from tenancy.analytics.engine.source import QueriedStore
from tenancy.analytics.engine.stored_rows import StoredRows
from tenancy.analytics.engine.tenant_config import TenantConfig
from tenancy.analytics.errors import (
    CatalogUnavailableError,
    StaleOwnerError,
)
from tenancy.analytics.query import QueryRequest, QueryResult, SemanticModel
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage.catalog import TenantCatalog
from tenancy.analytics.storage.store import DatasetStore
from tenancy.analytics.storage.tenant_store import TenantStore
from tenancy.analytics.types import (
    DEFAULT_DATASET,
    DataSourceType,
    Receipts,
    dataset_name,
    quarantine_of,
    shard_of,
)

if TYPE_CHECKING:
    from tenancy.analytics.query.parts import PartOfAnswer
    from tenancy.analytics.query.plan import Plan

P = ParamSpec("P")
T = TypeVar("T")

_LINGER = {"real_time": 0.0, "hybrid": 1.0, "batch": 10.0}
_MAINTENANCE_S = 1.0

_log = logging.getLogger(__name__)


class AnalyticsEngine:
    """Collects, keeps and answers for one tenant, as the owner of one epoch.

        engine = AnalyticsEngine.open("tenant_001", HostResources.open(config))
        receipts = await engine.collect("user_interactions", Payload.of({"action": "play_song"}))
        result = await engine.query({"type": "aggregation", "metrics": ["count"]})

    An event whose receipt was returned is durable, and in the very next query. Once a newer owner took the
    tenant over, calls raise StaleOwnerError: neither are events lost to this one, nor are old answers given.
    Usable from several event loops at once.
    """

    def __init__(
        self,
        tenant: str,
        resources: HostResources,
        lanes: Lanes,
        rows: TenantCatalog,
        store: TenantStore,
        model: SemanticModel,
        limits: TenantLimits,
    ) -> None:
        self.tenant = tenant
        self._resources = resources
        self._lanes = lanes
        self._rows = rows
        self._store = store
        self._queried = QueriedStore(store)
        self._model = model
        self._last_failure: str | None = None
        config = resources.config
        self._accounts = Accounts(
            limits,
            config.limits,
            resources.clock,
            rows,
            store.epoch,
            resources.backing.filesystem.traffic.of(tenant),
            stored=lambda: store.stored_bytes,
            memory=self._memory_bytes,
            cpu=self.cpu_seconds,
        )
        lanes.weigh(self._accounts.limits.weight)  # which may have been changed since the tenant was registered
        stored = StoredRows(store.snapshot, resources.backing.filesystem)
        self._collector = DataCollector(
            tenant,
            self._sink,
            config.data_collection,
            resources.clock,
            lookups=stored.table,
            recent=stored.recent,
            create=store.create if shard_of(tenant)[1] == 0 else None,
        )
        self._collecting = Collecting(tenant, self._collector, resources, lanes.collecting)
        self._asking = Asking(tenant, self._queried, lambda: self._model, self._check_owner, resources, lanes)
        catalog = resources.backing.catalog
        self.shard = Shard(
            tenant, catalog, store, lambda: self._collector, lambda: self._asking.processor, self._dataset
        )
        self._quarantines = Quarantines(stored, self._collector, config.analytics_engine.batch_size)

    @classmethod
    def open(cls, tenant: str, resources: HostResources, host: str = "") -> AnalyticsEngine:
        """Take `tenant` over: raise its epoch, recover what was acknowledged, declare what its configuration says.

        `host` is the name of who takes over, for whoever looks for the tenant.

        Blocks while it recovers. Raises UnknownNameError with near matches when nobody registered the tenant.
        """
        rows = resources.backing.catalog.tenant(tenant)
        settings = TenantConfig.load(rows.record().settings)
        lanes = resources.scheduler.lanes(tenant)
        try:
            return cls._open(tenant, resources, lanes, rows, settings, host)
        except BaseException:
            lanes.close()
            raise

    @classmethod
    def _open(
        cls,
        tenant: str,
        resources: HostResources,
        lanes: Lanes,
        rows: TenantCatalog,
        settings: TenantConfig,
        host: str,
    ) -> AnalyticsEngine:
        config, backing = resources.config, resources.backing
        store = TenantStore.open(
            tenant,
            rows,
            backing.filesystem,
            leaning(_leaning(config.storage, _LINGER[config.analytics_engine.type]), resources.memory.budget),
            timedelta(hours=config.data_collection.dedup_window_hours),
            resources.clock,
            lanes.storing,
            lanes.background,
            host,
        )
        known = {schema.name for schema in rows.datasets()}  # a damaged one is known, though it is not served
        for schema in settings.datasets:
            if schema.name not in known:
                store.create(schema)
        if not known and not settings.datasets and shard_of(tenant)[1] == 0:
            store.create(DatasetSchema(name=DEFAULT_DATASET))
        text = rows.model()
        model = SemanticModel.from_yaml(text) if text is not None else settings.semantic_model() or SemanticModel()
        engine = cls(tenant, resources, lanes, rows, store, model, settings.limits)
        resources.memory.join(engine)
        return engine

    @property
    def epoch(self) -> int:
        """Under which this engine owns its tenant."""
        return self._store.epoch

    async def collect(
        self,
        dataset: str,
        payload: Payload,
        *,
        source: DataSourceType = DataSourceType.API,
        idempotency_key: str | None = None,
    ) -> Receipts:
        """What happened to every row; what was accepted is durable when this returns.

        A body of bytes, Arrow too, is stored whole or not at all. A table (`Media.TABLE`) of more rows than
        `analytics_engine.batch_size` is stored in pieces, each all or nothing. When one of them fails the call
        does, and a repetition with the same key goes on after the pieces that are stored.

        Raises LimitExceededError, with nothing done, over a limit of the tenant; UnknownNameError for a dataset nobody
        declared (`user_interactions` needs no declaration); BackpressureError when too much is in flight;
        MemoryPressureError when the host's memory is short; and what `DataCollector.collect` raises.
        """
        self.shard.expect(0)
        with self._accounts.collecting(lambda: payload.rows_at_most, payload.nbytes) as ticket:
            receipts = await self._collecting.whole(dataset, payload, source, idempotency_key)
            ticket.rows = 0 if receipts.replayed else receipts.rows
        return receipts

    async def collect_part(
        self, dataset: str, payload: Payload, source: DataSourceType, idempotency_key: str, portion: Portion
    ) -> PartAnswer:
        """Collect the rows of a call that belong to this shard. Raises StaleLayoutError, and what `collect` raises."""
        self.shard.expect(portion.layout)
        with self._accounts.collecting(lambda: payload.rows_at_most, payload.nbytes) as ticket:
            if self.shard.behind(dataset, portion.schema_version):
                await self._run(self._lanes.storing, self.shard.follow, dataset, portion.schema_version)
            receipts = await self._collecting.batch(dataset, payload, source, idempotency_key, portion)
            ticket.rows = 0 if receipts.replayed else receipts.rows
        return PartAnswer(receipts, self.shard.watermark(dataset))

    async def ask_shard(self, call: ShardCall[T]) -> T:
        """What this shard answers to a question of those who know the tenant as a whole."""
        self.shard.expect(call.layout)

        def work() -> T:
            self._check_owner()
            return call(self.shard)

        return await self._run(self._lanes.asking, work)

    async def query(self, request: QueryRequest | Mapping[str, Any], union: Union = ALONE) -> QueryResult:
        """The answer to `request`; see `QueryProcessor.run`.

        Before any work: LimitExceededError over a limit, MemoryPressureError when the host's memory is short.
        `union` is what other shards of the tenant have. StaleLayoutError where they are not those of now.
        """
        self.shard.expect(union.layout)
        with self._querying():
            result = await self._asking.answer(request, union)
            self._accounts.scanned(result.stats.bytes_scanned)
        return result

    async def part(self, plan: Plan, layout: int) -> PartOfAnswer | None:
        """What this shard has to give to the answer of a plan that the first shard made; None where it has nothing."""
        self.shard.expect(layout)
        with self._accounts.querying():
            found = await self._asking.part(plan)
            self._accounts.scanned(0 if found is None else found.bytes_scanned)
        return found

    async def whole(self, request: Mapping[str, Any], plan: Plan, parts: Sequence[PartOfAnswer]) -> QueryResult:
        """The answer to `request` from what all shards gave."""
        return await self._asking.whole(request, plan, parts)

    async def explain(self, request: QueryRequest | Mapping[str, Any], union: Union = ALONE) -> str:
        """The plan of `request` as text; it is not executed."""
        self.shard.expect(union.layout)
        with self._querying():
            return await self._run(self._lanes.asking, self._asking.explain, request, union)

    async def datasets(self, layout: int = 0) -> list[DatasetInfo]:
        """Every dataset but the quarantines, in order of name."""
        self.shard.expect(layout)
        return await self._run(self._lanes.asking, self._datasets)

    async def declare(self, schema: DatasetSchema, layout: int = 0) -> DatasetSchema:
        """Declare a dataset, or change what is declared of it; returns the schema as it is now.

        Raises InvalidRequestError for a name no dataset may have, ConflictError for a change that stored rows
        do not allow.
        """
        self.shard.expect(layout)
        return await self._run(self._lanes.storing, self._declare, schema)

    async def model(self) -> str:
        """The semantic model as YAML; empty where only conventions hold."""
        return await self._run(self._lanes.asking, self._model_text)

    async def set_model(self, text: str) -> int:
        """Make YAML (or JSON) text the semantic model, for every query from now on; returns its version.

        Raises InvalidRequestError that names the line or key that is not right.
        """
        return await self._run(self._lanes.storing, self._set_model, text)

    async def quarantine(
        self, dataset: str, limit: int = 100, cursor: str | None = None, union: Union = ALONE
    ) -> QueryResult:
        """What `dataset` refused and was not collected since, newest first, in pages."""
        self.shard.expect(union.layout)
        with self._querying():
            page = await self._run(self._lanes.asking, self._asking.page, dataset, limit, cursor, union)
            self._accounts.scanned(page.stats.bytes_scanned)
        return page

    async def replay_quarantine(self, dataset: str, limit: int = 10_000, layout: int = 0) -> Receipts:
        """Collect up to `limit` of those rows again, oldest first, under the schema of now."""
        self.shard.expect(layout)
        with self._accounts.collecting(lambda: limit, 0) as ticket:
            receipts = await self._run(self._lanes.asking, self._quarantines.replay, dataset, limit)
            ticket.rows = receipts.rows
        return receipts

    async def flush(self) -> None:
        """Write what is buffered into segments."""
        await self._run(self._lanes.background, self._flush)

    def due(self) -> bool:
        """Whether `maintain` has something to do. Cheap: a host asks all its engines about once a second."""
        return self._store.due() or self._accounts.due()

    async def maintain(self) -> None:
        """One round: flush what is due, compact, forget what expired; add what was used to the accounts."""
        await self._run(self._lanes.background, self._maintain)

    async def keep_up(self) -> None:
        """`maintain`; a failure is logged and remembered for `status`, for the next round tries again.

        Raises StaleOwnerError, after which there is nothing to maintain any more.
        """
        try:
            await self.maintain()
        except StaleOwnerError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever failed, without maintenance the log grows for ever
            failure = str(error) or repr(error)  # a MemoryError says nothing
            if failure != self._last_failure:
                _log.warning("tenant %r could not be maintained, trying again", self.tenant, exc_info=True)
            self._last_failure = failure
        else:
            self._last_failure = None

    async def maintain_forever(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """`keep_up` whenever it is due, until cancelled or fenced off: for an engine that no host looks after."""
        while True:
            await sleep(_MAINTENANCE_S)
            if not self.due():
                continue
            try:
                await self.keep_up()
            except StaleOwnerError as error:
                _log.info("maintenance ends: %s", error)
                return

    async def check_owner(self) -> None:
        """Ask the catalog; raises StaleOwnerError when another owner has taken over."""
        await self._run(self._lanes.asking, self._check_owner)

    def cpu_seconds(self) -> float:
        """CPU time that this engine's work has taken so far."""
        return self._lanes.used()

    def holding(self) -> Holding:
        """What the tenant holds in memory; never blocks."""
        return Holding(self.tenant, self._store.held_bytes, self._cached_bytes())

    def flush_largest(self) -> Future[None]:
        """Make segments of the dataset that holds most in memory; never blocks."""
        return self._lanes.storing.submit(self._store.flush_largest)

    def evict(self) -> None:
        """Give up what can be made or read again; never blocks."""
        self._store.evict()
        processor = self._asking.known_processor
        if processor is not None:
            processor.evict()

    @property
    def buffered_bytes(self) -> int:
        """Held in memory, durable and in no segment yet."""
        return self._store.bytes

    def status(self) -> EngineStatus:
        """How the engine is; never blocks."""
        stores = [self._store.dataset(schema.name) for schema in self._queried.datasets()]
        return EngineStatus(
            self.tenant,
            self.epoch,
            len(stores),
            sum(store.pending_rows for store in stores),
            sum(store.pending_bytes for store in stores),
            self.buffered_bytes,
            self._last_failure,
        )

    async def close(self) -> None:
        """Write everything out and stop. Nothing depends on it: what was acknowledged is durable."""
        try:
            await self._run(self._lanes.background, self._store.close)
        finally:
            self._resources.memory.leave(self)
            try:
                await self._run(self._lanes.background, self._accounts.close)
            finally:
                self._lanes.close()

    def standings(self) -> tuple[Standing, ...]:
        """How the tenant stands with each of its limits; never blocks."""
        return self._accounts.standings()

    async def settle_usage(self) -> None:
        """Add what was used until now to the accounts in the catalog."""
        await self._run(self._lanes.storing, self._accounts.settle)

    async def read_limits(self) -> None:
        """Take over the limits that the catalog has now, at once; what runs goes on."""
        await self._run(self._lanes.asking, self._accounts.read_limits)
        self._lanes.weigh(self._accounts.limits.weight)

    @contextmanager
    def _querying(self) -> Iterator[None]:
        with self._accounts.querying(), self._resources.memory.asking(self.tenant):
            yield

    async def _run(self, crew: Executor, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.wrap_future(crew.submit(work, *args, **kwargs))

    def _sink(self, dataset: str) -> EventSink:
        store = self._dataset(dataset)
        return store if self.shard.index == 0 else FollowingSink(store)

    def _dataset(self, dataset: str) -> DatasetStore:
        if dataset == DEFAULT_DATASET and all(schema.name != dataset for schema in self._queried.datasets()):
            return self._store.create(DatasetSchema(name=DEFAULT_DATASET))
        return self._store.dataset(dataset)

    def _maintain(self) -> None:
        # An owner that is over must not delete files that readers of the next one still hold.
        self._check_owner()
        owing = self._accounts.due()
        try:
            if self._store.due() or not owing:
                with self._resources.memory.merging() as may:
                    self._store.maintain(compacting=may)
        finally:
            if owing:
                self._accounts.settle()

    def _memory_bytes(self) -> int:
        return self._store.bytes + self._cached_bytes()

    def _cached_bytes(self) -> int:
        processor = self._asking.known_processor
        return self._store.cached_bytes + (processor.cached_bytes if processor is not None else 0)

    def _check_owner(self) -> None:
        try:
            self._store.check_owner()
        except CatalogUnavailableError:
            # A newer owner is taken over by through the catalog, so there is hardly one; and what is answered is
            # at worst as old as the grace. Writes pass the fence, or wait for it.
            if not self._store.owned_within(self._resources.config.storage.catalog_grace_seconds):
                raise

    def _datasets(self) -> list[DatasetInfo]:
        self._check_owner()
        return [self._info(schema) for schema in self._queried.datasets()]

    def _info(self, schema: DatasetSchema) -> DatasetInfo:
        with self._store.snapshot(schema.name) as snapshot, self._store.snapshot(quarantine_of(schema.name)) as refused:
            times = [segment.max_time for segment in snapshot.segments if segment.max_time is not None]
            return DatasetInfo(
                schema.name,
                schema.kind,
                snapshot.rows,
                refused.rows,
                {name: spec.type.value for name, spec in snapshot.schema.fields.items()},
                self._store.dataset(schema.name).watermark or max(times, default=None),
            )

    def _declare(self, schema: DatasetSchema) -> DatasetSchema:
        dataset_name(schema.name)
        if self.shard.layout.members > 1:
            expect_plain(schema)
        return self._store.create(schema).schema

    def _model_text(self) -> str:
        self._check_owner()
        return self._model.to_yaml()

    def _set_model(self, text: str) -> int:
        model = SemanticModel.from_yaml(text)
        version = self._rows.save_model(text, self.epoch)
        self._model = model
        return version

    def _flush(self) -> None:
        for schema in self._queried.datasets():
            self._store.dataset(schema.name).flush()


def _leaning(storage: StorageConfig, factor: float) -> StorageConfig:
    return storage.model_copy(update={"wal_linger_ms": storage.wal_linger_ms * factor})
