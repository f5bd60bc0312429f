"""What tenants may use, where that was changed after they were registered, and what they used by the hour."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

PARTITIONS = 16

NAME = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """A column for the limits, the table of usage in parts by hash of the tenant, and how far it was added to."""
    op.add_column("tenants", sa.Column("limits", sa.Text(), nullable=True))
    op.create_table(
        "usage",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("hour", sa.BigInteger, nullable=False),
        sa.Column("what", ID, nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "hour", "what", name="pk_usage"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name="fk_usage_tenants"),
        postgresql_partition_by="HASH (tenant)",
    )
    if op.get_bind().dialect.name == "postgresql":
        for part in range(PARTITIONS):
            op.execute(
                f"CREATE TABLE usage_p{part:02d} PARTITION OF usage "
                f"FOR VALUES WITH (MODULUS {PARTITIONS}, REMAINDER {part})"
            )
    op.create_table(
        "usage_marks",
        sa.Column("tenant", NAME, nullable=False),
        sa.Column("source", ID, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", name="pk_usage_marks"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.tenant"], name="fk_usage_marks_tenants"),
    )
