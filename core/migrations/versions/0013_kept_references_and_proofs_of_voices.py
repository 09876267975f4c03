"""References kept on purpose, and proofs that a voice is somebody's own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "keptreference",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["identity"], ["identity.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_keptreference_identity", "keptreference", ["identity"])
    op.create_table(
        "voiceproof",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("phrase", sa.String(), nullable=False),
        sa.Column("issued_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["identity"], ["identity.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_voiceproof_identity", "voiceproof", ["identity"])


def downgrade() -> None:
    op.drop_table("voiceproof")
    op.drop_table("keptreference")
