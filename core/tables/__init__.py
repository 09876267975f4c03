"""The tables, by room. The database is the truth; files and queue messages are not."""

from core.tables.audit import (
    AuditBlock,
    AuditEvent,
    AuditGrant,
    AuditPosting,
    AuditRun,
    LogCheckpoint,
    LogEntry,
    SavedQuery,
)
from core.tables.partners import ApiKey, EndUser, Partner, Strike
from core.tables.people import (
    Consent,
    ConsentUse,
    GalleryChange,
    GalleryState,
    Identity,
    KeptReference,
    SubjectKey,
    Template,
    VoiceProof,
)
from core.tables.policies import PolicyFile
from core.tables.provenance import Fingerprint, GateKey, Manifest, SoftBinding, Unstamped
from core.tables.requests import IdempotencyKey, Job, Leftover, LegalHold, Outbox, Review, Ruling, Upload
from core.tables.staff import Pseudonym, Reviewer

__all__ = [
    "ApiKey",
    "AuditBlock",
    "AuditEvent",
    "AuditGrant",
    "AuditPosting",
    "AuditRun",
    "Consent",
    "ConsentUse",
    "EndUser",
    "Fingerprint",
    "GalleryChange",
    "GalleryState",
    "GateKey",
    "IdempotencyKey",
    "Identity",
    "Job",
    "KeptReference",
    "Leftover",
    "LegalHold",
    "LogCheckpoint",
    "LogEntry",
    "Manifest",
    "Outbox",
    "Partner",
    "PolicyFile",
    "Pseudonym",
    "Review",
    "Reviewer",
    "Ruling",
    "SavedQuery",
    "SoftBinding",
    "Strike",
    "SubjectKey",
    "Template",
    "Unstamped",
    "Upload",
    "VoiceProof",
]
