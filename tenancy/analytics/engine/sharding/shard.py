"""One shard as the others see it: what it shares with a query, and how it follows the schema of its tenant.

The first shard decides: it has the schemas, the semantic model and the dimension tables. The others read rows under
the schema that the first one agreed to, so no two shards ever know a column under different types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

import pyarrow as pa

from tenancy.analytics.collection import DataCollector
from tenancy.analytics.errors import ConflictError, StaleLayoutError, UnavailableError, UnknownNameError
from tenancy.analytics.schema import DatasetSchema, FieldSpec
from tenancy.analytics.storage.catalog import Catalog, IdempotencyRecord, ShardLayout
from tenancy.analytics.storage.snapshot import Segment, Snapshot
from tenancy.analytics.storage.store import DatasetStore
from tenancy.analytics.storage.tenant_store import TenantStore
from tenancy.analytics.types import DatasetKind, Receipts, shard_of

if TYPE_CHECKING:
    from tenancy.analytics.query import QueryProcessor
    from tenancy.analytics.query.plan import Plan

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class SharedSchema:
    """A schema that all shards agree to, and how often it was changed."""

    schema: DatasetSchema
    version: int


@dataclass(frozen=True, slots=True, eq=False)
class SharedSnapshot:
    """A dataset of one shard at one instant. Its files stay for `storage.dead_file_seconds`."""

    segments: tuple[Segment, ...]
    buffer: pa.Table
    version: str


@dataclass(frozen=True, slots=True, eq=False)
class Union:
    """What the other shards add to the snapshots of the first one, by dataset."""

    layout: int
    parts: Mapping[str, tuple[SharedSnapshot, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parted:
    """The dataset that a query is about, and the plan that each shard executes a part of."""

    dataset: str
    plan: Plan | None
    """None where the query has to be executed once, over the rows of all."""


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """What a shard answers to its part of a call."""

    receipts: Receipts
    watermark: datetime | None
    """The newest event that the shard has seen by now."""


ALONE = Union(0)
"""The tenant is not sharded."""


class Shard:
    """The part of an engine that belongs to a tenant of many shards. A tenant that has one is its own only shard."""

    def __init__(
        self,
        name: str,
        catalog: Catalog,
        store: TenantStore,
        collector: Callable[[], DataCollector],
        processor: Callable[[], QueryProcessor],
        create: Callable[[str], DatasetStore],
    ) -> None:
        self.tenant, self.index = shard_of(name)
        self._catalog, self._store = catalog, store
        self._collector, self._processor, self._create = collector, processor, create
        # Of the owner's whole life: who changes the layout raises the epoch as well.
        self.layout: ShardLayout = catalog.layouts(self.tenant)[-1]
        self._followed: dict[str, int] = {}
        self._following = Lock()

    def expect(self, layout: int) -> None:
        """Raises StaleLayoutError where the caller knows an older layout, UnavailableError where it knows a newer one.

        Whoever knows a newer one has an owner to find that was made with it: this one is over, and may not know yet.
        """
        if layout > self.layout.version:
            raise UnavailableError(
                f"a shard of tenant {self.tenant!r}", "its owner here is from before it was resharded"
            )
        if layout < self.layout.version:
            raise StaleLayoutError(self.tenant, layout, self.layout.version)

    def behind(self, dataset: str, version: int) -> bool:
        """Whether the first shard has a newer schema than is known here."""
        return self.index > 0 and self._followed.get(dataset, 0) < version

    def follow(self, dataset: str, version: int) -> None:
        """Take over the schema that the first shard has, where the one known here is older than `version`."""
        with self._following:
            if not self.behind(dataset, version):
                return
            rows = self._catalog.tenant(self.tenant)
            newest = rows.dataset_version(dataset)  # read first: what it is the version of may be newer only
            schema = rows.dataset(dataset)
            if schema is None:
                raise UnknownNameError("dataset", dataset)
            self._store.create(schema)
            self._followed[dataset] = newest

    def schema(self, dataset: str) -> SharedSchema:
        """The schema that counts; for the first shard only."""
        store = self._create(dataset)
        self._collector().prepare(dataset)
        rows = self._catalog.tenant(self.tenant)
        version = rows.dataset_version(dataset)
        return SharedSchema(store.schema, version)

    def grow(self, dataset: str, seen: DatasetSchema, new: Mapping[str, FieldSpec]) -> SharedSchema:
        """Add columns, unless the schema is no longer the one that was seen; gives the schema of now either way."""
        self._collector().grow(dataset, seen, new)
        return self.schema(dataset)

    def recall(self, dataset: str, key: str) -> IdempotencyRecord | None:
        """What this shard answered to a key."""
        try:
            return self._store.dataset(dataset).recall(key)
        except UnknownNameError:
            return None

    def share(self, dataset: str) -> SharedSnapshot | None:
        """The rows of a dataset of events, or of a quarantine, as they are now; None where there are none."""
        try:
            with self._store.snapshot(dataset) as snapshot:
                if snapshot.schema.kind is DatasetKind.DIMENSION:
                    return None
                return SharedSnapshot(snapshot.segments, snapshot.buffer, snapshot.version)
        except UnknownNameError:
            return None

    def watermark(self, dataset: str) -> datetime | None:
        """The newest event seen here."""
        try:
            return self._store.dataset(dataset).watermark
        except UnknownNameError:
            return None

    def parted(self, request: Mapping[str, Any]) -> Parted:
        """How a query is answered over all shards."""
        return Parted(*self._processor().parted(request))


class ShardCall(Protocol[T_co]):
    """A question to one shard; it crosses processes."""

    @property
    def layout(self) -> int:
        """The version of the layout that the one who asks knows."""
        ...

    def __call__(self, shard: Shard, /) -> T_co: ...


class FollowingSink:
    """The store of a shard that follows: its rows bring no columns but those that the first shard agreed to."""

    def __init__(self, store: DatasetStore) -> None:
        self._store = store
        self.claim, self.release, self.recall, self.append = store.claim, store.release, store.recall, store.append

    @property
    def schema(self) -> DatasetSchema:
        return self._store.schema

    @property
    def watermark(self) -> datetime | None:
        return self._store.watermark

    @property
    def pending_rows(self) -> int:
        return self._store.pending_rows

    @property
    def pending_bytes(self) -> int:
        return self._store.pending_bytes

    def evolve(self, schema: DatasetSchema) -> NoReturn:
        new = ", ".join(repr(name) for name in schema.fields if name not in self.schema.fields)
        raise ConflictError(f"rows on a shard bring the columns {new}", "declare these columns, then repeat the call")


@dataclass(frozen=True, slots=True)
class SchemaOf:
    """The schema of a dataset as the first shard has it."""

    dataset: str
    layout: int

    def __call__(self, shard: Shard) -> SharedSchema:
        return shard.schema(self.dataset)


@dataclass(frozen=True, slots=True)
class Grow:
    """New columns, for the first shard to agree to."""

    dataset: str
    seen: DatasetSchema
    new: Mapping[str, FieldSpec]
    layout: int

    def __call__(self, shard: Shard) -> SharedSchema:
        return shard.grow(self.dataset, self.seen, self.new)


@dataclass(frozen=True, slots=True)
class Follow:
    """A schema was changed, for the other shards to take it over."""

    dataset: str
    version: int
    layout: int

    def __call__(self, shard: Shard) -> None:
        shard.follow(self.dataset, self.version)


@dataclass(frozen=True, slots=True)
class Recall:
    """What was answered to an idempotency key."""

    dataset: str
    key: str
    layout: int

    def __call__(self, shard: Shard) -> IdempotencyRecord | None:
        return shard.recall(self.dataset, self.key)


@dataclass(frozen=True, slots=True)
class Share:
    """A shard's rows of a dataset, for a query elsewhere."""

    dataset: str
    layout: int

    def __call__(self, shard: Shard) -> SharedSnapshot | None:
        return shard.share(self.dataset)


