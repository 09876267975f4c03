"""Manifests by label, soft bindings by algorithm and value, fingerprints."""

from __future__ import annotations

import base64

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ALGS = {"video": "org.greenlight.video.1", "audio": "org.greenlight.audio.1"}


def upgrade() -> None:
    op.create_table(
        "softbinding",
        sa.Column("alg", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["job.id"]),
        sa.PrimaryKeyConstraint("alg", "value", "job"),
    )
    op.create_index("ix_softbinding_job", "softbinding", ["job"])
    op.create_table(
        "fingerprint",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("alg", sa.String(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["job.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job", "alg"),
        sqlite_autoincrement=True,
    )
    _bind_what_is_there()
    op.create_table(
        "manifest_by_label",
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("store", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["job.id"]),
        sa.PrimaryKeyConstraint("label"),
    )
    op.execute(
        "INSERT INTO manifest_by_label (label, job, store, at_ms) "
        "SELECT m.label, m.job, m.store, j.updated_ms FROM manifest m JOIN job j ON j.id = m.job"
    )
    op.drop_table("manifest")
    op.rename_table("manifest_by_label", "manifest")
    op.create_index("ix_manifest_job", "manifest", ["job"])


def _bind_what_is_there() -> None:
    job = sa.table("job", sa.column("id"), sa.column("got", sa.JSON()))
    manifest = sa.table("manifest", sa.column("payload"), sa.column("job"))
    rows = op.get_bind().execute(
        sa.select(manifest.c.payload, job.c.id, job.c.got).join_from(
            manifest, job, manifest.c.job == job.c.id
        )
    )
    bindings = [
        {"alg": alg, "value": base64.b64encode(bytes.fromhex(payload)).decode(), "job": job_id}
        for payload, job_id, got in rows.all()
        for track, alg in _ALGS.items()
        if got.get("marks", {}).get(track)
    ]
    softbinding = sa.table("softbinding", sa.column("alg"), sa.column("value"), sa.column("job"))
    op.bulk_insert(softbinding, bindings)


def downgrade() -> None:
    op.create_table(
        "manifest_by_payload",
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("store", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["job.id"]),
        sa.PrimaryKeyConstraint("payload"),
    )
    op.execute(
        "INSERT INTO manifest_by_payload (payload, label, job, store) "
        "SELECT j.payload, m.label, m.job, m.store FROM manifest m JOIN job j ON j.manifest_label = m.label"
    )
    op.drop_table("manifest")
    op.rename_table("manifest_by_payload", "manifest")
    op.create_index("ix_manifest_label", "manifest", ["label"])
    op.create_index("ix_manifest_job", "manifest", ["job"])
    op.drop_table("fingerprint")
    op.drop_table("softbinding")
