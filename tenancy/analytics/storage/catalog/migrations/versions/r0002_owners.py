"""Which host owns a tenant, and with which epoch a tenant begins that had been deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NAME = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")


def upgrade() -> None:
    """A column for the owner, and a table that outlives the tenants in it."""
    op.add_column("tenants", sa.Column("owner", sa.Text(), nullable=True))
    op.create_table(
        "tombstones",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", name="pk_tombstones"),
    )
