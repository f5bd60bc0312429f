from __future__ import annotations

from typing import Any

import pytest

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.query import AggregationQuery, RowsQuery, TimeseriesQuery, parse_request

AGGREGATION = {"type": "aggregation", "metrics": ["count"]}


def nested(levels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"field": "a", "value": 1}
    for _ in range(levels):
        found = {"not": found}
    return found


@pytest.mark.parametrize(
    ("given", "place", "remedy"),
    [
        ([1], "query", "give an object"),
        ({"metrics": ["count"]}, "query.type", "'aggregation'"),
        ({"type": "agregation", "metrics": ["count"]}, "query.type", "'aggregation'"),
        ({"type": "aggregation"}, "query.metrics", "must be given"),
        ({"type": "aggregation", "metrics": []}, "query.metrics", "at least 1"),
        ({**AGGREGATION, "dimension": ["a"]}, "query.dimension", "'dimensions'"),
        ({**AGGREGATION, "limit": 0}, "query.limit", "greater than or equal to 1"),
        ({**AGGREGATION, "limit": "10"}, "query.limit", "valid integer"),
        ({**AGGREGATION, "limit": 10**9}, "query.limit", "less than or equal to 1000000"),
        ({**AGGREGATION, "time_range": {"from": "2025"}}, "query.time_range.TimeRange.from", "'start'"),
        ({**AGGREGATION, "order": [{"by": "count", "directoin": "asc"}]}, "query.order.0.directoin", "'direction'"),
        ({**AGGREGATION, "filters": [{"field": "a", "op": "equals"}]}, "query.filters.0.op", "'eq'"),
        ({**AGGREGATION, "filters": [{"op": "eq"}]}, "query.filters.0.field", "must be given"),
        ({**AGGREGATION, "filters": [{"and": []}]}, "query.filters.0.and", "at least 1"),
        ({**AGGREGATION, "filters": [{"feild": "a"}]}, "query.filters.0", ""),
        (
            {**AGGREGATION, "filters": {"not": {"or": [{"op": "eq"}]}}},
            "query.filters.0.not.or.0.field",
            "must be given",
        ),
        ({**AGGREGATION, "filters": nested(200)}, "query.filters", "at most 32 levels"),
        ({**AGGREGATION, "having": nested(200)}, "query.having", "at most 32 levels"),
        ({**AGGREGATION, "having": {"or": [{"op": "ge"}]}}, "query.having.0.or.0.field", "must be given"),
        ({**AGGREGATION, "zzzzzz": 1}, "query.zzzzzz", "the keys here are 'dataset', "),
        ({"type": "topk", "metric": "count", "dimension": "a", "limit": 3}, "query.limit", "say 'k'"),
        ({"type": "topk", "metric": "count", "dimension": "a", "order": "-count"}, "query.order", "'direction'"),
        ({"type": "timeseries", "metrics": ["count"], "order": "date"}, "query.order", "in order of time"),
        ({"type": "rows", "metrics": ["count"]}, "query.metrics", "'columns'"),
        ({"type": "timeseries", "metrics": ["count"], "grain": "fortnight"}, "query.grain", "'week'"),
        ({"type": "topk", "metric": "count", "dimension": "a", "k": -1}, "query.k", "greater than or equal to 1"),
    ],
)
def test_a_request_asked_wrongly_is_an_error_that_names_the_place(given: Any, place: str, remedy: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_request(given)
    assert caught.value.place.startswith(place)
    assert remedy in caught.value.remedy


def test_deep_nesting_is_refused_before_anything_recurses() -> None:
    with pytest.raises(InvalidRequestError, match="32 levels"):
        parse_request({**AGGREGATION, "filters": nested(100_000)})


def test_one_name_needs_no_list_and_minus_means_descending() -> None:
    request = parse_request({"type": "aggregation", "metrics": "count", "dimensions": "genre", "order": "-count"})
    assert isinstance(request, AggregationQuery)
    assert request.metrics == ("count",)
    assert request.dimensions == ("genre",)
    assert (request.order[0].by, request.order[0].direction) == ("count", "desc")


def test_group_by_and_dimensions_are_the_same() -> None:
    ours = parse_request({"type": "timeseries", "metrics": ["count"], "group_by": ["genre"]})
    theirs = parse_request({"type": "timeseries", "metrics": ["count"], "dimensions": ["genre"]})
    assert isinstance(ours, TimeseriesQuery)
    assert ours == theirs


def test_a_request_that_is_one_already_is_taken_as_it_is() -> None:
    request = RowsQuery(limit=3)
    assert parse_request(request) is request
