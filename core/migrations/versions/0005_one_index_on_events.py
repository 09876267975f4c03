"""Events are searched by the index behind the log; appending one keeps up the index by request only."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NAMES = ("at_ms", "identity", "partner", "rule", "tag")


def upgrade() -> None:
    for name in _NAMES:
        op.drop_index(f"ix_auditevent_{name}", table_name="auditevent")


def downgrade() -> None:
    for name in _NAMES:
        op.create_index(f"ix_auditevent_{name}", "auditevent", [name])
