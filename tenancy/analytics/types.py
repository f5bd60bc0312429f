"""Values that cross every border: names of tenants and datasets, kinds of source, receipts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from secrets import token_hex
from uuid import UUID

from tenancy.analytics.errors import InvalidRequestError

TENANT_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,62}")
MOST_SHARDS = 99
_SHARD_PATTERN = re.compile(r"([a-z0-9][a-z0-9_-]{0,59})~([1-9][0-9]?)")

QUARANTINE_SUFFIX = "_quarantine"
DEFAULT_DATASET = "user_interactions"

MADE_KEY_PREFIX = "tenancy-call-"
"""How idempotency keys begin that are made for calls without one. They are forgotten after `MADE_KEY_LIFE`."""
MADE_KEY_LIFE = timedelta(hours=1)
"""Nobody repeats a call with such a key but the handle that made it, for `placement.call_timeout_seconds`."""


class DataSourceType(StrEnum):
    """Where a batch came from."""

    API = "api"
    STREAM = "stream"
    DATABASE = "database"
    FILES = "files"


class DatasetKind(StrEnum):
    """What a dataset holds."""

    EVENTS = "events"
    DIMENSION = "dimension"
    QUARANTINE = "quarantine"


def tenant_id(value: object) -> str:
    """`value`, if it may name a tenant; it becomes part of paths, so nothing else passes.

    >>> tenant_id("tenant_001")
    'tenant_001'

    Raises InvalidRequestError for anything else.
    """
    if isinstance(value, str) and TENANT_PATTERN.fullmatch(value):
        return value
    raise InvalidRequestError(
        "tenant id", value, "use 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or digit"
    )


def shard_name(tenant: str, index: int) -> str:
    """What storage calls shard `index` of a tenant; the first one is the tenant itself.

    >>> shard_name("tenant_001", 0), shard_name("tenant_001", 2)
    ('tenant_001', 'tenant_001~2')

    No caller can register or ask for such a name: `tenant_id` lets none pass.
    """
    return tenant if index == 0 else f"{tenant}~{index}"


def shard_of(name: str) -> tuple[str, int]:
    """The tenant, and which of its shards `name` is: the inverse of `shard_name`.

    >>> shard_of("tenant_001~2"), shard_of("tenant_001")
    (('tenant_001', 2), ('tenant_001', 0))
    """
    tenant, _, index = name.partition("~")
    return tenant, int(index) if index else 0


def stored_id(value: object) -> str:
    """`value`, if storage may keep rows and files under it: the name of a tenant, or of one of its shards.

    Raises InvalidRequestError for anything else.
    """
    if isinstance(value, str) and _SHARD_PATTERN.fullmatch(value):
        return value
    return tenant_id(value)


def dataset_name(value: object) -> str:
    """`value`, if it may name a dataset that callers write to.

    Raises InvalidRequestError, also for the names of quarantines, which nobody writes to directly.
    """
    if isinstance(value, str) and NAME_PATTERN.fullmatch(value) and not value.endswith(QUARANTINE_SUFFIX):
        return value
    raise InvalidRequestError(
        "dataset name",
        value,
        f"use 1 to 63 of a-z, 0-9 and '_', beginning with a letter and not ending in {QUARANTINE_SUFFIX!r}",
    )


def quarantine_of(dataset: str) -> str:
    """The dataset that keeps what `dataset` refused.

    >>> quarantine_of("plays")
    'plays_quarantine'
    """
    return dataset + QUARANTINE_SUFFIX


def made_key(now: datetime) -> str:
    """An idempotency key for a call without one: the time and 80 random bits, so that old ones sort first.

    >>> from datetime import UTC
    >>> early, late = (made_key(datetime(2025, 1, 1, hour, tzinfo=UTC)) for hour in (12, 13))
    >>> early < made_key_bound(datetime(2025, 1, 1, 13, tzinfo=UTC)) <= late
    True
    """
    return f"{made_key_bound(now)}{token_hex(10)}"


def made_key_bound(instant: datetime) -> str:
    """Greater than every key made before the millisecond of `instant`, and than no other."""
    return f"{MADE_KEY_PREFIX}{int(instant.timestamp() * 1000):012x}"


_FEW = 16


class ReceiptStatus(StrEnum):
    """What happened to one event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row was quarantined: a stable `code`, the field, the value as text (cut at 200), and the remedy."""

    code: str
    field: str | None
    value: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """What happened to the row at `index` (from 0) of one call; `line` counts from 1 in NDJSON bodies."""

    index: int
    status: ReceiptStatus
    event_id: str | None
    line: int | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Receipts:
    """What happened to every row of one call, held by exception: a row not in `exceptions` was stored.

    >>> receipts = Receipts(rows=3, exceptions={1: Receipt(1, ReceiptStatus.DUPLICATE, "a")}, late=b"\x20")
    >>> receipts.counts()
    {'accepted': 1, 'duplicate': 1, 'quarantined': 0, 'late': 1}

    `exceptions` has the duplicates and what was quarantined. A row that was stored and came late is one bit of
    `late`, since whole batches may be late: a thousand objects would cost more than collecting the batch.

    Ids assigned by the system count up from `first_id` (a UUIDv7 as integer, RFC 9562 §6.2 method 2), one a
    row, so a thousand of them need sixteen bytes. A row that brought its own id, as `own_ids` says by one
    bit a row (most significant first; empty where none did), has `event_id` None: the caller knows it.
    A call collected in pieces counts anew in each: `later_ids` says from which row, and from which id.
    """

    rows: int
    exceptions: Mapping[int, Receipt] = field(default_factory=dict)
    first_id: int | None = None
    own_ids: bytes = b""
    replayed: bool = False
    later_ids: Mapping[int, int] = field(default_factory=dict)
    late: bytes = b""
    """One bit a row, most significant first; empty where none was late. No row of `exceptions` is among them."""

    def count(self, status: ReceiptStatus) -> int:
        """How many rows have this status."""
        return self.counts()[status]

    def counts(self) -> dict[str, int]:
        """The number of rows by status, every status present."""
        found = Counter(receipt.status for receipt in self.exceptions.values())
        found[ReceiptStatus.LATE] = int.from_bytes(self.late).bit_count()
        found[ReceiptStatus.ACCEPTED] = self.rows - found.total()
        return {status.value: found[status] for status in ReceiptStatus}

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, index: int) -> Receipt:
        if not 0 <= index < self.rows:
            raise IndexError(index)
        known = self.exceptions.get(index)
        if known is not None:
            return known
        status = ReceiptStatus.LATE if _bit(self.late, index) else ReceiptStatus.ACCEPTED
        return Receipt(index, status, None if _bit(self.own_ids, index) else self._assigned(index))

    def _assigned(self, index: int) -> str | None:
        if len(self.later_ids) <= _FEW:
            start = max((row for row in self.later_ids if row <= index), default=0)
        else:  # a sharded call: the next start is a few rows away
            start = next((row for row in range(index, 0, -1) if row in self.later_ids), 0)
        first = self.later_ids.get(start, self.first_id)
        return None if first is None else str(UUID(int=first + index - start))

    def __iter__(self) -> Iterator[Receipt]:
        return (self[index] for index in range(self.rows))


def _bit(mask: bytes, index: int) -> bool:
    return bool(mask) and bool(mask[index >> 3] & (0x80 >> (index & 7)))
