"""The first tables: tenants and their keys, datasets, segments, positions, and what deduplication remembers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

PARTITIONS = 16

NAME = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create every table, in parts by hash of the tenant where it grows large."""
    op.create_table(
        "tenants",
        sa.Column("tenant", NAME, nullable=False),
        _text("settings"),
        _number("epoch"),
        _number("created_at"),
        sa.PrimaryKeyConstraint("tenant", name="pk_tenants"),
    )
    _create(
        "tenant_keys",
        ["version"],
        sa.Column("version", sa.Integer, nullable=False),
        _bytes("wrapped"),
        _number("created_at"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant", NAME, nullable=False),
        _text("roles"),
        _bytes("salt"),
        _bytes("hash"),
        _text("parameters"),
        _text("label"),
        _number("created_at"),
        _number("revoked_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_tenant", "api_keys", ["tenant"])
    _create("datasets", ["name"], _id("name"), _number("version"), _text("schema"), _number("updated_at"))
    _create("models", ["version"], _number("version"), _text("text"), _number("created_at"))
    _create("source_offsets", ["source"], _id("source"), _text("position"), _number("updated_at"))
    _create("wal_positions", ["dataset"], _id("dataset"), _number("epoch"), _number("sequence"))
    _create("dead_files", ["url"], _id("url"), _number("removed_at"))
    _create(
        "segments",
        ["dataset", "id"],
        _id("dataset"),
        _id("id"),
        _text("url"),
        _number("rows"),
        _number("bytes"),
        _number("min_time", nullable=True),
        _number("max_time", nullable=True),
        _text("columns"),
        _text("stats"),
        _number("epoch"),
        _number("created_at"),
        partitioned=True,
    )
    _create(
        "idempotency_keys",
        ["dataset", "key"],
        _id("dataset"),
        _id("key"),
        _bytes("fingerprint"),
        _bytes("receipts"),
        _number("created_at"),
        partitioned=True,
    )
    op.create_index("ix_idempotency_keys_tenant_created_at", "idempotency_keys", ["tenant", "created_at"])
    _create(
        "dedup_runs",
        ["dataset", "id"],
        _id("dataset"),
        _id("id"),
        _text("url"),
        _number("rows"),
        _number("min_ingest"),
        _number("max_ingest"),
        partitioned=True,
    )
    op.create_index("ix_dedup_runs_tenant_max_ingest", "dedup_runs", ["tenant", "max_ingest"])


def _create(name: str, key: list[str], *columns: sa.Column[Any], partitioned: bool = False) -> None:
    op.create_table(
        name,
        sa.Column("tenant", NAME, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("tenant", *key, name=f"pk_{name}"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name=f"fk_{name}_tenants"),
        postgresql_partition_by="HASH (tenant)" if partitioned else None,
    )
    if partitioned and op.get_bind().dialect.name == "postgresql":
        for part in range(PARTITIONS):
            op.execute(
                f"CREATE TABLE {name}_p{part:02d} PARTITION OF {name} "
                f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part})"
            )


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, ID, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _bytes(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=False)
