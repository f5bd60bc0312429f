"""How the values look as rows, and back: pure, the same for every database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row

from tenancy.analytics.schema import DatasetSchema
from tenancy.analytics.storage.catalog.values import ApiKeyRow, DedupRun, IdempotencyRecord, KeyRow, TenantRecord
from tenancy.analytics.storage.snapshot import ColumnStats, Segment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(time: datetime) -> int:
    """Microseconds since 1970, exactly.

    >>> micros(datetime(2025, 7, 15, 10, 30, 0, 1, tzinfo=UTC))
    1752575400000001
    """
    return (time - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The time again; every value of `micros` comes back as it was."""
    return _EPOCH + timedelta(microseconds=microseconds)


def document(value: Any) -> str:
    """`value` as JSON text with sorted keys, so that equal values are equal text."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def tenant_record(row: Row[Any]) -> TenantRecord:
    return TenantRecord(
        row.tenant, orjson.loads(row.settings), row.epoch, moment(row.created_at), row.owner or "", limits(row)
    )


def limits(row: Row[Any]) -> Mapping[str, Any] | None:
    known: Mapping[str, Any] | None = None if row.limits is None else orjson.loads(row.limits)
    return known


def schema_text(schema: DatasetSchema) -> str:
    # Not sorted: the order of the fields is the order of the columns.
    return schema.model_dump_json(exclude_defaults=True)


def schema(row: Row[Any]) -> DatasetSchema:
    return DatasetSchema.model_validate_json(row.schema)


def segment_row(dataset: str, segment: Segment, epoch: int, now: datetime) -> dict[str, Any]:
    stats = {name: [known.nulls, known.minimum, known.maximum] for name, known in segment.stats.items()}
    return {
        "dataset": dataset,
        "id": segment.id,
        "url": segment.url,
        "rows": segment.rows,
        "bytes": segment.bytes,
        "min_time": None if segment.min_time is None else micros(segment.min_time),
        "max_time": None if segment.max_time is None else micros(segment.max_time),
        "columns": orjson.dumps(dict(segment.columns)).decode(),
        # NaN and infinities become null, which is to say: not known.
        "stats": orjson.dumps(stats).decode(),
        "epoch": epoch,
        "created_at": micros(now),
    }


def segment(row: Row[Any]) -> Segment:
    stats: Mapping[str, list[Any]] = orjson.loads(row.stats)
    return Segment(
        id=row.id,
        url=row.url,
        rows=row.rows,
        bytes=row.bytes,
        min_time=None if row.min_time is None else moment(row.min_time),
        max_time=None if row.max_time is None else moment(row.max_time),
        columns=orjson.loads(row.columns),
        stats={name: ColumnStats(*known) for name, known in stats.items()},
    )


def idempotency_row(dataset: str, record: IdempotencyRecord) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "key": record.key,
        "fingerprint": record.fingerprint,
        "receipts": record.receipts,
        "created_at": micros(record.created_at),
    }


def idempotency(row: Row[Any]) -> IdempotencyRecord:
    return IdempotencyRecord(row.key, bytes(row.fingerprint), bytes(row.receipts), moment(row.created_at))


def dedup_row(dataset: str, run: DedupRun) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "id": run.id,
        "url": run.url,
        "rows": run.rows,
        "min_ingest": micros(run.min_ingest),
        "max_ingest": micros(run.max_ingest),
    }


def dedup_run(row: Row[Any]) -> DedupRun:
    return DedupRun(row.id, row.url, row.rows, moment(row.min_ingest), moment(row.max_ingest))


def key_row(row: Row[Any]) -> KeyRow:
    return KeyRow(row.tenant, row.version, bytes(row.wrapped), moment(row.created_at))


def api_key_values(key: ApiKeyRow) -> dict[str, Any]:
    return {
        "id": key.id,
        "roles": document(list(key.roles)),
        "salt": key.salt,
        "hash": key.hash,
        "parameters": document(dict(key.parameters)),
        "label": key.label,
        "created_at": micros(key.created_at),
        "revoked_at": None if key.revoked_at is None else micros(key.revoked_at),
    }


def api_key(row: Row[Any]) -> ApiKeyRow:
    return ApiKeyRow(
        id=row.id,
        tenant=row.tenant,
        roles=tuple(orjson.loads(row.roles)),
        salt=bytes(row.salt),
        hash=bytes(row.hash),
        parameters=orjson.loads(row.parameters),
        label=row.label,
        created_at=moment(row.created_at),
        revoked_at=None if row.revoked_at is None else moment(row.revoked_at),
    )
