"""Keys of the gate."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gatekey",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("first", sa.Boolean(), nullable=False),
        sa.Column("development", sa.Boolean(), nullable=False),
        sa.Column("serial", sa.String(), nullable=False),
        sa.Column("chain_pem", sa.String(), nullable=False),
        sa.Column("roots_pem", sa.String(), nullable=False),
        sa.Column("custody", sa.JSON(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("warned", sa.Boolean(), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("active_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("approved_by <> proposed_by", name="gatekey_two_people"),
        sa.CheckConstraint(
            "first OR approved_by IS NOT NULL OR state IN ('proposed', 'revoked')", name="gatekey_approved"
        ),
    )
    active = sa.text("state = 'active'")
    op.create_index(
        "gatekey_one_active", "gatekey", ["kind"], unique=True, sqlite_where=active, postgresql_where=active
    )
    op.create_index("ix_gatekey_serial", "gatekey", ["serial"])
