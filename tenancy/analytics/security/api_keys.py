"""API keys, `tk_<id>_<secret>`: made, verified, revoked. Only a salted hash of the secret is kept."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from tenancy.analytics.clock import Clock, SystemClock
from tenancy.analytics.errors import AuthenticationError, CatalogUnavailableError, InvalidRequestError, UnknownNameError
from tenancy.analytics.security.principals import Principal, Role
from tenancy.analytics.storage.catalog.values import EVERY_TENANT, ApiKeyRow
from tenancy.analytics.types import tenant_id

T = TypeVar("T")

_ID_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 that are not mistaken for each other: 5 bits each
_ID_LENGTH = 16
_SECRET_BYTES = 32
_FORM = re.compile(rf"tk_([{_ID_LETTERS}]{{{_ID_LENGTH}}})_([A-Za-z0-9_-]{{43}})")
_SALT_BYTES = 16
_MOST_CACHED = 10_000

SCRYPT: Mapping[str, int] = {"n": 2**8, "r": 8, "p": 1}
"""Cost of a new key's hash (RFC 7914): 256 KiB, less than 1 ms. A costly hash protects what people choose; here are 256
random bits, which nobody can try out at any price, while every replica computes the hash of every tenant's key once: at
the 30 ms that passwords deserve, 500 tenants that wake at once would cost each replica 15 s of CPU."""


class ApiKeyRows(Protocol):
    """Where API keys are kept: `Catalog`."""

    def add_api_key(self, key: ApiKeyRow) -> None: ...

    def api_key(self, id: str) -> ApiKeyRow | None: ...

    def api_keys(self, tenant: str) -> list[ApiKeyRow]: ...

    def revoke_api_key(self, tenant: str, id: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key: everything but its secret."""

    id: str
    tenant: str
    roles: frozenset[Role]
    label: str
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made. `text` is what its holder sends; it cannot be shown again later."""

    key: ApiKey
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Proven:
    """A secret that matched `hash`. The row is looked up again after `until`; the hash is not computed again."""

    hash: bytes
    principal: Principal
    until: float


@dataclass(frozen=True, slots=True)
class _Refused:
    """A secret that does not match `hash`. Refused at a glance until `until`, and without a hash ever after."""

    hash: bytes
    until: float


class _Turns:
    """A lock for each name, there as long as somebody holds it or waits: as many as there are threads at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Alone with `name`."""
        with self._lock:
            turn, others = self._turns.get(name) or (threading.Lock(), 0)
            self._turns[name] = turn, others + 1
        try:
            with turn:
                yield
        finally:
            with self._lock:
                _, present = self._turns.pop(name)
                if present > 1:
                    self._turns[name] = turn, present - 1

    def __len__(self) -> int:
        return len(self._turns)


class ApiKeys:
    """The API keys of an installation. Safe from many threads; `create` and a first `verify` take a millisecond.

        keys = ApiKeys(catalog, cache_seconds=config.security.api_key_cache_seconds)
        made = keys.create("tenant_001", ["analyst"], label="notebook")
        principal = keys.verify(made.text)

    A key revoked by another process stops working here after `cache_seconds` at the latest. While the catalog is out
    of reach, keys that were verified before are honoured for `grace_seconds` longer.
    """

    def __init__(
        self,
        rows: ApiKeyRows,
        clock: Clock | None = None,
        cache_seconds: float = 2.0,
        grace_seconds: float = 0.0,
        cost: Mapping[str, int] = SCRYPT,
    ) -> None:
        self._rows = rows
        self._clock = clock or SystemClock()
        self._cache_seconds, self._grace_seconds = cache_seconds, grace_seconds
        self._cost = dict(cost)
        self._lock = threading.Lock()
        # By a digest of what was sent: the secret itself stays nowhere.
        self._proven: OrderedDict[bytes, _Proven] = OrderedDict()
        # Apart from what is proven, which a flood of wrong secrets must not push out.
        self._refused: OrderedDict[bytes, _Refused] = OrderedDict()
        # One hash of a key at a time, so that many first calls with it pay for one; wrong secrets sent with the
        # id of one key keep nobody waiting who has another.
        self._turns = _Turns()

    def create(self, tenant: str, roles: Iterable[str], label: str = "") -> NewApiKey:
        """Make a key for `tenant`, or for the installation where that is `EVERY_TENANT`.

        Raises InvalidRequestError for an unknown role or none, UnknownNameError for an unknown tenant.
        """
        if tenant != EVERY_TENANT:
            tenant_id(tenant)
        given = _roles(roles)
        id = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        salt = os.urandom(_SALT_BYTES)
        row = ApiKeyRow(
            id=id,
            tenant=tenant,
            roles=tuple(sorted(role.value for role in given)),
            salt=salt,
            hash=_hash(secret, salt, self._cost),
            parameters=self._cost,
            label=label,
            created_at=self._clock.now(),
        )
        self._rows.add_api_key(row)
        return NewApiKey(_known(row), f"tk_{id}_{secret}")

    def verify(self, text: str) -> Principal:
        """Who sent `text`. AuthenticationError, always the same one, for a key that is unknown, garbled or revoked."""
        recalled = self.recall(text)
        if recalled is not None:
            return recalled
        digest = _digest(text)
        form = _FORM.fullmatch(text)
        if form is None:
            raise AuthenticationError
        if self._is_refused(digest):
            raise AuthenticationError
        moment = self._clock.monotonic()  # before the row is read, so a revocation is never missed for longer
        try:
            row = self._rows.api_key(form[1])
        except CatalogUnavailableError:
            proven = self._proven.get(digest)
            if proven is None or moment >= proven.until + self._grace_seconds:
                raise
            return proven.principal
        # No hash is computed for an unknown id, which tells by the time taken that the id is unknown: an id is
        # 80 random bits and no secret, and a hash for every guess would let guesses load the processor.
        if row is None or row.revoked_at is not None:
            with self._lock:
                self._proven.pop(digest, None)
            raise AuthenticationError
        principal = Principal(row.id, row.tenant, _roles(row.roles))
        if not self._matches(digest, form[2], row, principal, moment + self._cache_seconds):
            raise AuthenticationError
        return principal

    def recall(self, text: str) -> Principal | None:
        """Who sent `text`, if that was verified less than `cache_seconds` ago: no waiting, so fit for an event loop."""
        proven = self._proven.get(_digest(text))
        return proven.principal if proven is not None and self._clock.monotonic() < proven.until else None

    def revoke(self, tenant: str, id: str) -> None:
        """End a key of `tenant`. UnknownNameError where it has no such key, or it is revoked already."""
        revoked = self._rows.revoke_api_key(tenant, id)
        with self._lock:
            for digest in [digest for digest, proven in self._proven.items() if proven.principal.key_id == id]:
                del self._proven[digest]
        if not revoked:
            raise UnknownNameError("API key", id, remedy="list the keys of the tenant")

    def list(self, tenant: str) -> list[ApiKey]:
        """The keys of `tenant`, revoked ones too, oldest first."""
        return [_known(row) for row in self._rows.api_keys(tenant)]

    def _matches(self, digest: bytes, secret: str, row: ApiKeyRow, principal: Principal, until: float) -> bool:
        known = self._judged(digest, row)
        if known is not None:
            return self._learned(known, digest, row, principal, until)
        with self._turns.of(row.id):
            known = self._judged(digest, row)
            if known is None:
                known = hmac.compare_digest(_hash(secret, row.salt, row.parameters), row.hash)
            # Kept before the next one's turn, who may have sent the same.
            return self._learned(known, digest, row, principal, until)

    def _judged(self, digest: bytes, row: ApiKeyRow) -> bool | None:
        """Whether this secret matches, where that was computed before."""
        proven, refused = self._proven.get(digest), self._refused.get(digest)
        if proven is not None and hmac.compare_digest(proven.hash, row.hash):
            return True
        return False if refused is not None and hmac.compare_digest(refused.hash, row.hash) else None

    def _learned(self, matches: bool, digest: bytes, row: ApiKeyRow, principal: Principal, until: float) -> bool:
        with self._lock:
            if matches:
                _remember(self._proven, digest, _Proven(row.hash, principal, until))
            else:
                self._proven.pop(digest, None)
                _remember(self._refused, digest, _Refused(row.hash, until))
        return matches

    def _is_refused(self, digest: bytes) -> bool:
        refused = self._refused.get(digest)
        return refused is not None and self._clock.monotonic() < refused.until


def _remember(cache: OrderedDict[bytes, T], digest: bytes, known: T) -> None:
    cache[digest] = known
    cache.move_to_end(digest)
    if len(cache) > _MOST_CACHED:
        cache.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _hash(secret: str, salt: bytes, cost: Mapping[str, int]) -> bytes:
    n, r, p = cost["n"], cost["r"], cost["p"]
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)


def _roles(names: Iterable[str]) -> frozenset[Role]:
    names = list(names)
    known = ", ".join(Role)
    if not names:
        raise InvalidRequestError("roles", names, f"give one or more of {known}")
    for name in names:
        if name not in list(Role):
            raise InvalidRequestError("role", name, f"use one of {known}")
    return frozenset(map(Role, names))


def _known(row: ApiKeyRow) -> ApiKey:
    return ApiKey(row.id, row.tenant, _roles(row.roles), row.label, row.created_at, row.revoked_at)
