"""Which signed clips have no time stamp yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unstamped",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["job.id"]),
        sa.PrimaryKeyConstraint("job"),
    )
    op.create_index("ix_unstamped_due_ms", "unstamped", ["due_ms"])
    # nothing was stamped before
    op.execute(
        "INSERT INTO unstamped (job, due_ms, tries) "
        "SELECT id, 0, 0 FROM job WHERE manifest_label IS NOT NULL AND state IN "
        "('signed', 'recorded', 'released')"
    )


def downgrade() -> None:
    op.drop_index("ix_unstamped_due_ms", "unstamped")
    op.drop_table("unstamped")
