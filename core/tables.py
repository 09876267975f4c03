"""The tables. The database is the truth; files and queue messages are not."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON
from sqlmodel import Field, SQLModel

# SQLite only numbers rows by itself when the type is exactly INTEGER.
_ROW_ID = BigInteger().with_variant(Integer, "sqlite")


def _json() -> Any:
    return Column(JSON, nullable=False)


def _bytes(*, unique: bool = False) -> Any:
    return Column(LargeBinary, nullable=False, unique=unique)


class _transaction(FunctionElement[int]):  # noqa: N801 - it reads as the SQL function that it is
    """The number of the transaction that inserts a row."""

    inherit_cache = True


@compiles(_transaction)
def _no_transaction(*_: Any, **__: Any) -> str:
    return "0"


@compiles(_transaction, "postgresql")
def _this_transaction(*_: Any, **__: Any) -> str:
    return "(pg_current_xact_id()::text::bigint)"


def _ms() -> Any:
    return Field(sa_type=BigInteger)


class Partner(SQLModel, table=True):
    """A studio. Its quota is requests a minute and unfinished requests at once."""

    id: str = Field(primary_key=True)
    name: str
    per_minute: int = 60
    at_once: int = 20
    created_ms: int = _ms()


class ApiKey(SQLModel, table=True):
    """A partner's key: only its argon2 hash is kept; `id` is the public half that finds it."""

    id: str = Field(primary_key=True)
    partner: str = Field(foreign_key="partner.id", index=True)
    secret_hash: str
    created_ms: int = _ms()
    revoked: bool = False


class Reviewer(SQLModel, table=True):
    """A person with a place in the console; `role` is reviewer, auditor, regulator or admin."""

    name: str = Field(primary_key=True)
    password_hash: str
    role: str = "reviewer"


class Pseudonym(SQLModel, table=True):
    """Under which id a person of the house stands in the public log; without the row nobody can tell who it was."""

    name: str = Field(primary_key=True)
    id: str = Field(unique=True)


class Job(SQLModel, table=True):
    """One request on its way. Every change of `state` is guarded by `state` and `fence`."""

    __table_args__ = (
        Index("job_runnable", "state", "lease_until_ms"),
        Index("job_user", "partner", "user", "created_ms"),
    )

    id: str = Field(primary_key=True)
    partner: str = Field(foreign_key="partner.id", index=True)
    kind: str
    """generation or soundtrack"""
    project: str = ""
    territory: str = ""
    prompt: str
    user: str | None = None
    """For which of the partner's users, as a keyed digest of the id that the partner gave."""
    ask: dict[str, Any] = Field(sa_column=_json())
    """What was asked: seconds, size, fps, picture, sound, engine, seed, identities, references."""
    state: str = Field(index=True)
    held_at: str | None = None
    """The step that held it: admit or screen."""
    payload: str = Field(unique=True)
    """The 64-bit watermark id, 16 hex digits."""
    fence: int = 0
    lease_until_ms: int = Field(default=0, sa_type=BigInteger)
    holder: str | None = None
    attempts: int = 0
    """Claims of the present step; back to 0 with every step done."""
    cancel: bool = False
    progress: float = 0.0
    problem: str | None = None
    got: dict[str, Any] = Field(default_factory=dict, sa_column=_json())
    """What was made: engine identity, snapped sizes, mark notes, sandboxing, development doubles."""
    mezzanine: str | None = None
    marked: str | None = None
    signed: str | None = None
    public: str | None = None
    manifest_label: str | None = Field(default=None, index=True)
    record_event: int | None = Field(default=None, sa_type=BigInteger)
    created_ms: int = _ms()
    updated_ms: int = _ms()
    released_ms: int | None = Field(default=None, sa_type=BigInteger)
    forget: bool = False
    """To be erased as soon as it has ended: it names somebody who was erased."""
    cleared_ms: int | None = Field(default=None, sa_type=BigInteger)
    """When its working files were given up."""
    erased_ms: int | None = Field(default=None, sa_type=BigInteger)
    """When its words were erased: the prompt, the facts of its decisions, the reasons of its reviewers."""


