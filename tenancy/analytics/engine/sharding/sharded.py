"""A tenant of many shards as one: calls are split and dealt out, questions are answered over all of them.

Who holds this may be anywhere, and there may be many; nothing is kept here that cannot be asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from tenancy.analytics.clock import Clock
from tenancy.analytics.collection import Payload
from tenancy.analytics.collection.codec import decode
from tenancy.analytics.collection.layout import Layout
from tenancy.analytics.collection.once import expect_key
from tenancy.analytics.collection.portion import Portion
from tenancy.analytics.collection.reader import Limits, read
from tenancy.analytics.config import AnalyticsConfig
from tenancy.analytics.engine.info import DatasetInfo
from tenancy.analytics.engine.pieces import merged, piece_key
from tenancy.analytics.engine.sharding.merge import interleaved
from tenancy.analytics.engine.sharding.shard import (
    Follow,
    Grow,
    PartAnswer,
    Parted,
    Queried,
    Recall,
    SchemaOf,
    ShardCall,
    Share,
    SharedSchema,
    Union,
    Watermark,
)
from tenancy.analytics.engine.sharding.split import Body, Rows, body_of, dealt, shard_by, sub_key
from tenancy.analytics.errors import (
    ConflictError,
    IdempotencyMismatchError,
    StaleLayoutError,
)
from tenancy.analytics.query import QueryResult
from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage.catalog import ShardLayout
from tenancy.analytics.types import DatasetKind, DataSourceType, Receipts, dataset_name, quarantine_of

if TYPE_CHECKING:
    from tenancy.analytics.query.parts import PartOfAnswer
    from tenancy.analytics.query.plan import Plan

T = TypeVar("T")


class Member(Protocol):
    """One shard, wherever it is served: an engine is one, and so is the handle of one."""

    async def collect_part(
        self, dataset: str, payload: Payload, source: DataSourceType, idempotency_key: str, portion: Portion
    ) -> PartAnswer: ...

    async def ask_shard(self, call: ShardCall[T]) -> T: ...

    async def query(self, request: Mapping[str, Any], union: Union = ...) -> QueryResult: ...

    async def part(self, plan: Plan, layout: int) -> PartOfAnswer | None: ...

    async def whole(self, request: Mapping[str, Any], plan: Plan, parts: Sequence[PartOfAnswer]) -> QueryResult: ...

    async def explain(self, request: Mapping[str, Any], union: Union = ...) -> str: ...

    async def datasets(self, layout: int = ...) -> list[DatasetInfo]: ...

    async def declare(self, schema: DatasetSchema, layout: int = ...) -> DatasetSchema: ...

    async def quarantine(
        self, dataset: str, limit: int = ..., cursor: str | None = ..., union: Union = ...
    ) -> QueryResult: ...

    async def replay_quarantine(self, dataset: str, limit: int = ..., layout: int = ...) -> Receipts: ...

    async def flush(self) -> None: ...


class ShardedTenant:
    """One tenant under one layout. Every method raises StaleLayoutError once that layout is over.

    Receipts and answers are those of an unsharded tenant. A body is stored whole or not at all on each shard; where
    one of them fails the call fails, and a repetition with the same key completes it.
    """

    def __init__(
        self,
        tenant: str,
        layouts: Sequence[ShardLayout],
        member: Callable[[int], Member],
        config: AnalyticsConfig,
        clock: Clock,
    ) -> None:
        """`layouts` are all that the tenant has had, the last one counts."""
        self.tenant = tenant
        self.layout = layouts[-1]
        self._layouts = layouts
        self._members = [member(index) for index in range(self.layout.members)]
        self._config, self._clock = config, clock
        self._limits = Limits(config.data_collection.max_row_bytes, config.data_collection.max_depth)
        self._schemas: dict[str, SharedSchema] = {}
        self._watermarks: dict[str, datetime | None] = {}

    async def collect(
        self, dataset: str, payload: Payload, source: DataSourceType, key: str, *, chosen: bool, again: bool = False
    ) -> Receipts:
        """What happened to every row; see `AnalyticsEngine.collect`.

        `chosen` says that the caller chose the key, so that another body may come under it; `again`, that the call
        may have been made under an earlier layout.
        """
        name = dataset_name(dataset)
        payload.expect_within(self._config.data_collection.max_body_bytes)
        expect_key(key)
        known = await self._known(name)
        pieces = list(payload.slices(self._config.analytics_engine.batch_size))
        keys = [key] if len(pieces) == 1 else [piece_key(key, index) or key for index in range(len(pieces))]
        parts: list[Receipts] = []
        for piece, own in zip(pieces, keys, strict=True):
            if known.schema.kind is DatasetKind.DIMENSION:
                parts.append(await self._whole(name, piece, source, own, known))
            else:
                parts.append(await self._piece(name, piece, source, own, chosen, chosen or again))
        return merged(parts)

    async def query(self, request: Mapping[str, Any]) -> QueryResult:
        """The answer to `request`, over everything acknowledged so far on every shard."""
        parted = await self._parted(request)
        plan = parted.plan
        if plan is None:
            return await self._members[0].query(request, await self._union(parted.dataset))
        parts = await self._all(lambda member: member.part(plan, self.layout.version))
        return await self._members[0].whole(request, plan, [part for part in parts if part is not None])

    async def explain(self, request: Mapping[str, Any]) -> str:
        """The plan of `request` as text; it is not executed."""
        parted = await self._parted(request)
        return await self._members[0].explain(request, await self._union(parted.dataset))

    async def datasets(self) -> list[DatasetInfo]:
        """Every dataset but the quarantines, in order of name."""
        first, *others = await self._all(lambda member: member.datasets(self.layout.version))
        return [
            _joined(info, [other for infos in others for other in infos if other.name == info.name]) for info in first
        ]

    async def declare(self, schema: DatasetSchema) -> DatasetSchema:
        """Declare a dataset, or change what is declared of it; returns the schema as it is now."""
        declared = await self._members[0].declare(schema, self.layout.version)
        known = await self._known(schema.name, anew=True)
        if schema.kind is not DatasetKind.DIMENSION:
            follow = Follow(schema.name, known.version, self.layout.version)
            await self._all(lambda member: member.ask_shard(follow), first=1)
        return declared

    async def quarantine(self, dataset: str, limit: int = 100, cursor: str | None = None) -> QueryResult:
        """What `dataset` refused and was not collected since, newest first, in pages."""
        name = quarantine_of(dataset)
        return await self._members[0].quarantine(dataset, limit, cursor, await self._union(name))

    async def replay_quarantine(self, dataset: str, limit: int = 10_000) -> Receipts:
        """Collect up to `limit` of those rows again, oldest first on each shard, under the schema of now.

        Raises ConflictError where they bring columns that are not declared and are on another shard than the first.
        """
        known = await self._known(dataset, anew=True)
        parts: list[Receipts] = []
        for index, member in enumerate(self._members):
            left = limit - sum(part.rows for part in parts)
            if left <= 0 or (index and known.schema.kind is DatasetKind.DIMENSION):
                break
            await member.ask_shard(Follow(dataset, known.version, self.layout.version))
            parts.append(await member.replay_quarantine(dataset, left, self.layout.version))
        return merged(parts)

    async def flush(self) -> None:
        """Write what is buffered into segments, on every shard."""
        await self._all(lambda member: member.flush())

    async def _whole(
        self, dataset: str, payload: Payload, source: DataSourceType, key: str, known: SharedSchema
    ) -> Receipts:
        """Dimension tables are on the first shard, under every layout."""
        portion = Portion(self.layout.version, known.version, payload.fingerprint(dataset))
        return (await self._members[0].collect_part(dataset, payload, source, key, portion)).receipts

    async def _piece(
        self, dataset: str, payload: Payload, source: DataSourceType, key: str, chosen: bool, again: bool
    ) -> Receipts:
        body, fingerprint = await asyncio.to_thread(lambda: (body_of(payload), payload.fingerprint(dataset)))
        known = await self._known(dataset)
        rest: Rows = np.arange(body.rows)
        told: list[tuple[Rows, Receipts]] = []
        if again:
            for layout in self._remembered():
                rest, answered = await self._answered(dataset, body, known, layout, key, fingerprint, rest)
                told += answered
        if len(rest) or not told:
            known = await self._grown(dataset, payload, body, key, fingerprint)
            told += await self._dealt(dataset, body, known, source, key, fingerprint, rest, chosen)
        return interleaved(body.rows, told)

    async def _dealt(
        self,
        dataset: str,
        body: Body,
        known: SharedSchema,
        source: DataSourceType,
        key: str,
        fingerprint: bytes,
        rows: Rows,
        chosen: bool,
    ) -> list[tuple[Rows, Receipts]]:
        """Send the rows to their shards."""
        watermark = await self._watermark(dataset)
        layout, none = self.layout, np.array([], dtype=np.int64)
        parts = await asyncio.to_thread(lambda: dealt(self._shards(body, known, layout, dataset), rows))
        home = _home(key, layout)
        if chosen or not parts:
            parts = {home: parts.pop(home, none), **parts}

        async def send(shard: int, part: Rows) -> tuple[Rows, Receipts]:
            payload, lines = await asyncio.to_thread(body.part, part)
            portion = Portion(layout.version, known.version, fingerprint, lines, watermark)
            own = sub_key(key, layout.version)
            answer = await self._members[shard].collect_part(dataset, payload, source, own, portion)
            self._saw(dataset, answer.watermark)
            return part, answer.receipts

        told: list[tuple[Rows, Receipts]] = []
        if chosen and len(parts) > 1:
            # First the one shard that every call with this key begins at: another body under it is found out there,
            # before any of it is stored elsewhere.
            told.append(await send(home, parts.pop(home)))
        told += await _every([send(shard, part) for shard, part in parts.items()])
        return told

    async def _answered(
        self,
        dataset: str,
        body: Body,
        known: SharedSchema,
        layout: ShardLayout,
        key: str,
        fingerprint: bytes,
        rows: Rows,
    ) -> tuple[Rows, list[tuple[Rows, Receipts]]]:
        """Which rows were answered under an earlier layout, and how; first, those that were not."""
        parts = await asyncio.to_thread(lambda: dealt(self._shards(body, known, layout, dataset), rows))
        parts.setdefault(_home(key, layout), np.array([], dtype=np.int64))
        recall = Recall(dataset, sub_key(key, layout.version), self.layout.version)
        records = await _every([self._members[shard].ask_shard(recall) for shard in parts])
        told: list[tuple[Rows, Receipts]] = []
        for part, record in zip(parts.values(), records, strict=True):
            if record is None:
                continue
            if record.fingerprint != fingerprint:
                raise IdempotencyMismatchError(key)
            receipts = decode(record.receipts)
            if receipts.rows != len(part):
                raise ConflictError(
                    f"what was answered to the idempotency key {key!r} is forgotten in part", "use another key"
                )
            told.append((part, receipts))
        taken = np.concatenate([part for part, _ in told]) if told else np.array([], dtype=np.int64)
        return np.setdiff1d(rows, taken), told

    async def _grown(self, dataset: str, payload: Payload, body: Body, key: str, fingerprint: bytes) -> SharedSchema:
        """The schema under which all rows are read: with the columns they bring, agreed to by the first shard."""
        looked = False
        while True:
            known = await self._known(dataset)
            if not await asyncio.to_thread(body.may_grow, known.schema):
                return known
            if not looked:  # a call that is refused for its key leaves nothing behind, not even a column
                recall = Recall(dataset, sub_key(key, self.layout.version), self.layout.version)
                record = await self._members[_home(key, self.layout)].ask_shard(recall)
                if record is not None and record.fingerprint != fingerprint:
                    raise IdempotencyMismatchError(key)
                looked = True
            reading, _ = await asyncio.to_thread(read, payload, Layout(known.schema), self._limits)
            if not reading.grown:
                return known
            grow = Grow(dataset, known.schema, reading.grown, self.layout.version)
            agreed = await self._members[0].ask_shard(grow)
            self._schemas[dataset] = agreed
            if all(name in agreed.schema.fields for name in reading.grown) and agreed.schema.fields == {
                **known.schema.fields,
                **reading.grown,
            }:
                return agreed

    def _shards(self, body: Body, known: SharedSchema, layout: ShardLayout, dataset: str) -> Rows:
        return body.shards(layout.key(dataset), known.schema.id_field, layout.shards)

    def _remembered(self) -> list[ShardLayout]:
        """Earlier layouts under which answers may have been given that still count, oldest first."""
        since = self._clock.now() - timedelta(hours=self._config.data_collection.dedup_window_hours)
        earlier = pairwise(self._layouts)
        return [layout for layout, after in earlier if after.changed_at is None or after.changed_at >= since]

    async def _known(self, dataset: str, *, anew: bool = False) -> SharedSchema:
        known = self._schemas.get(dataset)
        if known is None or anew:
            known = await self._members[0].ask_shard(SchemaOf(dataset, self.layout.version))
            self._schemas[dataset] = known
        return known

    async def _watermark(self, dataset: str) -> datetime | None:
        if dataset not in self._watermarks:
            ask = Watermark(dataset, self.layout.version)
            seen = await self._all(lambda member: member.ask_shard(ask))
            self._watermarks.setdefault(dataset, None)
            for each in seen:
                self._saw(dataset, each)
        return self._watermarks[dataset]

    def _saw(self, dataset: str, newest: datetime | None) -> None:
        known = self._watermarks.get(dataset)
        if newest is not None and (known is None or newest > known):
            self._watermarks[dataset] = newest

    async def _parted(self, request: Mapping[str, Any]) -> Parted:
        return await self._members[0].ask_shard(Queried(request, self.layout.version))

    async def _union(self, dataset: str) -> Union:
        share = Share(dataset, self.layout.version)
        shared = await self._all(lambda member: member.ask_shard(share), first=1)
        return Union(self.layout.version, {dataset: tuple(part for part in shared if part is not None)})

    async def _all(self, ask: Callable[[Member], Awaitable[T]], first: int = 0) -> list[T]:
        return await _every([ask(member) for member in self._members[first:]])


async def _every(calls: Sequence[Awaitable[T]]) -> list[T]:
    """What all calls give. Where some fail, all are waited for, and the error that tells most is raised."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    errors = [each for each in found if isinstance(each, BaseException)]
    if errors:
        raise max(errors, key=lambda error: isinstance(error, IdempotencyMismatchError | StaleLayoutError))
    return [each for each in found if not isinstance(each, BaseException)]


def _home(key: str, layout: ShardLayout) -> int:
    return shard_by(key.encode(), layout.shards)


def _joined(info: DatasetInfo, others: Sequence[DatasetInfo]) -> DatasetInfo:
    newest = [each.newest_event for each in (info, *others) if each.newest_event is not None]
    return replace(
        info,
        rows=info.rows + sum(other.rows for other in others),
        quarantined=info.quarantined + sum(other.quarantined for other in others),
        newest_event=max(newest, default=None),
    )
