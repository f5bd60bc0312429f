"""What tenants do, and when: seeded and pure, so that two systems get the same requests at the same moments.

Requests have an intended start, drawn beforehand (a Poisson process), and are sent then whether or not earlier ones
were answered: an open loop. A client that waits for its answer before it sends the next one measures a system that
stalls as few slow requests instead of as many (Gil Tene, "How NOT to Measure Latency", coordinated omission).
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import orjson

START = datetime(2025, 7, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What a request does."""

    INGEST = "ingest"
    QUERY = "query"


class Question(StrEnum):
    """What may be asked of a tenant's events."""

    COUNT = "count"
    """How many there are."""
    BY_ACTION = "by_action"
    """Count and mean of `value` for each of eight actions: what a dashboard asks."""
    HEAVY = "heavy"
    """Count, distinct count and 95th percentile for every user: as expensive as the system lets a tenant be."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that are sent together. `name` is their idempotency key, unique in a run unless a flood repeats it."""

    tenant: str
    name: str
    rows: int
    marker: str
    """What only this tenant's events carry; found with anybody else, it was leaked."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One request, and when it is due, in seconds from the start."""

    at_s: float
    tenant: str
    kind: Kind
    serial: int


def tenant_names(count: int, prefix: str = "tb") -> tuple[str, ...]:
    """Names in order of size: the first tenant is the largest."""
    return tuple(f"{prefix}{index:05d}" for index in range(count))


def zipf_shares(count: int, exponent: float = 1.1) -> tuple[float, ...]:
    """Each tenant's share of the load when sizes follow Zipf's law; they sum to 1.

    >>> [round(share, 2) for share in zipf_shares(3, exponent=1.0)]
    [0.55, 0.27, 0.18]
    """
    weights = [1.0 / rank**exponent for rank in range(1, count + 1)]
    total = sum(weights)
    return tuple(weight / total for weight in weights)


def marker_of(tenant: str, seed: int) -> str:
    """The tenant's marker in this run; it does not contain its name."""
    return "m" + hashlib.blake2s(f"{seed}:{tenant}".encode(), digest_size=8).hexdigest()


def schedule(
    tenants: Sequence[str],
    shares: Sequence[float],
    *,
    rate: float,
    seconds: float,
    ingest_share: float,
    seed: int,
) -> tuple[Intent, ...]:
    """Requests of all tenants together, `rate` a second on average, exponential gaps between them."""
    chance = random.Random(seed)
    cumulative = list(itertools.accumulate(shares))
    found: list[Intent] = []
    at = chance.expovariate(rate)
    while at < seconds:
        tenant = chance.choices(tenants, cum_weights=cumulative)[0]
        kind = Kind.INGEST if chance.random() < ingest_share else Kind.QUERY
        found.append(Intent(at, tenant, kind, len(found)))
        at += chance.expovariate(rate)
    return tuple(found)


def due_times(rate: float, seconds: float) -> Iterator[float]:
    """Moments at an even pace, for floods: the load generator's own randomness would only cost it CPU."""
    return (index / rate for index in range(int(rate * seconds)))


def ndjson(batch: Batch) -> bytes:
    """The events of a batch, one JSON object a line, about 150 bytes each; always the same for the same batch."""
    salt = int.from_bytes(hashlib.blake2s(batch.name.encode(), digest_size=4).digest())
    head = orjson.dumps({"marker": batch.marker, "batch": batch.name})[:-1].decode()
    lines = []
    for n in range(batch.rows):
        mixed = (salt + n) * 2654435761 % 2**32
        at = (START + timedelta(seconds=mixed % 86_400)).strftime("%Y-%m-%dT%H:%M:%SZ")
        user, value = f"user_{mixed % 5_000}", mixed % 10_000
        lines.append(
            f'{head},"n":{n},"user_id":"{user}","action":"action_{mixed % 8}","value":{value},"timestamp":"{at}"}}'
        )
    return "\n".join(lines).encode()
