"""One answer to one idempotency key: of calls at the same time, and of calls before a restart."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from threading import Lock

from tenancy.analytics.collection.codec import decode
from tenancy.analytics.collection.sink import EventSink
from tenancy.analytics.errors import IdempotencyMismatchError, InvalidRequestError
from tenancy.analytics.types import Receipts

MAX_KEY_LENGTH = 255


def expect_key(key: str) -> None:
    """Raises InvalidRequestError for what cannot be an idempotency key."""
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isprintable():
        raise InvalidRequestError("Idempotency-Key", key[:100], f"give 1 to {MAX_KEY_LENGTH} printable characters")


class Once:
    """Remembers the calls that are running; those that are done are remembered by the sink."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: dict[tuple[str, str], tuple[bytes, Future[Receipts]]] = {}

    def run(
        self, sink: EventSink, dataset: str, key: str, fingerprint: bytes, first: Callable[[], Future[Receipts]]
    ) -> Future[Receipts]:
        """The future of `first`, called only where no call with this key succeeded or is running.

        A call that failed is forgotten, so that its retry runs. Raises IdempotencyMismatchError when the
        key was given with another body.
        """
        answer = started_future()
        with self._lock:
            running = self._running.get((dataset, key))
            if running is None:
                self._running[dataset, key] = (fingerprint, answer)
        if running is not None:
            _expect(key, running[0], fingerprint)
            running[1].add_done_callback(lambda done: _copy(done, answer, replayed=True))
            return answer

        def finish(done: Future[Receipts]) -> None:
            # The sink recalls the key from before its future is done, so there is no moment without an answer.
            with self._lock:
                del self._running[dataset, key]
            _copy(done, answer)

        started = started_future()
        started.add_done_callback(finish)
        try:
            record = sink.recall(key)
            if record is not None:
                _expect(key, record.fingerprint, fingerprint)
                started.set_result(decode(record.receipts))
            else:
                first().add_done_callback(lambda done: _copy(done, started))
        except BaseException as error:
            started.set_exception(error)
            raise
        return answer


def started_future() -> Future[Receipts]:
    """A future that cannot be cancelled: what is on its way to storage will be stored, whoever stopped waiting."""
    future: Future[Receipts] = Future()
    future.set_running_or_notify_cancel()
    return future


def _expect(key: str, known: bytes, given: bytes) -> None:
    if known != given:
        raise IdempotencyMismatchError(key)


def _copy(source: Future[Receipts], target: Future[Receipts], replayed: bool = False) -> None:
    error = source.exception()
    if error is not None:
        target.set_exception(error)
    else:
        result = source.result()
        target.set_result(replace(result, replayed=True) if replayed else result)
