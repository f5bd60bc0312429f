"""A producer as one should be: several connections, a key for every batch, and patience when asked to wait."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from cluster.client import Client, RefusedError
from tenancy.analytics.errors import UnavailableError

NDJSON = "application/x-ndjson"

_PATIENCE_S = 60.0
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 5.0


@dataclass(slots=True)
class Streamed:
    """What became of a stream."""

    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    """Rows by receipt."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Quarantined rows by the code of their refusal."""
    waits: int = 0
    """How often the service asked to wait, or was out of reach."""
    acknowledged_ms: list[float] = field(default_factory=list)
    """From sending a batch to its receipts, without waits that were asked for."""


def stream(
    client: Client,
    tenant: str,
    dataset: str,
    bodies: Iterable[bytes],
    *,
    name: str,
    connections: int = 4,
    told: Callable[[int], None],
) -> Streamed:
    """Send NDJSON bodies over `connections` at once; `told` hears the rows of each batch that has its receipts.

    Every batch carries `<name>-<number>` as its idempotency key, so a batch that is sent again is counted once.
    Raises RefusedError when the service says no for good, UnavailableError when it is out of reach for a minute.
    """
    streamed = Streamed()
    began = time.monotonic()
    under_way: deque[Future[_Acknowledged]] = deque()

    def settle() -> None:
        acknowledged = under_way.popleft().result()
        _add(streamed, acknowledged)
        told(acknowledged.receipts["rows"])

    with ThreadPoolExecutor(connections, "stream") as pool:
        try:
            for number, body in enumerate(bodies):
                if len(under_way) >= 2 * connections:
                    settle()
                under_way.append(pool.submit(_send, client, tenant, dataset, body, f"{name}-{number}"))
            while under_way:
                settle()
        finally:
            for each in under_way:
                each.cancel()
    streamed.seconds = time.monotonic() - began
    return streamed


@dataclass(frozen=True, slots=True)
class _Acknowledged:
    receipts: dict[str, Any]
    bytes: int
    waits: int
    milliseconds: float


def _send(client: Client, tenant: str, dataset: str, body: bytes, key: str) -> _Acknowledged:
    deadline = time.monotonic() + _PATIENCE_S
    waits = 0
    while True:
        began = time.monotonic()
        try:
            receipts = client.call(
                "POST",
                *("tenants", tenant, "datasets", dataset, "events"),
                body=body,
                content_type=NDJSON,
                headers={"Idempotency-Key": key},
                parameters={"source": "stream"},
            )
        except RefusedError as error:
            pause = error.retry_after_s
            if pause is None or time.monotonic() + pause > deadline:
                raise
        except UnavailableError:
            pause = min(_FIRST_PAUSE_S * 2**waits, _LONGEST_PAUSE_S)
            if time.monotonic() + pause > deadline:
                raise
        else:
            return _Acknowledged(receipts, len(body), waits, (time.monotonic() - began) * 1_000)
        waits += 1
        time.sleep(pause)


def _add(streamed: Streamed, acknowledged: _Acknowledged) -> None:
    receipts = acknowledged.receipts
    streamed.rows += receipts["rows"]
    streamed.bytes += acknowledged.bytes
    streamed.waits += acknowledged.waits
    streamed.acknowledged_ms.append(acknowledged.milliseconds)
    streamed.counts.update(receipts["counts"])
    streamed.refusals.update(each["error"]["code"] for each in receipts["receipts"] if "error" in each)
