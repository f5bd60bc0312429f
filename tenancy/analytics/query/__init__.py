"""Queries: request → semantic model → plan → rules → SQL → DuckDB, over live segments and the buffer.

What runs queries is imported when it is first asked for: with DuckDB and sqlglot it is 23 MB, which the process of a
tenant that only collects does without.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tenancy.analytics.query.model import DatasetModel, DimensionSpec, JoinSpec, MeasureSpec, SemanticModel
from tenancy.analytics.query.requests import (
    AggregationQuery,
    QueryRequest,
    RowsQuery,
    TimeseriesQuery,
    TopKQuery,
    parse_request,
)
from tenancy.analytics.query.result import QueryResult, QueryStats, ResultField

if TYPE_CHECKING:
    from tenancy.analytics.query.executor import DuckDBExecutor
    from tenancy.analytics.query.processor import PreparedQuery, QueryProcessor, SnapshotSource

__all__ = [
    "AggregationQuery",
    "DatasetModel",
    "DimensionSpec",
    "DuckDBExecutor",
    "JoinSpec",
    "MeasureSpec",
    "PreparedQuery",
    "QueryProcessor",
    "QueryRequest",
    "QueryResult",
    "QueryStats",
    "ResultField",
    "RowsQuery",
    "SemanticModel",
    "SnapshotSource",
    "TimeseriesQuery",
    "TopKQuery",
    "parse_request",
]

_LATER = {
    "DuckDBExecutor": "executor",
    "PreparedQuery": "processor",
    "QueryProcessor": "processor",
    "SnapshotSource": "processor",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
