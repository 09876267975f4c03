"""The bodies that come in and go out. Pydantic stands at the door and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from core.clock import iso
from core.state import CANCELLABLE, FINAL
from core.tables import Consent, Identity, Job, Upload
from provenance.labels import Purpose

_PLAIN = r"^[^\x00-\x1f\x7f]*$"
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=_PLAIN)]
Label = Annotated[str, Field(max_length=200, pattern=_PLAIN)]
Territory = Annotated[str, Field(max_length=16, pattern=_PLAIN)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]
EndUserId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{0,128}$")]
EndUserInPath = Annotated[str, Path(pattern=r"^[A-Za-z0-9._~-]{1,128}$")]
IdInPath = Annotated[str, Path(pattern=r"^[a-z0-9_]{1,64}$")]
Cursor = Annotated[str | None, Query(pattern=r"^[a-z0-9_]{1,64}$")]
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC))
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Wanted(_In):
    """What every request for media has."""

    prompt: str
    seed: int | None = Field(None, ge=0, lt=2**31)
    engine: str = Field("", pattern=r"^[a-z0-9_]{0,64}$")
    project: Label = ""
    territory: Territory = ""
    """Where it will be shown, such as `EU`, `DE`, `CN` or `US-NY`: its labels are put in."""
    purpose: Purpose = ""
    draft: bool = False
    """For review inside the studio: what the territory lets wait is left out until `/final`."""
    identities: list[Id] = Field(default_factory=list, max_length=16)
    end_user: EndUserId = ""
    """Who of the partner's users asks, by an opaque id of the partner's own; never a name."""


class GenerationIn(Wanted):
    """A request for a clip: seconds, pixels, frames per second."""

    seconds: float = Field(8.0, gt=0, le=45)
    width: int = Field(704, ge=64, le=3840)
    height: int = Field(480, ge=64, le=3840)
    fps: int = Field(24, ge=1, le=60)
    picture: bool = True
    sound: bool = True
    references: list[Id] = Field(default_factory=list, max_length=8)


class SoundtrackIn(Wanted):
    """A request for sound to an uploaded video."""

    source: Id


class PrecheckIn(_In):
    """A request to be judged without generating anything: its prompt, and whom its uploads show."""

    prompt: str
    modality: Literal["video", "audio", "soundtrack", "edit"] = "video"
    project: Label = ""
    territory: Territory = ""
    identities: list[Id] = Field(default_factory=list, max_length=16)
    references: list[Id] = Field(default_factory=list, max_length=8)
    source: Id | None = None
    end_user: EndUserId = ""


class PrecheckedRule(BaseModel):
    """A rule that fired; of the gravest only that it did. `span` counts characters of the prompt as it was sent.

    `reference` names the upload that it fired on; none: the prompt.
    """

    id: str
    outcome: Literal["allow", "hold", "refuse"]
    category: str
    reason_code: str
    message: str
    span: tuple[int, int] | None
    view: str | None
    advice: str | None = None
    score: float | None = None
    threshold: float | None = None
    reference: str | None = None


class PrecheckedEntity(BaseModel):
    """A name that was found."""

    text: str
    kind: str
    id: str
    span: tuple[int, int]


class PrecheckOut(BaseModel):
    """What the pipeline would decide."""

    decision: Literal["allow", "hold", "refuse"]
    categories: dict[str, float]
    rules: list[PrecheckedRule]
    entities: list[PrecheckedEntity]
    language: dict[str, str | bool]
    policy: dict[str, str]
    model: dict[str, str | None]
    elapsed_ms: float


class AppealIn(_In):
    """Why a refusal is wrong, in words for the people who will decide."""

    reason: Annotated[str, Field(min_length=5, max_length=2000, pattern=_PLAIN)]


class UserOut(BaseModel):
    """How a partner's user stands; `level` is none, slow, hold or suspend."""

    end_user: str
    level: Literal["none", "slow", "hold", "suspend"]
    strikes: int
    total: float
    next_expiry_at: str | None


class IdentityIn(_In):
    """A person to be protected."""

    name: Name
    aliases: list[Name] = Field(default_factory=list, max_length=32)


