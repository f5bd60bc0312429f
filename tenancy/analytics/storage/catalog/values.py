"""What goes into the catalog and comes out of it: frozen values, every time aware and in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage.snapshot import Segment

EVERY_TENANT = "*"
"""The tenant of an API key that reaches every tenant; no tenant can be called so."""


@dataclass(frozen=True, slots=True)
class TenantRecord:
    """A tenant that was registered. `epoch` grows by one whenever a new owner takes over."""

    id: str
    settings: Mapping[str, Any]
    epoch: int
    created_at: datetime
    owner: str = ""
    """The host that took over last; empty where none did, or one without a name."""
    limits: Mapping[str, Any] | None = None
    """What it may use; None where that was not changed since it was registered."""


@dataclass(frozen=True, slots=True, order=True)
class WalPosition:
    """How far the write-ahead log is folded into segments; positions are ordered by epoch, then sequence.

    >>> WalPosition(2, 0) > WalPosition(1, 99)
    True
    """

    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class IdempotencyRecord:
    """What was answered to a call with an idempotency key; `fingerprint` tells whether a body is the same."""

    key: str
    fingerprint: bytes
    receipts: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DedupRun:
    """A sorted file of event ids that were accepted between two times."""

    id: str
    url: str
    rows: int
    min_ingest: datetime
    max_ingest: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What one flush, compaction or erasure changes; all of it becomes visible at once, or nothing.

    `add` and `remove` (segment ids) are by dataset, since a flush writes the quarantine's segments too;
    the rest belongs to `dataset`.
    """

    dataset: str
    add: Mapping[str, tuple[Segment, ...]] = field(default_factory=dict)
    remove: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    wal_position: WalPosition | None = None
    idempotency: tuple[IdempotencyRecord, ...] = ()
    dedup_runs: tuple[DedupRun, ...] = ()
    remove_runs: tuple[str, ...] = ()
    """Ids of runs whose event ids are in `dedup_runs` now."""
    schema: DatasetSchema | None = None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One version of a tenant's key, wrapped by the master key."""

    tenant: str
    version: int
    wrapped: bytes = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """An API key as it is kept: never the secret, only its salted hash and how the hash was made.

    `tenant` is `EVERY_TENANT` for keys of operators.
    """

    id: str
    tenant: str
    roles: tuple[str, ...]
    salt: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    parameters: Mapping[str, int]
    label: str
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UsageRow:
    """How much of something was used in the hour that begins at `hour`."""

    hour: datetime
    what: str
    amount: int


@dataclass(frozen=True, slots=True)
class UsageAddition:
    """Amounts to be added, by hour and name. One of the same source and sequence is added once.

    A source numbers its additions from 1 and does not give up one whose outcome it does not know.
    """

    source: str
    sequence: int
    amounts: Mapping[tuple[datetime, str], int]


DEFAULT_SHARD_KEY = "user_id"


@dataclass(frozen=True, slots=True)
class ShardLayout:
    """How the rows of one tenant are spread; `version` grows by one with each change.

    >>> ShardLayout().shards
    1
    """

    version: int = 0
    shards: int = 1
    """Rows are written to so many, by the hash of their key."""
    members: int = 1
    """As many shards as there ever were; rows are in all of them."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """The key's field by dataset, where it is not `user_id`."""
    changed_at: datetime | None = None

    def key(self, dataset: str) -> str:
        """The field of an event of `dataset` whose hash says where it belongs."""
        return self.keys.get(dataset, DEFAULT_SHARD_KEY)
