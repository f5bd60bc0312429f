"""How the rows of large tenants are spread over shards."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NAME = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")


def upgrade() -> None:
    """One row for each layout that a tenant has had."""
    op.create_table(
        "shard_layouts",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("shards", sa.Integer, nullable=False),
        sa.Column("members", sa.Integer, nullable=False),
        sa.Column("keys", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "version", name="pk_shard_layouts"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name="fk_shard_layouts_tenants"),
    )
