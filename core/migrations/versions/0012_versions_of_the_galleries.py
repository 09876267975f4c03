"""How often the galleries of faces and voices changed, and whose templates each change concerned."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "gallerystate",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("templates", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind"),
    )
    op.create_table(
        "gallerychange",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "version"),
    )
    for kind in ("likeness", "voice"):
        counted = sa.text(
            "INSERT INTO gallerystate (kind, version, templates) "
            "SELECT :kind, 0, count(*) FROM template WHERE kind = :kind"
        )
        op.execute(counted.bindparams(sa.bindparam("kind", kind, sa.String())))


def downgrade() -> None:
    op.drop_table("gallerychange")
    op.drop_table("gallerystate")
