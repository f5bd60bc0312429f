"""The one error tree. Every error says what was wrong, where, and what to do about it.

    AnalyticsError
    ├── RequestError               you asked wrongly: repeating the call unchanged cannot help
    │   ├── InvalidRequestError        400  a value that is not of the form asked for
    │   │   └── ConfigurationError          a setting that is unknown or out of range
    │   ├── AuthenticationError        401  no key, an unknown key, a revoked key
    │   ├── AccessDeniedError          403  a key that does not reach what was asked
    │   ├── UnknownNameError           404  a tenant, dataset, metric or dimension that does not exist
    │   ├── ConflictError              409  the thing exists already, or changed meanwhile
    │   ├── PayloadTooLargeError       413  a body over the limit, compressed or not
    │   ├── UnsupportedMediaError      415  a content type or encoding nobody here reads
    │   └── IdempotencyMismatchError   422  an idempotency key used again for another body
    ├── LimitError                 your tenant is over a limit
    │   ├── BackpressureError          429  too much in flight; wait `retry_after_s`
    │   ├── LimitExceededError         429  more than the tenant may use; nothing of the call was done
    │   ├── QueryTimeoutError          408  the query ran longer than it may
    │   └── QueryMemoryError           413  the query needs more memory than it may use
    ├── TryAgainError              nothing is wrong with the call; repeat it
    │   ├── StaleOwnerError            503  this owner was fenced off; another one serves the tenant
    │   ├── UnavailableError           503  a part is starting, restarting or out of reach
    │   │   └── CatalogUnavailableError     the database of the catalog does not answer
    │   ├── MemoryPressureError        503  the host's memory is short; nothing of the call was done
    │   └── StorageFullError           507  no space left; nothing was acknowledged
    └── IntegrityError             500  stored bytes that fail authentication: damaged, swapped or cut

Errors cross process borders by pickle, so each class hands its data to `super().__init__` and makes
its sentence in `__str__`; `tests/analytics/test_errors.py` walks the tree and pickles every class.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rapidfuzz import process


def near(name: str, known: Iterable[str], most: int = 3) -> tuple[str, ...]:
    """The names in `known` that `name` was probably meant to be, best first.

    >>> near("genr", ["genre", "artist"])
    ('genre',)
    """
    found = process.extract(name, sorted(known), limit=most, score_cutoff=60)
    return tuple(match for match, _, _ in found)


class AnalyticsError(Exception):
    """The root. `status` is the HTTP status, `code` the machine-readable name of the error."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    @property
    def retry_after_s(self) -> float | None:
        """Seconds to wait before repeating the call; None where repeating does not help."""
        return None


class RequestError(AnalyticsError):
    """You asked wrongly."""

    status = 400
    code = "bad-request"


class InvalidRequestError(RequestError):
    """A value that is not of the form asked for.

    >>> str(InvalidRequestError("limit", -1, "give a whole number from 1 to 10,000"))
    'limit: -1 is not valid; give a whole number from 1 to 10,000'
    """

    code = "invalid-request"

    def __init__(self, place: str, value: object, remedy: str) -> None:
        super().__init__(place, value if isinstance(value, str | int | float | bool | None) else repr(value), remedy)
        self.place, self.value, self.remedy = self.args

    def __str__(self) -> str:
        shown = repr(self.value)
        return f"{self.place}: {shown if len(shown) <= 200 else shown[:197] + '...'} is not valid; {self.remedy}"


class ConfigurationError(InvalidRequestError):
    """A setting that is unknown or out of range."""

    code = "invalid-configuration"


class AuthenticationError(RequestError):
    """No key, an unknown key, or a revoked key."""

    status = 401
    code = "unauthenticated"

    def __init__(self, reason: str = "no valid API key was given") -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.reason}; send 'Authorization: Bearer tk_…'"


class AccessDeniedError(RequestError):
    """The key does not reach what was asked. Says nothing of whether the thing exists."""

    status = 403
    code = "access-denied"

    def __init__(self, action: str) -> None:
        super().__init__(action)
        self.action = action

    def __str__(self) -> str:
        return f"this key may not {self.action}; ask an administrator of the tenant for a key that may"


