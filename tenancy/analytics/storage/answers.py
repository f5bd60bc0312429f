"""The answers given to idempotency keys that are in no segment's commit yet."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tenancy.analytics.errors import ConflictError
from tenancy.analytics.storage.catalog import IdempotencyRecord

_RECORD_BYTES = 256
"""Roughly what a record takes in memory beside its texts: the object, its headers and its place in a dict."""


class Answers:
    """Idempotency records on their way into the catalog: being made durable, durable, being flushed."""

    def __init__(self, catalog: Callable[[str], IdempotencyRecord | None]) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._admitted: set[str] = set()
        self._recent: dict[str, IdempotencyRecord] = {}
        self._frozen: dict[str, IdempotencyRecord] = {}
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Bytes in memory, about, of the answers that no flush has taken yet."""
        return self._bytes

    def in_flight(self, key: str) -> bool:
        """Whether a batch with this key is being made durable."""
        with self._lock:
            return key in self._admitted

    def recall(self, key: str) -> IdempotencyRecord | None:
        """What was answered to `key`."""
        with self._lock:
            known = self._recent.get(key) or self._frozen.get(key)
        return known or self._catalog(key)

    def admit(self, key: str) -> None:
        """A batch with this key was appended. ConflictError where another one with it was, a moment ago."""
        with self._lock:
            if key in self._admitted or key in self._recent or key in self._frozen:
                raise ConflictError(
                    f"another call with the idempotency key {key!r} came first", "repeat the call to get its answer"
                )
            self._admitted.add(key)

    def dismiss(self, key: str) -> None:
        """The batch with this key failed."""
        with self._lock:
            self._admitted.discard(key)

    def keep(self, record: IdempotencyRecord) -> None:
        """The batch with this key is durable."""
        with self._lock:
            self._admitted.discard(record.key)
            before = self._recent.get(record.key)
            self._recent[record.key] = record
            self._bytes += _size(record) - (_size(before) if before is not None else 0)

    def freeze(self) -> tuple[IdempotencyRecord, ...]:
        """What is recent now belongs to a flush."""
        with self._lock:
            self._frozen, self._recent = self._recent, {}
            self._bytes = 0
            return tuple(self._frozen.values())

    def thaw(self) -> None:
        """The flush failed."""
        with self._lock:
            self._recent = {**self._frozen, **self._recent}
            self._bytes = sum(map(_size, self._recent.values()))
            self._frozen = {}

    def fold(self) -> None:
        """What was frozen is in the catalog."""
        with self._lock:
            self._frozen = {}


def _size(record: IdempotencyRecord) -> int:
    return _RECORD_BYTES + len(record.key) + len(record.fingerprint) + len(record.receipts)
