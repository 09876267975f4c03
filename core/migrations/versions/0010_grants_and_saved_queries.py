"""Who may read the audit log, and the questions they keep."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auditgrant",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=True),
        sa.CheckConstraint("approved_by <> proposed_by", name="auditgrant_two_people"),
        sa.CheckConstraint("person <> proposed_by AND person <> approved_by", name="auditgrant_not_oneself"),
        sa.CheckConstraint("state <> 'active' OR approved_by IS NOT NULL", name="auditgrant_approved"),
        sa.ForeignKeyConstraint(["person"], ["reviewer.name"]),
        sa.ForeignKeyConstraint(["proposed_by"], ["reviewer.name"]),
        sa.ForeignKeyConstraint(["approved_by"], ["reviewer.name"]),
        sa.PrimaryKeyConstraint("id"),
    )
    standing = sa.text("state IN ('proposed', 'active')")
    op.create_index(
        "auditgrant_one_a_person",
        "auditgrant",
        ["person"],
        unique=True,
        sqlite_where=standing,
        postgresql_where=standing,
    )
    op.create_table(
        "savedquery",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("owner", "name"),
    )


def downgrade() -> None:
    op.drop_table("savedquery")
    op.drop_table("auditgrant")