class UnknownNameError(RequestError):
    """A name nobody knows, with the known names nearest to it.

    >>> str(UnknownNameError("dimension", "genr", ("genre",)))
    "unknown dimension 'genr'; did you mean 'genre'?"
    """

    status = 404
    code = "unknown-name"

    def __init__(self, kind: str, name: str, suggestions: tuple[str, ...] = (), remedy: str = "") -> None:
        super().__init__(kind, name, suggestions, remedy)
        self.kind, self.name, self.suggestions, self.remedy = kind, name, suggestions, remedy

    def __str__(self) -> str:
        sentence = f"unknown {self.kind} {self.name!r}"
        if self.suggestions:
            sentence += f"; did you mean {' or '.join(repr(s) for s in self.suggestions)}?"
        return f"{sentence}; {self.remedy}" if self.remedy else sentence


class ConflictError(RequestError):
    """The thing exists already, or changed meanwhile."""

    status = 409
    code = "conflict"

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what, remedy)
        self.what, self.remedy = what, remedy

    def __str__(self) -> str:
        return f"{self.what}; {self.remedy}"


class PayloadTooLargeError(RequestError):
    """A body over the limit, before or after decompression."""

    status = 413
    code = "payload-too-large"

    def __init__(self, limit_bytes: int, remedy: str = "send smaller batches") -> None:
        super().__init__(limit_bytes, remedy)
        self.limit_bytes, self.remedy = limit_bytes, remedy

    def __str__(self) -> str:
        return f"the body is larger than {self.limit_bytes:,} bytes; {self.remedy}"


class UnsupportedMediaError(RequestError):
    """A content type or encoding nobody here reads."""

    status = 415
    code = "unsupported-media"

    def __init__(self, given: str, supported: tuple[str, ...]) -> None:
        super().__init__(given, supported)
        self.given, self.supported = given, supported

    def __str__(self) -> str:
        return f"{self.given!r} is not supported; send one of {', '.join(self.supported)}"


class IdempotencyMismatchError(RequestError):
    """An idempotency key used again for another body."""

    status = 422
    code = "idempotency-mismatch"

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"idempotency key {self.key!r} was used for another body; use a new key for new data"


class LimitError(AnalyticsError):
    """Your tenant is over a limit."""

    status = 429
    code = "limit"


class BackpressureError(LimitError):
    """Too much in flight. Nothing of the call was accepted.

    >>> str(BackpressureError("tenant_001", "buffer_rows", 50_000, 1.0))
    "tenant 'tenant_001' is over its limit buffer_rows=50,000; retry in 1.0 s"
    """

    code = "backpressure"

    def __init__(self, tenant: str, limit: str, allowed: int, wait_s: float) -> None:
        super().__init__(tenant, limit, allowed, wait_s)
        self.tenant, self.limit, self.allowed, self.wait_s = tenant, limit, allowed, wait_s

    @property
    def retry_after_s(self) -> float:
        return self.wait_s

    def __str__(self) -> str:
        return f"tenant {self.tenant!r} is over its limit {self.limit}={self.allowed:,}; retry in {self.wait_s} s"


class LimitExceededError(LimitError):
    """More than the tenant may use: of events, bytes, queries or storage. Nothing of the call was done.

    `used` counts what was used and has not come back yet. `wait_s` is None where no waiting helps.

    >>> str(LimitExceededError("tenant_001", "events_per_second", 100, 130, 0.302))
    "tenant 'tenant_001' is over its limit events_per_second=100 (130 used); retry in 0.302 s"
    """

    code = "limit-exceeded"

    def __init__(self, tenant: str, limit: str, allowed: int, used: int, wait_s: float | None) -> None:
        super().__init__(tenant, limit, allowed, used, wait_s)
        self.tenant, self.limit, self.allowed, self.used, self.wait_s = tenant, limit, allowed, used, wait_s

    @property
    def retry_after_s(self) -> float | None:
        return self.wait_s

    def __str__(self) -> str:
        remedy = "delete data or have the limit raised" if self.wait_s is None else f"retry in {self.wait_s} s"
        return f"tenant {self.tenant!r} is over its limit {self.limit}={self.allowed:,} ({self.used:,} used); {remedy}"


