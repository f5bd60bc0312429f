"""Questions on their way to an answer: at once where it is found quickly, with patience where it takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tenancy.analytics.engine.host_resources import HostResources
from tenancy.analytics.engine.quarantines import page_request
from tenancy.analytics.engine.scheduling import Lane, Lanes
from tenancy.analytics.engine.sharding.shard import Union
from tenancy.analytics.engine.source import QueriedStore, UnitedStore
from tenancy.analytics.engine.stored_rows import StoredRows
from tenancy.analytics.errors import QueryMemoryError, QueryTimeoutError, UnknownNameError
from tenancy.analytics.query import QueryRequest, QueryResult, SemanticModel

if TYPE_CHECKING:
    from tenancy.analytics.query import DuckDBExecutor, PreparedQuery, QueryProcessor
    from tenancy.analytics.query.parts import PartOfAnswer
    from tenancy.analytics.query.plan import Plan

QUICK_S = 0.03
"""A query that is predicted to take no longer is answered at once, on one thread."""
OVERRUN_S = 0.15
"""One that takes longer after all is handed over to those that take long."""
SMALL_ROWS = 200_000
"""Of a shard: no more rows than these are aggregated at once, without waiting among those that take long."""


class Asking:
    """What one engine does with a question. `check_owner` is called before any snapshot is taken."""

    def __init__(
        self,
        tenant: str,
        queried: QueriedStore,
        model: Callable[[], SemanticModel],
        check_owner: Callable[[], None],
        resources: HostResources,
        lanes: Lanes,
    ) -> None:
        self._tenant, self._queried, self._model = tenant, queried, model
        self._check_owner, self._resources, self._lanes = check_owner, resources, lanes

    @cached_property
    def processor(self) -> QueryProcessor:
        """Made, and its packages imported, by the first query."""
        from tenancy.analytics.query.dimensions import DEFAULT_BYTES
        from tenancy.analytics.query.processor import QueryProcessor

        resources = self._resources
        caches = min(DEFAULT_BYTES, resources.memory.budget.caches)
        patient = resources.executors().patient
        return QueryProcessor(self._tenant, self._queried, patient, self._model, resources.clock, caches)

    @property
    def known_processor(self) -> QueryProcessor | None:
        """The processor, if there was a query."""
        return self.__dict__.get("processor")

    async def answer(self, request: QueryRequest | Mapping[str, Any], union: Union) -> QueryResult:
        """The answer over everything acknowledged so far."""
        found = await asyncio.wrap_future(self._lanes.asking.submit(self._quickly, request, union))
        return found if isinstance(found, QueryResult) else await self._patiently(found)

    async def part(self, plan: Plan) -> PartOfAnswer | None:
        """What this shard has to give to the answer of a plan that the first shard made; None where it has nothing."""
        try:
            rows = await asyncio.wrap_future(self._lanes.asking.submit(self._rows_of, plan.scan.dataset))
        except UnknownNameError:
            return None
        lane, executor = self._for(rows)
        return await asyncio.wrap_future(lane.submit(lambda: self.processor.part(plan, executor())))

    async def whole(self, request: Mapping[str, Any], plan: Plan, parts: Sequence[PartOfAnswer]) -> QueryResult:
        """The answer to `request` from what all shards gave."""
        lane, executor = self._for(sum(part.table.num_rows for part in parts))
        return await asyncio.wrap_future(lane.submit(lambda: self.processor.whole(request, plan, parts, executor())))

    def explain(self, request: QueryRequest | Mapping[str, Any], union: Union) -> str:
        """The plan as text. Blocks."""
        self._check_owner()
        return self.processor.explain(request, UnitedStore(self._queried, union))

    def page(self, dataset: str, limit: int, cursor: str | None, union: Union) -> QueryResult:
        """Up to `limit` rows that `dataset` refused and that were not collected since, newest first. Blocks."""
        source = UnitedStore(self._queried, union)
        rows = StoredRows(source.snapshot, self._resources.backing.filesystem)
        prepared = self.processor.prepare(page_request(rows, dataset, limit, cursor), source=source)
        try:
            return self.processor.execute(prepared)
        finally:
            prepared.close()

    def _for(self, rows: int) -> tuple[Lane, Callable[[], DuckDBExecutor]]:
        """Where so many rows are aggregated; the engines are started in that lane, not here."""
        if rows <= SMALL_ROWS:
            return self._lanes.asking, lambda: self._resources.executors().quick
        return self._lanes.patient, lambda: self._resources.executors().patient

    def _rows_of(self, dataset: str) -> int:
        self._check_owner()
        with self._queried.snapshot(dataset) as snapshot:
            return snapshot.rows

    def _quickly(self, request: QueryRequest | Mapping[str, Any], union: Union) -> QueryResult | PreparedQuery:
        """The answer, where it is found quickly; else the query as it is prepared."""
        # Before the snapshot is taken: events acknowledged by a newer owner are never missing from an answer.
        self._check_owner()
        prepared = self.processor.prepare(request, source=UnitedStore(self._queried, union))
        if prepared.predicted_s <= QUICK_S:
            try:
                answer = self.processor.execute(prepared, self._resources.executors().quick, OVERRUN_S)
            except (QueryTimeoutError, QueryMemoryError):
                return prepared  # it was underestimated: what it did is lost, and it begins anew
            except BaseException:
                prepared.close()
                raise
            prepared.close()
            return answer
        return prepared

    async def _patiently(self, prepared: PreparedQuery) -> QueryResult:
        def execute() -> QueryResult:
            resources = self._resources
            try:
                with resources.executors().patient_crew.using() as use:
                    return self.processor.execute(prepared)
            finally:
                resources.scheduler.charge(use.cpu_s)
                prepared.close()

        try:
            submitted = self._lanes.patient.submit(execute)
        except RuntimeError:  # the lanes are closed
            prepared.close()
            raise
        submitted.add_done_callback(lambda done: prepared.close() if done.cancelled() else None)
        return await asyncio.wrap_future(submitted)
