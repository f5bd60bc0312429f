"""Filled time series against plain Python that knows no grid: it asks each moment of the range for its bucket."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.errors import InvalidRequestError, QueryTimeoutError
from tenancy.analytics.query import gaps
from tenancy.analytics.query.plan import Bucket, Column, Fill, Group, Kind, Plan, Scan
from tenancy.analytics.query.time_range import Interval, floor, floor_date

TIME = pa.timestamp("us", tz="UTC")
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]
# Clocks go forward in Berlin; back by half an hour on Lord Howe; forward by half an hour there.
STARTS = [
    datetime(2025, 3, 29, 7, tzinfo=UTC),
    datetime(2025, 4, 5, 3, tzinfo=UTC),
    datetime(2025, 10, 4, 3, tzinfo=UTC),
]
OPERATORS = {
    "eq": lambda a, b: a == b,
    "ge": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "ne": lambda a, b: a != b,
}

reused = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def bucket_of(moment: datetime, grain: str, zone: str) -> date | datetime:
    if grain in ("second", "minute", "hour"):
        return floor(moment, grain, ZoneInfo(zone))
    return floor_date(moment.astimezone(ZoneInfo(zone)).date(), grain)


def buckets_of(first: datetime, last: datetime, grain: str, zone: str) -> list[date | datetime]:
    step = {"second": timedelta(seconds=1), "minute": timedelta(minutes=1)}.get(grain, timedelta(minutes=15))
    found, moment = {bucket_of(last, grain, zone)}, first
    while moment <= last:
        found.add(bucket_of(moment, grain, zone))
        moment += step
    return sorted(found)


def series(rows: Sequence[tuple[datetime, str | None, int | None]]) -> pa.Table:
    times, actions, numbers = ([row[i] for row in rows] for i in range(3))
    columns = {"event_time": (times, TIME), "action": (actions, pa.string()), "n": (numbers, pa.int64())}
    return pa.table({name: pa.array(values, kind) for name, (values, kind) in columns.items()})


@reused
@given(
    st.sampled_from(STARTS),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["a", "b", None]), st.none() | st.integers(0, 9)), max_size=12),
    st.sampled_from([("second", 40), ("minute", 9_000), ("hour", 60 * 3_600), ("day", 9 * 86_400), ("month", 9**7)]),
    st.sampled_from(ZONES),
    st.booleans(),
    st.sampled_from(["zero", "null"]),
    st.none() | st.tuples(st.sampled_from(sorted(OPERATORS)), st.integers(0, 2)),
    st.integers(1, 80),
    st.tuples(st.booleans(), st.booleans()),
)
def test_a_filled_series_is_filled_first_then_filtered_then_cut(
    data: Any,
    ask: Any,
    start: datetime,
    given: Any,
    grained: tuple[str, int],
    zone: str,
    by_action: bool,
    fill: str,
    having: tuple[str, int] | None,
    limit: int,
    open_ends: tuple[bool, bool],
) -> None:
    grain, seconds = grained
    rows = [(start + timedelta(seconds=int(at * (seconds - 1))), action, n) for at, action, n in given]
    data.put("plays", series(rows))
    end = start + timedelta(seconds=seconds)
    times = [row[0] for row in rows]
    first = min(times, default=None) if open_ends[0] else start
    last = max(times, default=None) if open_ends[1] else end - timedelta(microseconds=1)
    buckets = buckets_of(first, last, grain, zone) if first and last else []
    groups: list[tuple[Any, ...]] = [()]
    if by_action:
        groups = sorted({row[1:2] for row in rows}, key=lambda group: (group[0] is None, group[0] or ""))
    expected = []
    for bucket in buckets:
        for group in groups:
            here = [r for r in rows if bucket_of(r[0], grain, zone) == bucket and (not by_action or r[1:2] == group)]
            numbers = [n for _, _, n in here if n is not None]
            gap = 0 if fill == "zero" else None
            count, total = (len(here), sum(numbers) if numbers else None) if here else (gap, gap)
            if having is None or (
                OPERATORS[having[0]](count, having[1]) if count is not None else having[0] == "ne"
            ):  # as in filters, null satisfies `ne` and nothing else
                expected.append((bucket, *group, count, total))
    found = ask(
        {
            "type": "timeseries",
            "metrics": ["count", "sum_n"],
            "grain": grain,
            "group_by": ["action"] if by_action else [],
            "time_zone": zone,
            "time_range": {
                "start": None if open_ends[0] else start.isoformat(),
                "end": None if open_ends[1] else end.isoformat(),
            },
            "fill": fill,
            "having": [{"field": "count", "op": having[0], "value": having[1]}] if having else [],
            "limit": limit,
        }
    )
    assert list(zip(*(column.to_pylist() for column in found.to_arrow().columns), strict=True)) == expected[:limit]
    assert found.stats.truncated == (len(expected) > limit)


def test_the_limit_cuts_the_filled_rows_and_no_day_with_events_becomes_zero(data: Any, ask: Any) -> None:
    days = [datetime(2025, 7, day, 12, tzinfo=UTC) for day in range(1, 11)]
    data.put("plays", series([(day, "a", 1) for day in days]))
    query = {
        "type": "timeseries",
        "metrics": ["count"],
        "fill": "zero",
        "limit": 3,
        "time_range": {"start": "2025-07-01", "end": "2025-07-11"},
    }
    found = ask(query)
    assert found.data == [{"date": f"2025-07-{day:02d}", "count": 1} for day in (1, 2, 3)]
    assert found.stats.truncated
    whole = ask({**query, "limit": 10})
    assert [row["count"] for row in whole.data] == [1] * 10
    assert not whole.stats.truncated


def test_what_having_removes_does_not_come_back_as_zero(data: Any, ask: Any) -> None:
    days = [datetime(2025, 7, day, 12, tzinfo=UTC) for day in (1, 1, 1, 2, 4, 4)]
    data.put("plays", series([(day, "a", 1) for day in days]))
    query = {"type": "timeseries", "metrics": ["count"], "fill": "zero"}
    kept = ask({**query, "having": [{"field": "count", "op": "ge", "value": 2}]}).data
    assert [(row["date"], row["count"]) for row in kept] == [("2025-07-01", 3), ("2025-07-04", 2)]
    silent = ask({**query, "having": [{"field": "count", "value": 0}]}).data
    assert silent == [{"date": "2025-07-03", "count": 0}], "having finds the gaps, too"


def test_groups_of_nan_keep_their_events(data: Any, ask: Any) -> None:
    times = pa.array([datetime(2025, 7, day, tzinfo=UTC) for day in (1, 2)], TIME)
    data.put("plays", pa.table({"event_time": times, "x": [float("nan"), 1.0]}))
    found = ask({"type": "timeseries", "metrics": ["count"], "group_by": ["x"], "fill": "zero"}).data
    assert [row["count"] for row in found] == [0, 1, 1, 0]


def test_a_range_of_too_many_buckets_is_refused_before_anything_is_read(data: Any, ask: Any) -> None:
    made = data.put("plays", series([(datetime(2025, 7, 1, tzinfo=UTC), "a", 1)]))
    data.filesystem.failures[made.segments[0].url] = AssertionError("it was read")
    query = {"type": "timeseries", "metrics": ["count"], "grain": "second", "fill": "zero"}
    with pytest.raises(InvalidRequestError, match="more than 2,000,000 rows"):
        ask({**query, "time_range": {"start": "2021-01-01", "end": "2026-01-01"}})
    with pytest.raises(InvalidRequestError, match="within the years 2 to 9998"):
        ask(
            {
                **query,
                "grain": "month",
                "time_zone": "America/New_York",
                "time_range": {"start": "0001-01-01T00:00Z", "end": "2025-01-01"},
            }
        )


def test_too_many_buckets_for_the_groups_found_are_refused(data: Any, ask: Any) -> None:
    first = datetime(2025, 7, 1, tzinfo=UTC)
    data.put("plays", series([(first, str(group), 1) for group in range(700)] + [(first + timedelta(hours=1), "a", 1)]))
    query = {"type": "timeseries", "metrics": ["count"], "grain": "second", "fill": "zero"}
    assert ask(query).stats.rows_returned == 3_601
    with pytest.raises(InvalidRequestError, match="fewer dimensions"):
        ask({**query, "group_by": ["action"]})


def test_filling_ends_with_the_deadline(data: Any, ask: Any) -> None:
    data.put("plays", series([(datetime(2025, 7, 1, tzinfo=UTC), "a", 1)]))
    query = {
        "type": "timeseries",
        "metrics": ["count"],
        "grain": "second",
        "fill": "zero",
        "time_range": {"start": "2025-07-01", "end": "2025-07-23"},
    }
    with pytest.raises(QueryTimeoutError):
        ask(query, timeout_s=0.01)
    began = time.monotonic()
    found = ask(query, timeout_s=30)
    assert time.monotonic() - began < 10, "1.9 million buckets, which a loop would take 20 s for"
    assert (found.stats.rows_returned, found.stats.truncated) == (100_000, True)


@given(
    st.sampled_from(["minute", "hour"]),
    st.sampled_from(ZONES),
    st.sampled_from(STARTS),
    st.integers(0, 86_400 * 10**6),
    st.integers(1, 12 * 3_600 * 10**6),
)
@settings(max_examples=100, deadline=None)
def test_the_grid_has_the_bucket_of_every_moment_and_no_other(
    grain: str, zone: str, day: datetime, offset_us: int, length_us: int
) -> None:
    start = day + timedelta(microseconds=offset_us)
    end = start + timedelta(microseconds=length_us)
    bucket = Bucket(Column("events", "event_time", Kind.TIMESTAMP), grain, zone)
    scan = Scan("plays", (), Interval(start, end))
    plan = Plan("groups", scan, (), (Group("time", bucket),), fill=Fill(bucket, "zero"))
    grid = gaps.buckets(plan, pa.table({"time": pa.array([], pa.timestamp("us"))}))
    moments = [start, end - timedelta(microseconds=1)]
    minute = start.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while minute < end:
        moments.append(minute)
        minute += timedelta(minutes=1)
    expected = sorted({floor(moment, grain, ZoneInfo(zone)).replace(tzinfo=None) for moment in moments})
    assert grid.column(0).to_pylist() == expected