class EnrolmentIn(_In):
    """Uploads that show or voice a person."""

    kind: Literal["likeness", "voice"]
    references: list[Id] = Field(min_length=1, max_length=16)
    keep_references: bool = False


class RecordingIn(_In):
    """An uploaded recording of a phrase."""

    recording: Id


class ConsentIn(_In):
    """A grant of a person to the calling partner; `evidence_sha256` is the digest of the signed paper."""

    identity: Id
    likeness: bool = False
    voice: bool = False
    project: Label = ""
    territory: Territory = ""
    starts_at: Moment | None = None
    ends_at: Moment
    evidence_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class GenerationOut(BaseModel):
    """Where a request stands."""

    id: str
    kind: str
    state: str
    progress: float
    cancelling: bool
    """A worker is at it and will stop at its next tick, unless it is past that by then."""
    held_at: str | None
    problem: str | None
    created_at: str
    updated_at: str
    released_at: str | None
    decision: dict[str, Any] | None = None
    links: dict[str, str]


class GenerationList(BaseModel):
    """A page of requests, newest first; `next` is the cursor of the next page."""

    data: list[GenerationOut]
    next: str | None


class UploadOut(BaseModel):
    """An upload that was accepted."""

    id: str
    kind: str
    sha256: str
    about: dict[str, Any]


class IdentityOut(BaseModel):
    """A protected person."""

    id: str
    name: str
    aliases: list[str]


class EnrolmentOut(BaseModel):
    """Which references were good enough, and why the others were not."""

    identity: str
    accepted: list[str]
    refused: list[dict[str, str]]


class PhraseOut(BaseModel):
    """What to say so as to prove that a voice is one's own."""

    id: str
    phrase: str
    expires_at: str


class VoiceProofOut(BaseModel):
    """What came of it; `words` is matched, unmatched, or unchecked where no speech recogniser is configured."""

    id: str
    passed: bool
    voice: bool
    words: Literal["matched", "unmatched", "unchecked"]
    why: str
    score: float | None = None
    threshold: float | None = None


class ConsentOut(BaseModel):
    """A registered grant."""

    id: str
    identity: str
    likeness: bool
    voice: bool
    project: str
    territory: str
    starts_at: str
    ends_at: str
    revoked_at: str | None


class ConsentUsesOut(BaseModel):
    """A grant and what rests on it; `released` are out already, whatever becomes of the grant."""

    consent: ConsentOut
    released: list[str]
    clips: list[dict[str, str]]


class RevocationOut(BaseModel):
    """What a revocation met."""

    id: str
    stopped: list[str]
    released: list[str]


def generation_out(job: Job, decision: dict[str, Any] | None = None) -> GenerationOut:
    """Show a request to its partner."""
    home = f"/v1/generations/{job.id}"
    names = ("events", "receipt", "explanation") + (("content",) if job.state == "released" else ())
    names += ("proof",) if job.state in FINAL else ()
    return GenerationOut(
        id=job.id,
        kind=job.kind,
        state=job.state,
        progress=job.progress,
        cancelling=job.cancel and job.state in CANCELLABLE,
        held_at=job.held_at,
        problem=job.problem,
        created_at=iso(job.created_ms),
        updated_at=iso(job.updated_ms),
        released_at=iso(job.released_ms) if job.released_ms else None,
        decision=decision,
        links={"self": home} | {name: f"{home}/{name}" for name in names},
    )


def upload_out(upload: Upload) -> UploadOut:
    """Show an upload to its partner."""
    return UploadOut(id=upload.id, kind=upload.kind, sha256=upload.sha256, about=upload.about)


def identity_out(person: Identity) -> IdentityOut:
    """Show a person to the partner who registered them."""
    return IdentityOut(id=person.id, name=person.name, aliases=person.aliases)


def consent_out(consent: Consent) -> ConsentOut:
    """Show a grant to the partner it was given to."""
    return ConsentOut(
        id=consent.id,
        identity=consent.identity,
        likeness=consent.likeness,
        voice=consent.voice,
        project=consent.project,
        territory=consent.territory,
        starts_at=iso(consent.starts_ms),
        ends_at=iso(consent.ends_ms),
        revoked_at=iso(consent.revoked_ms) if consent.revoked_ms else None,
    )
