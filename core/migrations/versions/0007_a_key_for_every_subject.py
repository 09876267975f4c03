"""A key for every subject, and private parts of events sealed under it.

The keys of protected people are kept. The private parts of older events stood in plain text, which nothing
may any more: they go, and the commitments in their leaves stay as proofs of nothing but themselves.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    kept = op.get_bind().execute(sa.text("SELECT identity, wrapped FROM subjectkey")).all()
    op.drop_table("subjectkey")
    keys = op.create_table(
        "subjectkey",
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    rows = [
        {"subject": subject, "kind": "person", "wrapped": wrapped, "created_ms": 0}
        for subject, wrapped in kept
    ]
    op.bulk_insert(keys, rows)
    # Not in a batch: that would copy the table, and lose that SQLite must never use an id again.
    op.add_column("auditevent", sa.Column("subject", sa.String(), nullable=True))
    op.add_column("auditevent", sa.Column("sealed", sa.LargeBinary(), nullable=True))
    op.drop_column("auditevent", "detail")

    op.add_column("job", sa.Column("forget", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("job", sa.Column("cleared_ms", sa.BigInteger(), nullable=True))
    op.add_column("job", sa.Column("erased_ms", sa.BigInteger(), nullable=True))
    op.add_column("template", sa.Column("uploads", sa.JSON(), nullable=False, server_default="[]"))
    op.create_table(
        "leftover",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "legalhold",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "subject"),
    )
    with op.batch_alter_table("legalhold", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_legalhold_subject"), ["subject"], unique=False)