class Upload(SQLModel, table=True):
    """A reference or a source video, already decoded once in the sandbox and stored in our own form."""

    id: str = Field(primary_key=True)
    partner: str = Field(foreign_key="partner.id", index=True)
    kind: str
    """picture, voice or video"""
    blob: str
    original: str | None = None
    """The bytes as they came, kept only for videos: their manifest becomes an ingredient."""
    mime: str
    sha256: str
    about: dict[str, Any] = Field(default_factory=dict, sa_column=_json())
    created_ms: int = _ms()


class IdempotencyKey(SQLModel, table=True):
    """A request that must not run twice, with the digest of its body."""

    partner: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    request_sha256: str
    job: str
    created_ms: int = _ms()


class Ruling(SQLModel, table=True):
    """A decision of the policy engine as it was made, replayable from its facts."""

    id: int | None = Field(default=None, sa_column=Column(_ROW_ID, primary_key=True, autoincrement=True))
    job: str = Field(foreign_key="job.id", index=True)
    stage: str
    outcome: str
    decision: dict[str, Any] = Field(sa_column=_json())
    at_ms: int = _ms()


class Review(SQLModel, table=True):
    """What one person decided on one hold; the gravest rules need two different people."""

    __table_args__ = (UniqueConstraint("job", "ruling", "reviewer"),)

    id: int | None = Field(default=None, sa_column=Column(_ROW_ID, primary_key=True, autoincrement=True))
    job: str = Field(foreign_key="job.id", index=True)
    ruling: int = Field(sa_type=BigInteger)
    reviewer: str
    approve: bool
    reason: str
    at_ms: int = _ms()


class Identity(SQLModel, table=True):
    """A protected person, known by an id; the name is for people, never for files."""

    id: str = Field(primary_key=True)
    name: str = Field(index=True)
    aliases: list[str] = Field(default_factory=list, sa_column=_json())
    registered_by: str = ""
    """The partner who registered them and may grant itself consents; empty: the operator alone grants."""
    created_ms: int = _ms()
    erased: bool = False


class SubjectKey(SQLModel, table=True):
    """A subject's own key, wrapped by the installation's; deleting this row erases the subject.

    On the embedded default the rows are in a database file of their own.
    """

    subject: str = Field(primary_key=True)
    kind: str
    """person, request, or for an event about neither the noun of its tag"""
    wrapped: bytes = Field(sa_column=_bytes())
    created_ms: int = _ms()


class Template(SQLModel, table=True):
    """Biometric vectors of one person and kind, encrypted under that person's key."""

    id: int | None = Field(default=None, sa_column=Column(_ROW_ID, primary_key=True, autoincrement=True))
    identity: str = Field(foreign_key="identity.id", index=True)
    kind: str
    """likeness or voice"""
    tier: str
    sealed: bytes = Field(sa_column=_bytes())
    uploads: list[str] = Field(default_factory=list, sa_column=_json())
    """The references it was made of, where an older version left them; they go when the person is erased."""
    created_ms: int = _ms()


class KeptReference(SQLModel, table=True):
    """A reference that was kept on purpose, so that reviewers can compare: reduced, and sealed under the person's key."""

    id: int | None = Field(default=None, sa_column=Column(_ROW_ID, primary_key=True, autoincrement=True))
    identity: str = Field(foreign_key="identity.id", index=True)
    kind: str
    """likeness (a JPEG) or voice (a WAV)"""
    sealed: bytes = Field(sa_column=_bytes())
    created_ms: int = _ms()


class VoiceProof(SQLModel, table=True):
    """A phrase that somebody was to say so as to prove that a voice is their own, and what came of it."""

    id: str = Field(primary_key=True)
    identity: str = Field(foreign_key="identity.id", index=True)
    phrase: str
    issued_ms: int = _ms()
    expires_ms: int = _ms()
    used_ms: int | None = Field(default=None, sa_type=BigInteger)
    """When a recording was given for it; there is one chance."""
    passed: bool | None = None
    result: dict[str, Any] = Field(default_factory=dict, sa_column=_json())


