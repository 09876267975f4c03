"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "auditevent",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("tag", sa.String(), nullable=False),
        sa.Column("partner", sa.String(), nullable=True),
        sa.Column("job", sa.String(), nullable=True),
        sa.Column("identity", sa.String(), nullable=True),
        sa.Column("rule", sa.String(), nullable=True),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("leaf", sa.LargeBinary(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("auditevent", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_auditevent_at_ms"), ["at_ms"], unique=False)
        batch_op.create_index(batch_op.f("ix_auditevent_identity"), ["identity"], unique=False)
        batch_op.create_index(batch_op.f("ix_auditevent_job"), ["job"], unique=False)
        batch_op.create_index(batch_op.f("ix_auditevent_partner"), ["partner"], unique=False)
        batch_op.create_index(batch_op.f("ix_auditevent_rule"), ["rule"], unique=False)
        batch_op.create_index(batch_op.f("ix_auditevent_tag"), ["tag"], unique=False)

    op.create_table(
        "idempotencykey",
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_sha256", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner", "key"),
    )
    op.create_table(
        "identity",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("registered_by", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("erased", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("identity", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identity_name"), ["name"], unique=False)

    op.create_table(
        "logcheckpoint",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("size"),
    )
    op.create_table(
        "logentry",
        sa.Column("index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("index"),
        sa.UniqueConstraint("event_id"),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "partner",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("per_minute", sa.Integer(), nullable=False),
        sa.Column("at_once", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "reviewer",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "apikey",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["partner"], ["partner.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("apikey", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_apikey_partner"), ["partner"], unique=False)

    op.create_table(
        "consent",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("likeness", sa.Boolean(), nullable=False),
        sa.Column("voice", sa.Boolean(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("territory", sa.String(), nullable=False),
        sa.Column("starts_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger(), nullable=False),
        sa.Column("evidence_sha256", sa.String(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["identity"], ["identity.id"]),
        sa.ForeignKeyConstraint(["partner"], ["partner.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consent_identity"), ["identity"], unique=False)
        batch_op.create_index(batch_op.f("ix_consent_partner"), ["partner"], unique=False)

    op.create_table(
        "job",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("territory", sa.String(), nullable=False),
        sa.Column("prompt", sa.String(), nullable=False),
        sa.Column("ask", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("held_at", sa.String(), nullable=True),
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("cancel", sa.Boolean(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("got", sa.JSON(), nullable=False),
        sa.Column("mezzanine", sa.String(), nullable=True),
        sa.Column("marked", sa.String(), nullable=True),
        sa.Column("signed", sa.String(), nullable=True),
        sa.Column("public", sa.String(), nullable=True),
        sa.Column("manifest_label", sa.String(), nullable=True),
        sa.Column("record_event", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.Column("released_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["partner"], ["partner.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("payload"),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_job_manifest_label"), ["manifest_label"], unique=False)
        batch_op.create_index(batch_op.f("ix_job_partner"), ["partner"], unique=False)
        batch_op.create_index(batch_op.f("ix_job_state"), ["state"], unique=False)
        batch_op.create_index("job_runnable", ["state", "lease_until_ms"], unique=False)

    op.create_table(
        "subjectkey",
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["identity"], ["identity.id"]),
        sa.PrimaryKeyConstraint("identity"),
    )
    op.create_table(
        "template",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["identity"], ["identity.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("template", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_template_identity"), ["identity"], unique=False)

    op.create_table(
        "upload",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("partner", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("blob", sa.String(), nullable=False),
        sa.Column("original", sa.String(), nullable=True),
        sa.Column("mime", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("about", sa.JSON(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["partner"], ["partner.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("upload", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_upload_partner"), ["partner"], unique=False)

    op.create_table(
        "consentuse",
        sa.Column("consent", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["consent"], ["consent.id"]),
        sa.ForeignKeyConstraint(["job"], ["job.id"]),
        sa.PrimaryKeyConstraint("consent", "job"),
    )
    op.create_table(
        "manifest",
        sa.Column("payload", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("store", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["job.id"]),
        sa.PrimaryKeyConstraint("payload"),
    )
    with op.batch_alter_table("manifest", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_manifest_job"), ["job"], unique=False)
        batch_op.create_index(batch_op.f("ix_manifest_label"), ["label"], unique=False)

    op.create_table(
        "review",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("ruling", sa.BigInteger(), nullable=False),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("approve", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["job.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job", "ruling", "reviewer"),
    )
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_review_job"), ["job"], unique=False)

    op.create_table(
        "ruling",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("decision", sa.JSON(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["job.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("ruling", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_ruling_job"), ["job"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("ruling", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_ruling_job"))

    op.drop_table("ruling")
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_review_job"))

    op.drop_table("review")
    with op.batch_alter_table("manifest", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_manifest_label"))
        batch_op.drop_index(batch_op.f("ix_manifest_job"))

    op.drop_table("manifest")
    op.drop_table("consentuse")
    with op.batch_alter_table("upload", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_upload_partner"))

    op.drop_table("upload")
    with op.batch_alter_table("template", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_template_identity"))

    op.drop_table("template")
    op.drop_table("subjectkey")
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.drop_index("job_runnable")
        batch_op.drop_index(batch_op.f("ix_job_state"))
        batch_op.drop_index(batch_op.f("ix_job_partner"))
        batch_op.drop_index(batch_op.f("ix_job_manifest_label"))

    op.drop_table("job")
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_consent_partner"))
        batch_op.drop_index(batch_op.f("ix_consent_identity"))

    op.drop_table("consent")
    with op.batch_alter_table("apikey", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_apikey_partner"))

    op.drop_table("apikey")
    op.drop_table("reviewer")
    op.drop_table("partner")
    op.drop_table("outbox")
    op.drop_table("logentry")
    op.drop_table("logcheckpoint")
    with op.batch_alter_table("identity", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_identity_name"))

    op.drop_table("identity")
    op.drop_table("idempotencykey")
    with op.batch_alter_table("auditevent", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_auditevent_tag"))
        batch_op.drop_index(batch_op.f("ix_auditevent_rule"))
        batch_op.drop_index(batch_op.f("ix_auditevent_partner"))
        batch_op.drop_index(batch_op.f("ix_auditevent_job"))
        batch_op.drop_index(batch_op.f("ix_auditevent_identity"))
        batch_op.drop_index(batch_op.f("ix_auditevent_at_ms"))

    op.drop_table("auditevent")