class QueryTimeoutError(LimitError):
    """The query ran longer than it may and was interrupted."""

    status = 408
    code = "query-timeout"

    def __init__(self, timeout_s: float) -> None:
        super().__init__(timeout_s)
        self.timeout_s = timeout_s

    def __str__(self) -> str:
        return (
            f"the query was stopped after {self.timeout_s} s; narrow its time range or dimensions, "
            "or raise performance.query_timeout_seconds"
        )


class QueryMemoryError(LimitError):
    """The query needs more memory than it may use."""

    status = 413
    code = "query-memory"

    def __init__(self, limit_mb: int) -> None:
        super().__init__(limit_mb)
        self.limit_mb = limit_mb

    def __str__(self) -> str:
        return (
            f"the query needs more than {self.limit_mb} MB of memory; group by fewer values, "
            "or raise performance.memory_limit_mb"
        )


class TryAgainError(AnalyticsError):
    """Nothing is wrong with the call; repeat it."""

    status = 503
    code = "try-again"

    @property
    def retry_after_s(self) -> float:
        return 1.0


class StaleOwnerError(TryAgainError):
    """This owner was fenced off by a newer epoch and may commit nothing."""

    code = "stale-owner"

    def __init__(self, tenant: str, epoch: int, current: int) -> None:
        super().__init__(tenant, epoch, current)
        self.tenant, self.epoch, self.current = tenant, epoch, current

    def __str__(self) -> str:
        return f"epoch {self.epoch} of tenant {self.tenant!r} is over, {self.current} is current; repeat the call"


class StaleLayoutError(TryAgainError):
    """The tenant was spread over another number of shards meanwhile; the layout is to be asked for again."""

    code = "stale-layout"

    def __init__(self, tenant: str, layout: int, current: int) -> None:
        super().__init__(tenant, layout, current)
        self.tenant, self.layout, self.current = tenant, layout, current

    def __str__(self) -> str:
        return f"layout {self.layout} of tenant {self.tenant!r} is over, {self.current} is current; repeat the call"


class UnavailableError(TryAgainError):
    """A part is starting, restarting or out of reach."""

    code = "unavailable"

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(part, reason)
        self.part, self.reason = part, reason

    def __str__(self) -> str:
        return f"{self.part} is not available ({self.reason}); repeat the call"


class CatalogUnavailableError(UnavailableError):
    """The database of the catalog does not answer. Another host would not reach it either."""

    code = "catalog-unavailable"

    def __init__(self, reason: str) -> None:
        super().__init__("catalog", reason)
        self.args = (reason,)

    @property
    def retry_after_s(self) -> float:
        return 2.0


class MemoryPressureError(TryAgainError):
    """The host's memory is short, for all of its tenants or for one that holds most of it. Nothing was done.

    >>> str(MemoryPressureError("buffers", 500_000_000, 478_000_000, 0.2))
    'the memory of the host is short (buffers; 478 of 500 MB are used); retry in 0.2 s'
    """

    code = "memory-pressure"

    def __init__(self, part: str, budget: int, resident: int, wait_s: float) -> None:
        super().__init__(part, budget, resident, wait_s)
        self.part, self.budget, self.resident, self.wait_s = part, budget, resident, wait_s

    @property
    def retry_after_s(self) -> float:
        return self.wait_s

    def __str__(self) -> str:
        used, total = self.resident // 10**6, self.budget // 10**6
        short = f"{self.part}; {used:,} of {total:,} MB are used"
        return f"the memory of the host is short ({short}); retry in {self.wait_s} s"


class StorageFullError(TryAgainError):
    """No space left where events are kept. Nothing of the call was acknowledged."""

    status = 507
    code = "storage-full"

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    @property
    def retry_after_s(self) -> float:
        return 10.0

    def __str__(self) -> str:
        return f"no space left at {self.place}; nothing was accepted; free space and repeat the call"


class IntegrityError(AnalyticsError):
    """Stored bytes that fail authentication: damaged, swapped or cut. Names the file."""

    code = "integrity"

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path} cannot be trusted: {self.reason}; restore it from a backup or erase it"
