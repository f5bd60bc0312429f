"""No text of a caller is ever SQL: names that are not known are refused, values are compared as they are."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenancy.analytics.errors import InvalidRequestError, RequestError, UnknownNameError

HOSTILE = [
    "'; DROP TABLE events; --",
    '"; DROP TABLE events; --',
    "1) OR (1=1",
    "x' OR '1'='1",
    "/* */ UNION SELECT 1 --",
    "$$; SELECT 1; $$",
    "count\n; SELECT 1",
    "ʼ; SELECT 1 --",
    "＂quoted＂",
    "\\'; --",
    "E'\\x27'",
    "read_csv('/etc/passwd')",
    "../other",
    "%s {0} ? $1 :name",
]
ROWS = pa.table({"action": [*HOSTILE, "play"], "n": list(range(len(HOSTILE) + 1))})


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_are_unknown_names(data: Any, ask: Any, text: str) -> None:
    data.put("plays", ROWS)
    unknown: list[dict[str, Any]] = [
        {"type": "aggregation", "metrics": [text]},
        {"type": "aggregation", "metrics": [f"{text}_count"]},
        {"type": "aggregation", "metrics": [f"avg_{text}"]},
        {"type": "aggregation", "metrics": ["count"], "dimensions": [text]},
        {"type": "aggregation", "metrics": ["count"], "dataset": text},
        {"type": "aggregation", "metrics": ["count"], "order": [text]},
        {"type": "aggregation", "metrics": ["count"], "filters": [{"field": text, "value": 1}]},
        {"type": "aggregation", "metrics": ["count"], "having": [{"field": text, "value": 1}]},
        {"type": "topk", "metric": "count", "dimension": text},
        {"type": "rows", "columns": [text]},
        {"type": "rows", "order": [text]},
        {"type": "timeseries", "metrics": ["count"], "time_zone": text},
    ]
    for query in unknown:
        with pytest.raises(UnknownNameError):
            ask(query)
    invalid: list[dict[str, Any]] = [
        {"type": "timeseries", "metrics": ["count"], "grain": text},
        {"type": "aggregation", "metrics": ["count"], "time_range": text},
        {"type": "aggregation", "metrics": ["count"], "time_range": {"start": text}},
        {"type": "rows", "cursor": text},
        {"type": text},
    ]
    for query in invalid:
        with pytest.raises(InvalidRequestError):
            ask(query)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_values_match_what_equals_them_and_nothing_else(data: Any, ask: Any, text: str) -> None:
    data.put("plays", ROWS, buffered=5)
    for op, value in (("eq", text), ("in", [text]), ("between", [text, text])):
        found = ask(
            {"type": "aggregation", "metrics": ["count"], "filters": [{"field": "action", "op": op, "value": value}]}
        )
        assert found.data == [{"count": 1}], op


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_found_again_by_itself(data: Any, ask: Any, text: str, other: str) -> None:
    query = {"type": "aggregation", "metrics": ["count"], "filters": [{"field": "action", "value": text}]}
    if "\0" in text + other:
        data.put("plays", pa.table({"action": ["a"]}))
        with pytest.raises(InvalidRequestError, match="NUL"):
            ask({**query, "filters": [{"field": "action", "value": "\0"}]})
        return
    data.put("plays", pa.table({"action": [text, other]}), buffered=1)
    assert ask(query).data == [{"count": 1 + (text == other)}]


def test_hostile_column_names_of_the_data_are_names(data: Any, ask: Any) -> None:
    for index, text in enumerate(HOSTILE):
        data.put(f"plays_{index}", pa.table({text: [1, 2, 2]}), buffered=1)
        found = ask(
            {
                "type": "aggregation",
                "dataset": f"plays_{index}",
                "metrics": ["count", f"sum_{text}"],
                "dimensions": [text],
            }
        )
        assert [tuple(row.values()) for row in found.data] == [(1, 1, 1), (2, 2, 4)], text
        assert len(ask({"type": "rows", "dataset": f"plays_{index}", "columns": [text]}).data) == 3


def test_lone_surrogates_are_refused(data: Any, ask: Any) -> None:
    data.put("plays", ROWS)
    with pytest.raises(RequestError):
        ask({"type": "aggregation", "metrics": ["count"], "filters": [{"field": "action", "value": "\ud800"}]})
