"""Queries: request → semantic model → plan → rules → SQL → DuckDB, over live segments and the buffer."""

from tenancy.analytics.query.executor import DuckDBExecutor
from tenancy.analytics.query.model import DatasetModel, DimensionSpec, JoinSpec, MeasureSpec, SemanticModel
from tenancy.analytics.query.processor import QueryProcessor, SnapshotSource
from tenancy.analytics.query.requests import (
    AggregationQuery,
    QueryRequest,
    RowsQuery,
    TimeseriesQuery,
    TopKQuery,
    parse_request,
)
from tenancy.analytics.query.result import QueryResult, QueryStats, ResultField

__all__ = [
    "AggregationQuery",
    "DatasetModel",
    "DimensionSpec",
    "DuckDBExecutor",
    "JoinSpec",
    "MeasureSpec",
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
