"""Policy packs with their life, and strikes of partners' users."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policyfile",
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("slot", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("starts_ms", sa.BigInteger(), nullable=True),
        sa.Column("ends_ms", sa.BigInteger(), nullable=True),
        sa.Column("announced", sa.String(), nullable=False),
        sa.Column("added_by", sa.String(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=True),
        sa.Column("ending_by", sa.String(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("before", sa.String(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("active_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("approved_by <> added_by", name="policyfile_two_people"),
        sa.CheckConstraint(
            "state IN ('kept', 'draft', 'shadow', 'withdrawn') OR approved_by IS NOT NULL",
            name="policyfile_approved",
        ),
        sa.CheckConstraint("ended_by IS NULL OR ended_by <> ending_by", name="policyfile_two_people_end"),
        sa.PrimaryKeyConstraint("sha256"),
    )
    op.create_index("ix_policyfile_state", "policyfile", ["state"])
    for name, columns, state in (
        ("policyfile_one_active", ["kind", "slot"], "active"),
        ("policyfile_one_shadow", ["kind"], "shadow"),
    ):
        where = sa.text(f"state = '{state}'")
        op.create_index(name, "policyfile", columns, unique=True, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "strike",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("lifted_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job"], ["job.id"]),
        sa.ForeignKeyConstraint(["partner"], ["partner.id"]),
        sa.PrimaryKeyConstraint("job"),
    )
    op.create_index("strike_user", "strike", ["partner", "user", "expires_ms"])
    op.create_index("ix_strike_expires_ms", "strike", ["expires_ms"])
    op.create_table(
        "enduser",
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("level", sa.String(), nullable=False),
        sa.Column("appealed_ms", sa.BigInteger(), nullable=True),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["partner"], ["partner.id"]),
        sa.PrimaryKeyConstraint("partner", "user"),
    )
    op.add_column("job", sa.Column("user", sa.String(), nullable=True))
    op.create_index("job_user", "job", ["partner", "user", "created_ms"])
