"""What is appended to a dataset: one batch, all of it durable or none of it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from tenancy.analytics.errors import InvalidRequestError
from tenancy.analytics.storage.catalog import IdempotencyRecord


@dataclass(frozen=True, slots=True)
class Append:
    """One batch. Columns missing from `events` or `quarantined` are null in what is stored."""

    events: pa.Table
    """In the dataset's schema, or in part of it."""
    own_ids: tuple[str, ...] | pa.Array = ()
    """Ids that callers supplied, claimed with `DatasetStore.claim` before."""
    quarantined: pa.Table | None = None
    """Rows for the quarantine, in its schema or in part of it."""
    idempotency: IdempotencyRecord | None = None


def id_list(ids: tuple[str, ...] | pa.Array) -> list[str]:
    """`ids` as Python strings, without those that are null."""
    if isinstance(ids, pa.Array | pa.ChunkedArray):
        ids = ids.to_pylist()
    return [id for id in ids if id is not None]


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """`table` with exactly the columns of `schema`: in its order, missing ones null.

    >>> conform(pa.table({"b": [1]}), pa.schema({"a": pa.string(), "b": pa.int64()})).to_pylist()
    [{'a': None, 'b': 1}]

    Raises InvalidRequestError for a column that `schema` does not have or whose values are not of its type.
    """
    if table.schema.equals(schema):
        return table
    unknown = set(table.column_names) - set(schema.names)
    if unknown:
        raise InvalidRequestError(
            "columns", sorted(unknown), "evolve the schema before rows with new columns are added"
        )
    try:
        columns = [
            table.column(field.name).cast(field.type)
            if field.name in table.column_names
            else pa.nulls(table.num_rows, field.type)
            for field in schema
        ]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InvalidRequestError("columns", str(error), "give values of the types of the schema") from error
    return pa.Table.from_arrays(columns, schema=schema)