class GalleryState(SQLModel, table=True):
    """How often the templates of one kind have changed, and how many there are; workers compare both with theirs."""

    kind: str = Field(primary_key=True)
    """likeness or voice"""
    version: int = Field(sa_type=BigInteger)
    templates: int = Field(sa_type=BigInteger)


class GalleryChange(SQLModel, table=True):
    """Whose templates a version changed: a worker that knows an older one reads these people again."""

    kind: str = Field(primary_key=True)
    version: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    identity: str


class Consent(SQLModel, table=True):
    """A grant: who may show or voice whom, for what, where, until when. Empty `project` or `territory` = any."""

    id: str = Field(primary_key=True)
    identity: str = Field(foreign_key="identity.id", index=True)
    partner: str = Field(foreign_key="partner.id", index=True)
    likeness: bool = False
    voice: bool = False
    project: str = ""
    territory: str = ""
    starts_ms: int = _ms()
    ends_ms: int = _ms()
    evidence_sha256: str = ""
    revoked_ms: int | None = Field(default=None, sa_type=BigInteger)


class ConsentUse(SQLModel, table=True):
    """Which request rested on which grant, so that a revocation finds them all."""

    consent: str = Field(primary_key=True, foreign_key="consent.id")
    job: str = Field(primary_key=True, foreign_key="job.id")


class Manifest(SQLModel, table=True):
    """A manifest store of a clip, kept before release; the newest of a request is the one to hand out."""

    label: str = Field(primary_key=True)
    """Of its active manifest."""
    job: str = Field(foreign_key="job.id", index=True)
    store: bytes = Field(sa_column=_bytes())
    at_ms: int = _ms()


class Unstamped(SQLModel, table=True):
    """A clip that was signed without a time stamp, which it is to be given once it is released."""

    job: str = Field(primary_key=True, foreign_key="job.id")
    due_ms: int = Field(sa_type=BigInteger, index=True)
    """When to try next; whoever moves it on has taken the clip."""
    tries: int = 0


class SoftBinding(SQLModel, table=True):
    """What leads from a watermark to a clip: an algorithm and a value, as they stand in the manifest."""

    alg: str = Field(primary_key=True)
    value: str = Field(primary_key=True)
    """Base64, as in the manifest and in the C2PA Soft Binding Resolution API."""
    job: str = Field(primary_key=True, foreign_key="job.id", index=True)


class Fingerprint(SQLModel, table=True):
    """What a track of a clip looks or sounds like; rows are only added and taken away, never changed."""

    __table_args__ = (UniqueConstraint("job", "alg"), {"sqlite_autoincrement": True})

    id: int | None = Field(default=None, sa_column=Column(_ROW_ID, primary_key=True, autoincrement=True))
    job: str = Field(foreign_key="job.id")
    alg: str
    data: bytes = Field(sa_column=_bytes())


