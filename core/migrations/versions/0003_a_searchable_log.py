"""What the log is searched by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auditposting",
        sa.Column("term", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("term", "index"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "auditblock",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("low_ms", sa.BigInteger(), nullable=False),
        sa.Column("high_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    with op.batch_alter_table("auditblock", schema=None) as batch_op:
        batch_op.create_index("audit_block_span", ["high_ms", "low_ms", "number"], unique=False)


def downgrade() -> None:
    op.drop_table("auditblock")
    op.drop_table("auditposting")
