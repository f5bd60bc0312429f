"""Answers against an oracle that shares nothing with the code: plain Python over the same rows."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.errors import UnknownNameError
from tenancy.analytics.query.rules import aggregate_before_join
from tenancy.analytics.types import DatasetKind

TIME = pa.timestamp("us", tz="UTC")
START = datetime(2025, 3, 28, tzinfo=UTC)

# Every example puts new data into the same folder, under new names.
reused = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

row = st.fixed_dictionaries(
    {
        "event_time": st.integers(0, 5 * 86_400).map(lambda s: START + timedelta(seconds=s)),
        "action": st.sampled_from(["play", "play_song", "playlist", "skip", "it's; --", None]),
        "song_id": st.sampled_from(["s1", "s2", "s3", "unknown", None]),
        "duration": st.none() | st.integers(-(2**40), 2**40),
        "score": st.none() | st.floats(-1e6, 1e6, allow_nan=False),
        "liked": st.none() | st.booleans(),
    }
)
rows = st.lists(row, max_size=60)
SONGS = {"s1": ("rock", "Ada"), "s2": ("jazz", "Ben"), "s3": ("rock", None)}

field_filters = st.one_of(
    st.builds(
        lambda op, v: {"field": "action", "op": op, "value": v},
        st.sampled_from(["eq", "ne", "lt", "ge", "contains", "starts_with", "ends_with"]),
        st.sampled_from(["play", "play_song", "skip", "it's; --", "'", "p", "_"]),
    ),
    st.builds(
        lambda op, v: {"field": "duration", "op": op, "value": v},
        st.sampled_from(["eq", "ne", "lt", "le", "gt", "ge"]),
        st.integers(-(2**40), 2**40) | st.just(0),
    ),
    st.builds(
        lambda f, op, v: {"field": f, "op": op, "value": v},
        st.just("genre"),
        st.sampled_from(["in", "not_in"]),
        st.lists(st.sampled_from(["rock", "jazz", "folk"]), min_size=1, max_size=3),
    ),
    st.builds(lambda a, b: {"field": "score", "op": "between", "value": [a, b]}, st.floats(-1e6, 0), st.floats(0, 1e6)),
    st.builds(
        lambda f, v: {"field": f, "op": "is_null", "value": v},
        st.sampled_from(["duration", "action", "genre", "liked"]),
        st.booleans(),
    ),
    st.builds(lambda v: {"field": "liked", "op": "eq", "value": v}, st.booleans()),
)
filters = st.recursive(
    field_filters,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"and": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"or": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=6,
)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    columns = {
        "event_time": TIME,
        "action": pa.string(),
        "song_id": pa.string(),
        "duration": pa.int64(),
        "score": pa.float64(),
        "liked": pa.bool_(),
    }
    return pa.table({name: pa.array([r[name] for r in rows], kind) for name, kind in columns.items()})


def songs() -> pa.Table:
    genres, artists = zip(*SONGS.values(), strict=True)
    # The first row is replaced by a later one of the same key.
    return pa.table({"song_id": ["s1", *SONGS], "genre": ["gone", *genres], "artist": ["gone", *artists]})


def joined(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    known = [SONGS.get(r["song_id"], (None, None)) for r in rows]
    return [{**r, "genre": genre, "artist": artist} for r, (genre, artist) in zip(rows, known, strict=True)]


def holds(given: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    if "and" in given:
        return all(holds(part, row) for part in given["and"])
    if "or" in given:
        return any(holds(part, row) for part in given["or"])
    if "not" in given:
        return not holds(given["not"], row)
    value, wanted = row[given["field"]], given["value"]
    match given["op"]:
        case "is_null":
            return bool((value is None) == wanted)
        case "ne":
            return bool(value is None or value != wanted)
        case "not_in":
            return bool(value is None or value not in wanted)
    if value is None:
        return False
    match given["op"]:
        case "eq":
            return bool(value == wanted)
        case "lt":
            return bool(value < wanted)
        case "le":
            return bool(value <= wanted)
        case "gt":
            return bool(value > wanted)
        case "ge":
            return bool(value >= wanted)
        case "in":
            return value in wanted
        case "between":
            return bool(wanted[0] <= value <= wanted[1])
        case "contains":
            return wanted in value
        case "starts_with":
            return str(value).startswith(wanted)
        case "ends_with":
            return str(value).endswith(wanted)
    raise AssertionError(given)


def quantile(values: list[float], q: float) -> float:
    ordered = sorted(values)
    at = q * (len(ordered) - 1)
    low, high = ordered[math.floor(at)], ordered[math.ceil(at)]
    return low + (high - low) * (at - math.floor(at))


def measures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    durations = [r["duration"] for r in rows if r["duration"] is not None]
    scores = [r["score"] for r in rows if r["score"] is not None]
    return {
        "count": len(rows),
        "play_count": sum(r["action"] in ("play", "play_song") for r in rows),
        "sum_duration": sum(durations) if durations else None,
        "avg_score": statistics.fmean(scores) if scores else None,
        "min_duration": min(durations, default=None),
        "max_score": max(scores, default=None),
        "p90_score": quantile(scores, 0.9) if scores else None,
        "distinct_song_id": len({r["song_id"] for r in rows} - {None}),
        "sum_liked": sum(r["liked"] for r in rows if r["liked"] is not None)
        if any(r["liked"] is not None for r in rows)
        else None,
    }


def grouped(rows: list[dict[str, Any]], by: Callable[[dict[str, Any]], tuple[Any, ...]]) -> dict[tuple[Any, ...], Any]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for r in rows:
        groups.setdefault(by(r), []).append(r)
    return {key: measures(members) for key, members in groups.items()}


def nulls_last(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((part is None, part) for part in key)


def same(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            assert ours[name] == (pytest.approx(value, rel=1e-9, abs=1e-6) if isinstance(value, float) else value), name


METRICS = list(measures([]))


def put(data: Any, given: list[dict[str, Any]], cuts: list[int], buffered: int) -> None:
    data.put("user_interactions", table(given), cuts=cuts, buffered=min(buffered, len(given)))
    data.put("songs", songs(), buffered=1, kind=DatasetKind.DIMENSION, key="song_id")


parts = st.lists(st.integers(0, 60), max_size=4)
buffers = st.integers(0, 60)


@reused
@given(rows, parts, buffers, st.lists(filters, max_size=2), st.sampled_from([[], ["genre"], ["action", "artist"]]))
def test_an_aggregation_is_what_python_makes_of_the_rows(
    data: Any, ask: Any, given: Any, cuts: Any, buffered: int, conditions: Any, dimensions: list[str]
) -> None:
    put(data, given, cuts, buffered)
    matching = [r for r in joined(given) if all(holds(c, r) for c in conditions)]
    expected = grouped(matching, lambda r: tuple(r[d] for d in dimensions))
    if not dimensions:
        expected = expected or {(): measures([])}
    found = ask({"type": "aggregation", "metrics": METRICS, "dimensions": dimensions, "filters": conditions})
    keys = sorted(expected, key=nulls_last)
    same(found.data, [dict(zip(dimensions, key, strict=True)) | expected[key] for key in keys])


@reused
@given(
    rows,
    parts,
    buffers,
    st.sampled_from(["minute", "hour", "day", "week", "month", "quarter", "year"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_a_time_series_has_the_buckets_of_the_zone_also_where_clocks_change(
    data: Any, ask: Any, given: Any, cuts: Any, buffered: int, grain: str, zone: str
) -> None:
    put(data, given, cuts, buffered)

    def bucket(moment: datetime) -> str:
        local = moment.astimezone(ZoneInfo(zone))
        if grain in ("minute", "hour"):
            within = local.second + (60 * local.minute if grain == "hour" else 0)
            return (moment - timedelta(seconds=within)).astimezone(ZoneInfo(zone)).isoformat()
        day = local.date()
        first = {
            "day": day,
            "week": day - timedelta(days=day.weekday()),
            "month": day.replace(day=1),
            "quarter": day.replace(day=1, month=1 + 3 * ((day.month - 1) // 3)),
            "year": day.replace(day=1, month=1),
        }
        return first[grain].isoformat()

    expected = grouped(given, lambda r: (bucket(r["event_time"]),))
    found = ask({"type": "timeseries", "metrics": METRICS, "grain": grain, "time_zone": zone})
    name = "time" if grain in ("minute", "hour") else "date"
    keys = sorted(expected, key=lambda key: datetime.fromisoformat(key[0]))
    same(found.data, [{name: key[0]} | expected[key] for key in keys])


@reused
@given(rows, parts, buffers, st.integers(0, 5 * 86_400), st.integers(1, 5 * 86_400))
def test_a_time_range_includes_its_start_and_not_its_end(
    data: Any, ask: Any, given: Any, cuts: Any, buffered: int, start_s: int, length_s: int
) -> None:
    put(data, given, cuts, buffered)
    start = START + timedelta(seconds=start_s)
    end = start + timedelta(seconds=length_s)
    expected = sum(start <= r["event_time"] < end for r in given)
    wanted = {"start": start.isoformat(), "end": end.isoformat()}
    assert ask({"type": "aggregation", "metrics": ["count"], "time_range": wanted}).data == [{"count": expected}]


@reused
@given(rows, parts, buffers, st.integers(1, 5), st.sampled_from(["asc", "desc"]))
def test_topk_is_the_head_of_the_order_ties_broken_by_the_dimension(
    data: Any, ask: Any, given: Any, cuts: Any, buffered: int, k: int, direction: str
) -> None:
    put(data, given, cuts, buffered)
    counts = grouped(given, lambda r: (r["action"],))
    sign = 1 if direction == "asc" else -1
    order = sorted(counts, key=lambda key: (sign * counts[key]["count"], nulls_last(key)))
    found = ask({"type": "topk", "metric": "count", "dimension": "action", "k": k, "direction": direction})
    assert [(r["action"], r["count"]) for r in found.data] == [(key[0], counts[key]["count"]) for key in order[:k]]
    assert found.stats.truncated == (len(order) > k)


@reused
@given(
    rows,
    parts,
    buffers,
    st.integers(1, 20),
    st.sampled_from([[], ["action"], ["-duration"], ["-score", "genre"], ["liked", "-action"]]),
    st.lists(filters, max_size=1),
)
def test_pages_joined_are_all_rows_once_in_order(
    data: Any, ask: Any, given: Any, cuts: Any, buffered: int, limit: int, order: list[str], conditions: Any
) -> None:
    put(data, given, cuts, buffered)
    numbered = [{**r, "event_id": f"id-{i:08d}"} for i, r in enumerate(joined(given))]
    expected = [r for r in numbered if all(holds(c, r) for c in conditions)]
    expected.sort(key=lambda r: (r["event_time"], r["event_id"]), reverse=True)
    for key in reversed(order):
        name, descending = key.removeprefix("-"), key.startswith("-")
        # Python's sort is stable, reversed too: ties stay newest first.
        present = [r for r in expected if r[name] is not None]
        present.sort(key=itemgetter(name), reverse=descending)
        expected = present + [r for r in expected if r[name] is None]
    query = {"type": "rows", "columns": ["event_id", "genre"], "order": order, "limit": limit, "filters": conditions}
    pages, following = [], None
    for _ in range(len(given) + 2):
        page = ask({**query, "cursor": following})
        pages += page.data
        following = page.next_cursor
        assert (following is not None) == page.stats.truncated
        if following is None:
            break
    assert pages == [{"event_id": r["event_id"], "genre": r["genre"]} for r in expected]


@reused
@given(rows, filters)
def test_a_filter_and_its_not_divide_the_rows(data: Any, ask: Any, given: Any, condition: Any) -> None:
    put(data, given, [20], 10)

    def count(*conditions: Any) -> int:
        found: int = ask({"type": "aggregation", "metrics": ["count"], "filters": list(conditions)}).data[0]["count"]
        return found

    assert count(condition) + count({"not": condition}) == count() == len(given)


def test_pages_pass_rows_that_have_the_same_keys_once(data: Any, ask: Any) -> None:
    times = pa.array([START] * 7, TIME)
    data.put("plays", pa.table({"event_time": times, "event_id": ["same"] * 7, "n": list(range(7))}), cuts=[3])
    for offset in (0, 1, 3):
        seen: list[Any] = []
        page = ask({"type": "rows", "columns": ["event_id"], "limit": 2, "offset": offset})
        while page.next_cursor and len(seen) < 10:
            seen += page.data
            page = ask({"type": "rows", "columns": ["event_id"], "limit": 2, "cursor": page.next_cursor})
        assert len(seen + page.data) == 7 - offset


def test_having_order_limit_and_offset_cut_the_groups(data: Any, ask: Any) -> None:
    data.put("plays", pa.table({"action": [*"aaabbbccdde"]}))
    query = {
        "type": "aggregation",
        "metrics": ["count"],
        "dimensions": ["action"],
        "having": [{"field": "count", "op": "ge", "value": 2}],
        "order": ["-count", "-action"],
    }
    assert [(r["action"], r["count"]) for r in ask(query).data] == [("b", 3), ("a", 3), ("d", 2), ("c", 2)]
    cut = ask({**query, "limit": 2, "offset": 1})
    assert [r["action"] for r in cut.data] == ["a", "d"]
    assert cut.stats.truncated
    assert not ask({**query, "limit": 4}).stats.truncated


def test_having_knows_or_and_not_as_filters_do(data: Any, ask: Any) -> None:
    data.put("plays", pa.table({"action": [*"aaaabbbccd"], "n": [1] * 9 + [5]}))
    query = {"type": "aggregation", "metrics": ["count", "sum_n"], "dimensions": ["action"]}
    either = {"or": [{"field": "count", "op": "gt", "value": 3}, {"field": "sum_n", "value": 5}]}
    assert [r["action"] for r in ask({**query, "having": either}).data] == ["a", "d"]
    assert [r["action"] for r in ask({**query, "having": {"not": either}}).data] == ["b", "c"]
    both = [{"field": "count", "op": "lt", "value": 4}, {"not": either}, {"field": "sum_n", "op": "ne", "value": 2}]
    assert [r["action"] for r in ask({**query, "having": both}).data] == ["b"]
    with pytest.raises(UnknownNameError, match="'sum_n'"):
        ask({**query, "having": {"or": [{"field": "sum_m", "value": 5}]}})


def test_gaps_are_filled_for_every_group_over_the_whole_range(data: Any, ask: Any) -> None:
    times = [datetime(2025, 3, 29, 12, tzinfo=UTC), datetime(2025, 3, 31, 12, tzinfo=UTC)]
    data.put("plays", pa.table({"event_time": pa.array(times, TIME), "action": ["a", "b"], "n": [1, 2]}))
    query = {
        "type": "timeseries",
        "metrics": ["count", "sum_n"],
        "group_by": ["action"],
        "time_zone": "Europe/Berlin",
        "time_range": {"start": "2025-03-29", "end": "2025-04-01"},
    }
    zeros = ask({**query, "fill": "zero"}).data
    assert [(r["date"], r["action"], r["count"], r["sum_n"]) for r in zeros] == [
        ("2025-03-29", "a", 1, 1),
        ("2025-03-29", "b", 0, 0),
        ("2025-03-30", "a", 0, 0),
        ("2025-03-30", "b", 0, 0),
        ("2025-03-31", "a", 0, 0),
        ("2025-03-31", "b", 1, 2),
    ]
    nulls = ask({**query, "fill": "null"}).data
    assert [r["count"] for r in nulls] == [1, None, None, None, None, 1]
    hours = ask({**query, "grain": "hour", "group_by": [], "fill": "zero"}).data
    assert len(hours) == 71, "the day the clock goes forward has 23 hours"
    assert sum(r["count"] for r in hours) == 2
    assert ask({**query, "fill": "none"}).stats.rows_returned == 2


def test_segments_of_different_columns_and_types_answer_as_one(data: Any, ask: Any) -> None:
    first = data.put("plays", pa.table({"n": pa.array([1, 2], pa.int64())}))
    second = data.put("plays", pa.table({"n": pa.array([0.5, None], pa.float64()), "late": ["x", "y"]}), buffered=1)
    snapshot = type(second)(second.schema, first.segments + second.segments, second.buffer, "v")
    data.snapshots["plays"] = snapshot
    found = ask({"type": "aggregation", "metrics": ["count", "sum_n", "distinct_late"]})
    assert found.data == [{"count": 4, "sum_n": 3.5, "distinct_late": 2}]
    by = ask({"type": "aggregation", "metrics": ["count"], "dimensions": ["late"]})
    assert [(r["late"], r["count"]) for r in by.data] == [("x", 1), ("y", 1), (None, 2)]
    only = ask({"type": "aggregation", "metrics": ["sum_n"], "filters": [{"field": "late", "value": "x"}]})
    assert only.data == [{"sum_n": 0.5}]
    assert only.stats.segments_pruned == 1


def test_sums_of_whole_numbers_are_exact_or_an_error(data: Any, ask: Any) -> None:
    data.put("plays", pa.table({"n": pa.array([2**62, 2**62 - 1, 1, -1], pa.int64())}))
    assert ask({"type": "aggregation", "metrics": ["sum_n"]}).data == [{"sum_n": 2**63 - 1}]
    data.put("plays", pa.table({"n": pa.array([2**62] * 3, pa.int64())}))
    with pytest.raises(Exception, match="beyond 64 bits"):
        ask({"type": "aggregation", "metrics": ["sum_n"]})
    least = {"type": "aggregation", "metrics": ["count"], "filters": [{"field": "n", "op": "gt", "value": -(2**63)}]}
    assert ask(least).data == [{"count": 3}]


@reused
@given(rows, parts, buffers, st.lists(filters, max_size=2), st.sampled_from([["genre"], ["genre", "action"], ["date"]]))
def test_early_aggregation_gives_what_the_plain_plan_gives(
    data: Any, ask: Any, given: Any, cuts: Any, buffered: int, conditions: Any, dimensions: list[str]
) -> None:
    put(data, given, cuts, buffered)
    query = {
        "type": "aggregation",
        "metrics": ["count", "play_count", "sum_duration", "avg_score", "min_duration", "max_score", "avg_liked"],
        "dimensions": dimensions,
        "filters": [*conditions, {"field": "artist", "op": "ne", "value": "Ben"}],
    }
    plain = ask(query)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[aggregate_before_join.__module__], "LEAST_ROWS", 0)
        patch.setattr(sys.modules[aggregate_before_join.__module__], "LEAST_RATIO", 0)
        early = ask(query)
    assert '"partial"' not in plain.sql
    if not any("genre" in str(c) and ("or" in c or "not" in c or "and" in c) for c in conditions):
        assert '"partial"' in early.sql, "a filter that mixes tables and events may keep the rule away, no other"
    same(early.data, plain.data)