class GateKey(SQLModel, table=True):
    """A key that signs or marks: proposed by one admin, made active by another, then retired or revoked.

    The private half is never here: `custody` says where a claim signer's is kept, a mark key's is a file.
    """

    __table_args__ = (
        # Two people to change a key: whoever proposed it cannot have approved it, whatever the code does.
        CheckConstraint("approved_by <> proposed_by", name="gatekey_two_people"),
        CheckConstraint(
            "first OR approved_by IS NOT NULL OR state IN ('proposed', 'revoked')", name="gatekey_approved"
        ),
        Index(
            "gatekey_one_active",
            "kind",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
    )

    id: str = Field(primary_key=True)
    """Of a claim signer the SHA-256 of its leaf, of a mark key its public id."""
    kind: str
    """claim or mark"""
    state: str
    """proposed, active, retired or revoked"""
    first: bool = False
    """Found at the first start, with nobody there to approve it."""
    development: bool = False
    serial: str = Field(default="", index=True)
    chain_pem: str = ""
    roots_pem: str = ""
    custody: dict[str, Any] = Field(default_factory=dict, sa_column=_json())
    expires_ms: int | None = Field(default=None, sa_type=BigInteger)
    warned: bool = False
    """Whether its coming end was announced."""
    proposed_by: str
    approved_by: str | None = None
    created_ms: int = _ms()
    active_ms: int | None = Field(default=None, sa_type=BigInteger)
    revoked_ms: int | None = Field(default=None, sa_type=BigInteger)
    """From when on it no longer counts, which may lie before the revocation itself."""


class PolicyFile(SQLModel, table=True):
    """A policy pack, an overlay or an election as it was written: added by one admin, made active by another.

    A row stays for ever, so that every decision can be made again under what made it.
    """

    __table_args__ = (
        CheckConstraint("approved_by <> added_by", name="policyfile_two_people"),
        CheckConstraint(
            "state IN ('kept', 'draft', 'shadow', 'withdrawn') OR approved_by IS NOT NULL",
            name="policyfile_approved",
        ),
        CheckConstraint("ended_by IS NULL OR ended_by <> ending_by", name="policyfile_two_people_end"),
        Index(
            "policyfile_one_active",
            "kind",
            "slot",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
        Index(
            "policyfile_one_shadow",
            "kind",
            unique=True,
            sqlite_where=text("state = 'shadow'"),
            postgresql_where=text("state = 'shadow'"),
        ),
    )

    sha256: str = Field(primary_key=True)
    kind: str
    """pack, overlay or election"""
    name: str
    version: str
    slot: str = ""
    """Of which only one can be active: "" for packs, the name for the others."""
    content: bytes = Field(sa_column=_bytes())
    state: str = Field(index=True)
    """kept (of the installation's own file), draft, shadow, active, retired, withdrawn"""
    starts_ms: int | None = Field(default=None, sa_type=BigInteger)
    ends_ms: int | None = Field(default=None, sa_type=BigInteger)
    announced: str = ""
    """Of an election: "", started or ended."""
    added_by: str
    approved_by: str | None = None
    ending_by: str | None = None
    """Who proposed that an overlay or election ends before its time."""
    ended_by: str | None = None
    before: str | None = None
    """The pack that was active until this one was."""
    created_ms: int = _ms()
    active_ms: int | None = Field(default=None, sa_type=BigInteger)


class Strike(SQLModel, table=True):
    """What one refused request of a partner's user costs them; a request gives one at most."""

    __table_args__ = (Index("strike_user", "partner", "user", "expires_ms"),)

    job: str = Field(primary_key=True, foreign_key="job.id")
    partner: str = Field(foreign_key="partner.id")
    user: str
    """A keyed digest of the id that the partner uses."""
    category: str
    weight: int
    """In thousandths."""
    at_ms: int = _ms()
    expires_ms: int = Field(sa_type=BigInteger, index=True)
    lifted_ms: int | None = Field(default=None, sa_type=BigInteger)


class EndUser(SQLModel, table=True):
    """A partner's user who has strikes: what was last announced of them, and their appeal."""

    partner: str = Field(primary_key=True, foreign_key="partner.id")
    user: str = Field(primary_key=True)
    level: str = "none"
    appealed_ms: int | None = Field(default=None, sa_type=BigInteger)
    updated_ms: int = _ms()


class AuditEvent(SQLModel, table=True):
    """What happened, written in the transaction that made it happen. `leaf` goes into the log as it is."""

    __table_args__ = (
        Index("auditevent_horizon", "xid", "id").ddl_if(dialect="postgresql"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(_ROW_ID, primary_key=True, autoincrement=True))
    xid: int | None = Field(
        default=None, sa_column=Column(BigInteger, nullable=False, server_default=_transaction())
    )
    """On PostgreSQL the number of the transaction that wrote it; see audits/log/horizon.py."""
    at_ms: int = _ms()
    tag: str
    partner: str | None = None
    job: str | None = Field(default=None, index=True)
    identity: str | None = None
    rule: str | None = None
    actor: str
    leaf: bytes = Field(sa_column=_bytes())
    subject: str | None = None
    """Under whose key `sealed` is."""
    sealed: bytes | None = None
    """The private part with its salt, encrypted; the leaf holds a commitment to it."""


class AuditPosting(SQLModel, table=True):
    """That the log entry `index` has a searched value, whose 64-bit name is `term`; see audits/index.py."""

    __table_args__ = ({"sqlite_with_rowid": False},)

    term: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    index: int = Field(sa_column=Column("index", BigInteger, primary_key=True, autoincrement=False))


class AuditBlock(SQLModel, table=True):
    """The earliest and the latest time among 1,024 log entries, of which `count` are searchable so far."""

    __table_args__ = (Index("audit_block_span", "high_ms", "low_ms", "number"),)

    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    count: int
    low_ms: int = _ms()
    high_ms: int = _ms()


class AuditGrant(SQLModel, table=True):
    """What an auditor or a regulator may read, until when, and which two admins let them.

    The constraints are the four eyes: nobody approves what they proposed, and nobody lets themselves in.
    """

    __table_args__ = (
        CheckConstraint("approved_by <> proposed_by", name="auditgrant_two_people"),
        CheckConstraint("person <> proposed_by AND person <> approved_by", name="auditgrant_not_oneself"),
        CheckConstraint("state <> 'active' OR approved_by IS NOT NULL", name="auditgrant_approved"),
        Index(
            "auditgrant_one_a_person",
            "person",
            unique=True,
            sqlite_where=text("state IN ('proposed', 'active')"),
            postgresql_where=text("state IN ('proposed', 'active')"),
        ),
    )

    id: str = Field(primary_key=True)
    person: str = Field(foreign_key="reviewer.name")
    role: str
    """auditor: everything; regulator: what `scope` lets through"""
    scope: dict[str, Any] = Field(sa_column=_json())
    ends_ms: int = _ms()
    state: str = "proposed"
    """proposed, active, revoked or expired"""
    reason: str
    proposed_by: str = Field(foreign_key="reviewer.name")
    approved_by: str | None = Field(default=None, foreign_key="reviewer.name")
    created_ms: int = _ms()
    secret_hash: str | None = None
    """argon2 of the bearer token that its holder made last"""


class SavedQuery(SQLModel, table=True):
    """A question that somebody wants to ask again; `owner` is an actor."""

    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: str = Field(primary_key=True)
    owner: str
    name: str
    filter: dict[str, Any] = Field(sa_column=_json())
    created_ms: int = _ms()


class LogEntry(SQLModel, table=True):
    """Which event is which leaf of the log."""

    index: int = Field(sa_column=Column("index", BigInteger, primary_key=True, autoincrement=False))
    event_id: int = Field(sa_type=BigInteger, unique=True)
    leaf_hash: bytes = Field(sa_column=_bytes())


class LogCheckpoint(SQLModel, table=True):
    """A signed tree head; inserting the row is the log's commit point."""

    size: int = Field(sa_column=Column("size", BigInteger, primary_key=True, autoincrement=False))
    root: bytes = Field(sa_column=_bytes())
    note: str
    at_ms: int = _ms()


class AuditRun(SQLModel, table=True):
    """One run of a preemptive suite; `subject` is the digest of the code, pack and models that it tested."""

    __table_args__ = (Index("auditrun_newest", "suite", "at_ms"),)

    id: str = Field(primary_key=True)
    suite: str
    quick: bool
    subject: str
    passed: bool
    result: str
    """As `audits.preemptive.result.SuiteResult.json` wrote it."""
    at_ms: int = _ms()


class Leftover(SQLModel, table=True):
    """What a committed erasure has still to destroy outside this database; gone when no trace is left."""

    id: int | None = Field(default=None, sa_column=Column(_ROW_ID, primary_key=True, autoincrement=True))
    kind: str
    """key, or the room of a file or folder: private or public"""
    name: str


class LegalHold(SQLModel, table=True):
    """A named reason to keep what concerns a request, a partner or a person, whatever the deadlines say."""

    name: str = Field(primary_key=True)
    subject: str = Field(primary_key=True, index=True)
    at_ms: int = _ms()


class Outbox(SQLModel, table=True):
    """Hints to be sent to the queue; losing or doubling one is harmless."""

    id: int | None = Field(default=None, sa_column=Column(_ROW_ID, primary_key=True, autoincrement=True))
    job: str
    at_ms: int = _ms()
