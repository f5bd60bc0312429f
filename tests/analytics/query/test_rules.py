"""Rules by what they make of a plan: the text before and after, and the law that no rule loses a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.query import parse_request
from tenancy.analytics.query.binding import bind
from tenancy.analytics.query.explain import explain
from tenancy.analytics.query.model import SemanticModel
from tenancy.analytics.query.plan import Plan
from tenancy.analytics.query.rules import RULES, optimise
from tenancy.analytics.schema import DatasetSchema, FieldSpec, FieldType
from tenancy.analytics.storage.snapshot import ColumnStats, Segment
from tenancy.analytics.types import DatasetKind

FIXTURES = Path(__file__).parent / "fixtures"
DAY = datetime(2025, 7, 1, tzinfo=UTC)
PLAYS = DatasetSchema(
    name="plays",
    fields={
        "song_id": FieldSpec(type=FieldType.STRING),
        "action": FieldSpec(type=FieldType.STRING),
        "duration": FieldSpec(type=FieldType.INTEGER),
    },
)
SONGS = DatasetSchema(
    name="songs",
    kind=DatasetKind.DIMENSION,
    key="song_id",
    fields={"song_id": FieldSpec(type=FieldType.STRING), "genre": FieldSpec(type=FieldType.STRING)},
)


def segment(day: int, least: int, most: int, rows: int = 100_000) -> Segment:
    start = DAY + timedelta(days=day)
    columns = {"song_id": "string", "action": "string", "duration": "integer"}
    stats = {"duration": ColumnStats(0, least, most)}
    return Segment(f"{day}", f"folder://{day}", rows, 1, start, start + timedelta(hours=23), columns, stats)


def plan(request: dict[str, Any]) -> Plan:
    bound = bind(parse_request(request), PLAYS, {"plays": PLAYS, "songs": SONGS}, SemanticModel(), DAY)
    segments = (segment(0, 0, 10), segment(1, 5, 100), segment(2, 50, 500), segment(3, 0, 0, rows=0))
    joins = tuple(replace(join, rows=1_000) for join in bound.joins)
    return replace(bound, scan=replace(bound.scan, segments=segments, buffer_rows=7), joins=joins)


REQUESTS: dict[str, dict[str, Any]] = {
    "push_filters": {
        "type": "aggregation",
        "metrics": ["count"],
        "filters": [
            {"field": "genre", "value": "rock"},
            {"field": "action", "value": "play"},
            {"or": [{"field": "genre", "value": "jazz"}, {"field": "duration", "op": "gt", "value": 3}]},
        ],
    },
    "prune_columns": {"type": "aggregation", "metrics": ["sum_duration"], "dimensions": ["genre"]},
    "prune_segments": {
        "type": "aggregation",
        "metrics": ["count"],
        "time_range": {"start": "2025-07-02", "end": "2025-07-05"},
        "filters": [{"field": "duration", "op": "lt", "value": 50}],
    },
    "aggregate_before_join": {
        "type": "aggregation",
        "metrics": ["avg_duration"],
        "dimensions": ["genre", "date"],
        "filters": [{"field": "genre", "op": "ne", "value": "rock"}],
    },
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_makes_of_the_plan_what_the_fixture_says(rule: Any) -> None:
    name = rule.__name__
    before = plan(REQUESTS[name])
    for earlier in RULES[: RULES.index(rule)]:
        before = earlier(before)
    after = rule(before)
    assert after != before
    assert rule(after) == after, "a rule applied twice changes nothing more"
    said = f"{explain(before)}\n\nbecomes\n\n{explain(after)}\n"
    assert said == (FIXTURES / f"{name}.txt").read_text()


@pytest.mark.parametrize(
    "request_",
    [
        {"type": "aggregation", "metrics": ["distinct_action"], "dimensions": ["genre"]},
        {"type": "aggregation", "metrics": ["p50_duration"], "dimensions": ["genre"]},
        {"type": "aggregation", "metrics": ["max_genre"], "dimensions": ["genre"]},
        {"type": "rows", "columns": ["genre"]},
        {
            "type": "aggregation",
            "metrics": ["count"],
            "filters": [{"or": [{"field": "genre", "value": "a"}, {"field": "duration", "value": 1}]}],
        },
    ],
)
def test_what_cannot_be_merged_from_parts_is_joined_first(request_: dict[str, Any]) -> None:
    assert not optimise(plan(request_))[0].aggregate_early


def test_many_keys_for_few_events_are_joined_first() -> None:
    before = plan(REQUESTS["aggregate_before_join"])
    many = replace(before, joins=tuple(replace(join, rows=100_000) for join in before.joins))
    assert optimise(before)[0].aggregate_early
    assert not optimise(many)[0].aggregate_early


def test_more_groups_than_a_cache_holds_are_joined_first() -> None:
    before = plan(REQUESTS["aggregate_before_join"])
    large = replace(before.scan, buffer_rows=10**9)
    within, beyond = (
        replace(before, scan=large, joins=tuple(replace(join, rows=keys) for join in before.joins))
        for keys in (1_000, 1_001)
    )
    assert optimise(within)[0].aggregate_early
    assert not optimise(beyond)[0].aggregate_early


values = st.none() | st.integers(-5, 5)
texts = st.none() | st.sampled_from(["", "a", "ab", "b", "ba", "é"])
floats = st.none() | st.sampled_from([float("nan"), float("inf"), -1.5, 0.0, 2.5])
conditions = st.one_of(
    st.builds(
        lambda op, v: {"field": "n", "op": op, "value": v},
        st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]),
        st.integers(-6, 6),
    ),
    st.builds(
        lambda op, v: {"field": "x", "op": op, "value": v},
        st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]),
        st.sampled_from([-2.0, -1.5, 0.0, 3.0]),
    ),
    st.builds(
        lambda op, v: {"field": "s", "op": op, "value": v},
        st.sampled_from(["eq", "ne", "lt", "gt", "starts_with", "ends_with", "contains"]),
        st.sampled_from(["a", "b", "ab", "é", "zz"]),
    ),
    st.builds(lambda v: {"field": "s", "op": "in", "value": v}, st.lists(st.sampled_from("abz"), min_size=1)),
    st.builds(lambda f, v: {"field": f, "op": "is_null", "value": v}, st.sampled_from("nsx"), st.booleans()),
)
trees = st.recursive(
    conditions,
    lambda inner: st.lists(inner, min_size=1, max_size=2).flatmap(
        lambda parts: st.sampled_from([{"and": parts}, {"or": parts}, {"not": parts[0]}])
    ),
    max_leaves=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(values, floats, texts), min_size=1, max_size=12), st.lists(st.integers(0, 12)), trees)
def test_pruning_never_loses_a_row(
    data: Any, ask: Any, rows: list[tuple[Any, ...]], cuts: list[int], condition: Any
) -> None:
    n, x, s = zip(*rows, strict=True)
    table = pa.table({"n": pa.array(n, pa.int64()), "x": pa.array(x, pa.float64()), "s": pa.array(s, pa.string())})
    query = {"type": "rows", "columns": ["event_id"], "filters": [condition]}
    data.put("plays", table, cuts=cuts)
    pruned = ask(query)
    data.put("plays", table, statistics=False)
    assert pruned.data == ask(query).data
