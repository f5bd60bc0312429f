from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from tenancy.analytics.errors import InvalidRequestError, UnknownNameError
from tenancy.analytics.types import DatasetKind


@pytest.fixture
def flights(data: Any) -> None:
    data.put(
        "flights",
        pa.table({"carrier": ["AA"], "tailnum": ["N1"], "year": [2013], "delayed": [True], "delay": [1.5]}),
        time_field="time_hour",
    )
    data.put("airlines", pa.table({"carrier": ["AA"], "name": ["American"]}), kind=DatasetKind.DIMENSION, key="carrier")
    planes = pa.table({"tailnum": ["N1"], "year": [1999], "name": ["Spirit"], "seats": [150]})
    data.put("planes", planes, kind=DatasetKind.DIMENSION, key="tailnum")


def one(ask: Any, metric: str = "count", dimension: str | None = None) -> tuple[Any, ...]:
    dimensions = [dimension] if dimension else []
    query = {"type": "aggregation", "dataset": "flights", "metrics": [metric], "dimensions": dimensions}
    return tuple(ask(query).data[0].values())


@pytest.mark.usefixtures("flights")
@pytest.mark.parametrize(
    ("dimension", "value"),
    [
        ("carrier", "AA"),
        ("seats", 150),
        ("year", 2013),  # the event's own column before that of the planes and before the unit of time
        ("planes.year", 1999),
        ("airlines.name", "American"),
        ("time_hour", "2025-07-15T12:00:00+00:00"),
        ("date", "2025-07-15"),
        ("month", "2025-07-01"),
        ("hour_of_day", 12),
        ("day_of_week", 2),
    ],
)
def test_a_dimension_is_a_column_one_joined_or_a_part_of_the_time(ask: Any, dimension: str, value: Any) -> None:
    assert one(ask, "count", dimension) == (value, 1)


@pytest.mark.usefixtures("flights")
@pytest.mark.parametrize(
    ("metric", "value"),
    [("avg_delay", 1.5), ("sum_year", 2013), ("p99_delay", 1.5), ("distinct_name_x", None), ("max_seats", 150),
     ("avg_delayed", 1.0), ("min_carrier", "AA"), ("distinct_carrier", 1)],
)  # fmt: skip
def test_a_metric_is_a_function_and_a_column(ask: Any, metric: str, value: Any) -> None:
    if value is None:
        with pytest.raises(UnknownNameError):
            one(ask, metric)
    else:
        assert one(ask, metric) == (value,)


@pytest.mark.usefixtures("flights")
def test_a_column_of_two_tables_is_ambiguous_and_the_error_names_both(ask: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"'airlines.name' or 'planes.name'"):
        one(ask, "count", "name")


@pytest.mark.usefixtures("flights")
def test_unknown_names_suggest_near_ones_those_of_conventions_too(ask: Any) -> None:
    for metric, near in (("avg_dely", "avg_delay"), ("mean_delay", "min_delay"), ("cont", "count")):
        with pytest.raises(UnknownNameError) as caught:
            one(ask, metric)
        assert caught.value.kind == "metric"
        assert near in caught.value.suggestions
    for dimension, near in (("carier", "carrier"), ("seat", "seats"), ("hour_of_dy", "hour_of_day")):
        with pytest.raises(UnknownNameError) as caught:
            one(ask, "count", dimension)
        assert near in caught.value.suggestions
    with pytest.raises(UnknownNameError) as caught:
        ask({"type": "rows", "dataset": "flihgts"})
    assert caught.value.suggestions == ("flights",)
    with pytest.raises(UnknownNameError, match="play_count"):
        one(ask, "play_count")  # these events have no column `action`


def test_a_verb_that_is_no_action_of_the_schema_is_unknown(data: Any, ask: Any) -> None:
    made = data.put("plays", pa.table({"action": ["play_song", "play_video", "skip_song"]}))

    def count(metric: str) -> int:
        found: int = ask({"type": "aggregation", "metrics": [metric]}).data[0][metric]
        return found

    assert (count("play_count"), count("plya_count")) == (2, 0), "without a list of actions any verb may be one"
    listed = made.schema.fields["action"].model_copy(update={"enum": ("play_song", "play_video", "skip_song", "rate")})
    schema = made.schema.model_copy(update={"fields": {"action": listed}})
    data.snapshots["plays"] = replace(made, schema=schema)
    assert [count(f"{verb}_count") for verb in ("play", "play_song", "skip", "rate")] == [2, 1, 1, 0]
    for metric, near in (
        ("plya_count", "play_count"),
        ("play_sing_count", "play_song_count"),
        ("pla_count", "play_count"),
    ):
        with pytest.raises(UnknownNameError) as caught:
            count(metric)
        assert caught.value.kind == "metric"
        assert near in caught.value.suggestions


@pytest.mark.usefixtures("flights")
@pytest.mark.parametrize(
    ("condition", "place", "remedy"),
    [
        ({"field": "year", "value": "2013"}, "query.filters.year", "whole numbers"),
        ({"field": "year", "value": True}, "query.filters.year", "whole numbers"),
        ({"field": "year", "value": 2**70}, "query.filters.year", "64 bits"),
        ({"field": "delay", "value": float("nan")}, "query.filters.delay", "finite"),
        ({"field": "delayed", "value": 1}, "query.filters.delayed", "true or false"),
        ({"field": "delayed", "op": "lt", "value": True}, "query.filters.delayed", "no order"),
        ({"field": "carrier", "value": 1}, "query.filters.carrier", "text"),
        ({"field": "carrier", "value": None}, "query.filters.carrier", "is_null"),
        ({"field": "carrier", "op": "in", "value": "AA"}, "query.filters.carrier", "list"),
        ({"field": "carrier", "op": "in", "value": []}, "query.filters.carrier", "list"),
        ({"field": "year", "op": "contains", "value": "2"}, "query.filters.year", "works on text"),
        ({"field": "year", "op": "between", "value": [1]}, "query.filters.year", "[low, high]"),
        ({"field": "event_time", "value": "soon"}, "query.filters.event_time", "ISO 8601"),
        ({"field": "date", "value": "2025-02-30"}, "query.filters.date", "dates"),
        ({"field": "carrier", "op": "is_null", "value": "no"}, "query.filters.carrier", "true"),
        ({"field": "overflow", "value": "x"}, "query.filters.overflow", "is_null"),
    ],
)
def test_a_value_that_does_not_fit_its_field_is_an_error_that_names_it(
    ask: Any, condition: Any, place: str, remedy: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ask({"type": "aggregation", "dataset": "flights", "metrics": ["count"], "filters": [condition]})
    assert caught.value.place == place
    assert remedy in caught.value.remedy


def test_a_tenant_without_events_is_told_to_collect_some(ask: Any) -> None:
    with pytest.raises(UnknownNameError, match="collect events first"):
        ask({"type": "rows"})


def test_the_default_dataset_is_the_only_one_of_events_or_user_interactions(data: Any, ask: Any) -> None:
    data.put("plays", pa.table({"n": [1]}))
    assert len(ask({"type": "rows"})) == 1
    data.put("views", pa.table({"n": [1, 2]}))
    with pytest.raises(UnknownNameError, match="'plays', 'views'"):
        ask({"type": "rows"})
    data.put("user_interactions", pa.table({"n": [1, 2, 3]}))
    assert len(ask({"type": "rows"})) == 3
    assert len(ask({"type": "rows"}, model="default: views")) == 2
