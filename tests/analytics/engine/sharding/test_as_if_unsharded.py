"""The law: whatever is collected, repeated, refused and resharded, a tenant on shards is as one on none."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import orjson
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tenancy.analytics.collection import Payload
from tenancy.analytics.collection.payload import Media
from tenancy.analytics.engine import AnalyticsEngine
from tenancy.analytics.errors import IdempotencyMismatchError
from tenancy.analytics.testing import ManualClock
from tenancy.analytics.types import Receipts
from tests.analytics.engine.sharding.conftest import EVENTS, Cluster

NOON = datetime(2025, 7, 15, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Collect:
    key: str
    lines: tuple[bytes, ...]


@dataclass(frozen=True)
class Reshard:
    shards: int


@dataclass(frozen=True)
class Pass:
    hours: int


Step: TypeAlias = Collect | Reshard | Pass


@st.composite
def line(draw: st.DrawFn) -> bytes:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([b"not json", b"[1]", b'{"user_id":', b'{"n":1,"n":2}', b'{"n":NaN}']))
    user = draw(st.one_of(st.none(), st.sampled_from("abcdef")))
    event: dict[str, Any] = {} if user is None else {"user_id": user}
    if draw(st.booleans()):
        event["event_id"] = f"{user}{draw(st.integers(0, 4))}"
    if draw(st.booleans()):
        event["n"] = draw(st.one_of(st.integers(-5, 5), st.just("text"), st.booleans()))
    if draw(st.integers(0, 3)) == 0:
        event[draw(st.sampled_from(["x", "y", "Y"]))] = draw(st.sampled_from([1, "one", {"z": 2}, [1], None]))
    if draw(st.booleans()):
        event["timestamp"] = (NOON - timedelta(hours=draw(st.integers(0, 60)))).isoformat()
    return orjson.dumps(event)


collects = st.builds(Collect, st.sampled_from(["k1", "k2", "k3"]), st.lists(line(), min_size=1, max_size=8).map(tuple))
steps = st.lists(
    st.one_of(collects, collects, collects, st.builds(Reshard, st.integers(1, 4)), st.builds(Pass, st.integers(1, 9))),
    min_size=3,
    max_size=10,
)

QUERIES: tuple[dict[str, Any], ...] = (
    {"type": "aggregation", "metrics": ["count", "distinct_user_id"]},
    {"type": "aggregation", "metrics": ["count"], "dimensions": ["user_id"]},
    {"type": "timeseries", "metrics": ["count", "distinct_user_id"], "grain": "day", "fill": "zero"},
    {
        "type": "aggregation",
        "metrics": ["count"],
        "dimensions": ["user_id"],
        "limit": 2,
        "order": ["-count", "user_id"],
    },
    {"type": "timeseries", "metrics": ["count"], "grain": "day", "dimensions": ["user_id"], "fill": "zero"},
    {"type": "topk", "metric": "count", "dimension": "user_id", "k": 50},
)


async def run(history: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = ManualClock(NOON)
        cluster = Cluster(Path(folder), clock)
        cluster.backing.register("plain", {})
        plain = AnalyticsEngine.open("plain", cluster.resources)
        try:
            keys: dict[str, Collect] = {}
            for step in history:
                match step:
                    case Reshard(shards):
                        await cluster.reshard(shards)
                    case Pass(hours):
                        clock.advance(timedelta(hours=hours))
                    case Collect(key, lines):
                        # A key most often comes with the body it came with before.
                        first = keys.setdefault(key, step)
                        for body in dict.fromkeys((lines, first.lines)):
                            await collect_both(plain, cluster, Payload(b"\n".join(body), Media.NDJSON), key)
            await compare(plain, cluster)
        finally:
            await plain.close()
            await cluster.close()


async def collect_both(plain: AnalyticsEngine, cluster: Cluster, payload: Payload, key: str) -> None:
    expected: Receipts | None
    try:
        expected = await plain.collect(EVENTS, payload, idempotency_key=key)
    except IdempotencyMismatchError:
        expected = None
    found: Receipts | None
    try:
        found = await cluster.collect(payload, key)
    except IdempotencyMismatchError:
        found = None
    assert (found is None) == (expected is None)
    if found is None or expected is None:
        return
    told = [(each.status, each.line, each.refusal) for each in found]
    assert told == [(each.status, each.line, each.refusal) for each in expected]
    assert (found.replayed, found.own_ids) == (expected.replayed, expected.own_ids)
    assert len({each.event_id for each in found if each.event_id}) >= len(
        {each.event_id for each in expected if each.event_id}
    )


async def compare(plain: AnalyticsEngine, cluster: Cluster) -> None:
    whole = cluster.tenant()
    (expected,) = [info for info in await plain.datasets() if info.name == EVENTS]
    assert [info for info in await whole.datasets() if info.name == EVENTS] == [expected]
    for query in QUERIES:
        if "user_id" in str(query) and "user_id" not in expected.fields:
            continue
        assert sorted((await whole.query(query)).data, key=repr) == sorted((await plain.query(query)).data, key=repr)
    columns = ["event_time", *sorted(expected.fields)]
    rows = {"type": "rows", "columns": columns, "order": columns, "limit": 1000}
    plain_rows = (await plain.query(rows)).data
    assert (await whole.query(rows)).data == plain_rows
    refused = [
        sorted((row["error_line"], row["raw"], row["error_code"]) for row in page.data)
        for page in (await plain.quarantine(EVENTS), await whole.quarantine(EVENTS))
    ]
    assert refused[0] == refused[1]


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(steps)
async def test_receipts_and_answers_are_those_of_an_unsharded_tenant(history: list[Step]) -> None:
    await run(history)
