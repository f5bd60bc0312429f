"""The tables. Each has a `tenant` column, first in its primary key: see `_scoped.py` for the way to them.

Times are microseconds since 1970 in UTC: one meaning on every database, and no time zone to get wrong.
Documents (settings, schemas, statistics) are JSON in a text column rather than a JSON type, because strings
from events may hold U+0000, which JSON escapes and PostgreSQL's `jsonb` refuses.

`partitions` in a table's `info` says that PostgreSQL keeps it in so many parts by hash of the tenant. A query
is always for one tenant, so it touches one part, and vacuum works on small pieces.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

PARTITIONS = 16

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# Byte order on both databases, so that paging through names sees each once whatever the server's locale is.
_NAME = String(64).with_variant(String(64, collation="C"), "postgresql")
_ID = Text().with_variant(Text(collation="C"), "postgresql")


def _tenant() -> Column[str]:
    return Column("tenant", _NAME, ForeignKey("tenants.tenant"), primary_key=True)


def _partitioned(name: str, *parts: Column[Any] | Index) -> Table:
    return Table(
        name,
        metadata,
        _tenant(),
        *parts,
        postgresql_partition_by="HASH (tenant)",
        info={"partitions": PARTITIONS},
    )


tenants = Table(
    "tenants",
    metadata,
    Column("tenant", _NAME, primary_key=True),
    Column("settings", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("owner", Text, nullable=True),
    # Null until the limits are changed; those the tenant was registered with are in its settings.
    Column("limits", Text, nullable=True),
)

# Outlives the tenant: a name that is registered anew goes on with higher epochs, so that an owner from before, cut
# off all that time, stays fenced off.
tombstones = Table(
    "tombstones",
    metadata,
    Column("tenant", _NAME, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)

tenant_keys = Table(
    "tenant_keys",
    metadata,
    _tenant(),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    # No foreign key: '*' is the tenant of operators' keys. The id alone is the key, since a caller who
    # shows one has not yet said whose it is.
    Column("id", _ID, primary_key=True),
    Column("tenant", _NAME, nullable=False),
    Column("roles", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=True),
    Index("ix_api_keys_tenant", "tenant"),
)

datasets = Table(
    "datasets",
    metadata,
    _tenant(),
    Column("name", _ID, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("schema", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

models = Table(
    "models",
    metadata,
    _tenant(),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

source_offsets = Table(
    "source_offsets",
    metadata,
    _tenant(),
    Column("source", _ID, primary_key=True),
    Column("position", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

wal_positions = Table(
    "wal_positions",
    metadata,
    _tenant(),
    Column("dataset", _ID, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
)

# The primary key is the one index a snapshot needs: it finds the live segments of a dataset, in order of
# id, which is the order they were made in (UUIDv7).
segments = _partitioned(
    "segments",
    Column("dataset", _ID, primary_key=True),
    Column("id", _ID, primary_key=True),
    Column("url", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("min_time", BigInteger, nullable=True),
    Column("max_time", BigInteger, nullable=True),
    Column("columns", Text, nullable=False),
    Column("stats", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

# Files that no row refers to any more and that may still be on disk: a crash between the commit that
# retires a file and its deletion leaves the name here, so no file is leaked.
dead_files = Table(
    "dead_files",
    metadata,
    _tenant(),
    Column("url", _ID, primary_key=True),
    Column("removed_at", BigInteger, nullable=False),
)

idempotency_keys = _partitioned(
    "idempotency_keys",
    Column("dataset", _ID, primary_key=True),
    Column("key", _ID, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("receipts", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_idempotency_keys_tenant_created_at", "tenant", "created_at"),
)

dedup_runs = _partitioned(
    "dedup_runs",
    Column("dataset", _ID, primary_key=True),
    Column("id", _ID, primary_key=True),
    Column("url", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("min_ingest", BigInteger, nullable=False),
    Column("max_ingest", BigInteger, nullable=False),
    Index("ix_dedup_runs_tenant_max_ingest", "tenant", "max_ingest"),
)

# Whole numbers in the smallest unit, so that adding up loses nothing.
usage = _partitioned(
    "usage",
    Column("hour", BigInteger, primary_key=True, autoincrement=False),
    Column("what", _ID, primary_key=True),
    Column("amount", BigInteger, nullable=False),
)

# Up to which addition of a source is in `usage`, so that one whose outcome was not known can be repeated.
usage_marks = Table(
    "usage_marks",
    metadata,
    _tenant(),
    Column("source", _ID, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

# How the rows of a tenant are spread over shards, now (the highest version) and before. A tenant without a row here
# has one shard, itself.
shard_layouts = Table(
    "shard_layouts",
    metadata,
    _tenant(),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("shards", Integer, nullable=False),
    Column("members", Integer, nullable=False),
    Column("keys", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)
