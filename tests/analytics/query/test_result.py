from __future__ import annotations

import json
import pickle
from typing import Any

import pyarrow as pa

from tenancy.analytics.query import QueryProcessor, ResultField, SemanticModel


def test_a_result_pickles_and_has_every_form(data: Any, ask: Any) -> None:
    data.put(
        "plays", pa.table({"who": ["a", "b"], "x": [float("nan"), 2.5], "tags": pa.array([["p"], None])}), buffered=1
    )
    found = ask({"type": "aggregation", "metrics": ["count", "sum_x"], "dimensions": ["who", "date"]})
    assert found.data == [
        {"who": "a", "date": "2025-07-15", "count": 1, "sum_x": None},
        {"who": "b", "date": "2025-07-15", "count": 1, "sum_x": 2.5},
    ]
    again = pickle.loads(pickle.dumps(found))
    assert (again.schema, again.stats, again.sql) == (found.schema, found.stats, found.sql)
    assert again.data == found.data
    assert json.loads(json.dumps(again.data, allow_nan=False)) == found.data
    assert list(found.to_pandas()["who"]) == ["a", "b"]
    assert found.to_arrow().column("count").type == pa.int64()
    assert found.schema == (
        ResultField("who", "string", "dimension"),
        ResultField("date", "date", "dimension"),
        ResultField("count", "integer", "metric"),
        ResultField("sum_x", "float", "metric"),
    )
    assert "SELECT" in found.sql


def test_rows_of_every_type_are_json(data: Any, ask: Any) -> None:
    rows = pa.table(
        {
            "overflow": pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
            "tags": pa.array([["p", None], None]),
            "x": [float("inf"), None],
        }
    )
    data.put("plays", rows, buffered=1)
    found = ask({"type": "rows", "columns": ["overflow", "tags", "x", "ingest_time"], "order": ["event_id"]}).data
    time = "2025-07-15T12:00:00+00:00"
    assert found == [
        {"overflow": {"k": "v"}, "tags": ["p", None], "x": None, "ingest_time": time},
        {"overflow": None, "tags": None, "x": None, "ingest_time": time},
    ]
    json.dumps(found, allow_nan=False)


def test_statistics_count_what_was_read_and_what_was_cut(data: Any, ask: Any) -> None:
    data.put("plays", pa.table({"n": list(range(100))}), cuts=[30, 60], buffered=10)
    query = {"type": "aggregation", "metrics": ["count"], "filters": [{"field": "n", "op": "ge", "value": 60}]}
    stats = ask(query).stats
    assert (stats.segments_total, stats.segments_pruned, stats.rows_scanned, stats.rows_returned) == (3, 2, 40, 1)
    assert stats.bytes_scanned > 0
    assert 0 < stats.plan_ms + stats.execute_ms <= stats.total_ms


def test_explain_tells_the_plan_the_rules_and_the_sql(data: Any, executor: Any, clock: Any) -> None:
    data.put("plays", pa.table({"n": list(range(100))}), cuts=[30, 60], buffered=10)
    processor = QueryProcessor("tenant_001", data, executor, SemanticModel, clock)
    query = {"type": "aggregation", "metrics": ["sum_n"], "filters": [{"field": "n", "op": "ge", "value": 60}]}
    text = processor.explain(query)
    assert "1 of 3 segments (2 pruned), 10 buffered rows" in text
    assert "rules push_filters, prune_columns, prune_segments" in text
    assert "where n ge 60" in text
    assert "SUM(" in text


def test_the_canonical_plan_says_the_question_and_not_the_data(data: Any, executor: Any, clock: Any) -> None:
    processor = QueryProcessor("tenant_001", data, executor, SemanticModel, clock)
    query = {"type": "aggregation", "metrics": ["sum_n"], "dimensions": ["date"]}
    data.put("plays", pa.table({"n": [1, 2]}))
    first = processor.plan(query).canonical()
    data.put("plays", pa.table({"n": [1, 2, 3]}), cuts=[1], buffered=1)
    assert processor.plan(dict(reversed(query.items()))).canonical() == first
    assert processor.plan({**query, "time_zone": "Asia/Tokyo"}).canonical() != first
    assert processor.plan({**query, "filters": [{"field": "n", "value": 1}]}).canonical() != first
