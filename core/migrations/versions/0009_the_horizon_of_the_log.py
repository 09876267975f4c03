"""On PostgreSQL an event carries the number of its transaction, by which the log takes events in order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        op.add_column("auditevent", sa.Column("xid", sa.BigInteger(), nullable=False, server_default="0"))
        return
    now = sa.text("(pg_current_xact_id()::text::bigint)")
    op.add_column("auditevent", sa.Column("xid", sa.BigInteger(), nullable=False, server_default=now))
    op.execute("UPDATE auditevent SET xid = 0 WHERE id IN (SELECT event_id FROM logentry)")
    op.create_index("auditevent_horizon", "auditevent", ["xid", "id"])


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("auditevent_horizon", table_name="auditevent")
    with op.batch_alter_table("auditevent") as table:
        table.drop_column("xid")
