"""Run the migrations on the connection that `core.store` hands over."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from core import tables

assert tables.Job.metadata is SQLModel.metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