@dataclass(frozen=True, slots=True)
class Watermark:
    """The newest event of a dataset."""

    dataset: str
    layout: int

    def __call__(self, shard: Shard) -> datetime | None:
        return shard.watermark(self.dataset)


@dataclass(frozen=True, slots=True)
class Queried:
    """Which dataset a query is about, and whether each shard can have a part in the answer."""

    request: Mapping[str, Any]
    layout: int

    def __call__(self, shard: Shard) -> Parted:
        return shard.parted(self.request)


def united(snapshot: Snapshot, parts: tuple[SharedSnapshot, ...]) -> Snapshot:
    """One snapshot of the first shard's and of what the others share."""
    if not parts:
        return snapshot
    arrow = snapshot.schema.arrow()
    buffers = [snapshot.buffer, *(part.buffer for part in parts if part.buffer.num_rows)]
    return replace(
        snapshot,
        segments=(*snapshot.segments, *(segment for part in parts for segment in part.segments)),
        buffer=pa.concat_tables([_in(arrow, buffer) for buffer in buffers]),
        version="+".join([snapshot.version, *(part.version for part in parts)]),
    )


def _in(arrow: pa.Schema, rows: pa.Table) -> pa.Table:
    missing = [name for name in arrow.names if name not in rows.column_names]
    if not missing and rows.schema.equals(arrow):
        return rows
    columns = [
        rows.column(field.name).cast(field.type)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in arrow
    ]
    return pa.Table.from_arrays(columns, schema=arrow)


def expect_plain(schema: DatasetSchema) -> None:
    """Raises ConflictError for a dataset whose enrichment looks at stored rows, which are on other shards, too."""
    looking = [step.step for step in schema.enrichments if step.step in ("lookup", "session")]
    if looking:
        raise ConflictError(
            f"dataset {schema.name!r} has the enrichment {looking[0]!r}, which looks at stored rows",
            "a tenant with such a dataset is kept on one shard; join the table in the semantic model instead",
        )
