"""Evidence for a reviewer's eyes and ears, for one match that a request is held for.

What is shown follows from the stored decision alone: a reviewer names a decision, a rule that fired and an item of its
evidence, and gets the frame, the face, the seconds or their spectrogram, from the clip or from the reference that it
was found in. They are cut out in the sandbox, and every look is an event in the log.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlmodel import Session, col, select

from core.decision import from_json
from core.errors import Conflict, NotFound
from core.events import Event, Tag, record
from core.media import sandbox
from core.state import State
from core.store import job as find_job
from core.tables import Job, KeptReference, Ruling, Upload
from pipeline.referenced import brought
from pipeline.tools import Tools

Form = Literal["frame", "face", "voice", "spectrogram"]
_FORMS: dict[str, tuple[Form, ...]] = {"likeness": ("face", "frame"), "voice": ("voice", "spectrogram")}
_TARGETS = {"frame": "framed", "face": "face", "voice": "heard", "spectrogram": "spectrogram"}
_KEPT_AS = {"likeness": "image/jpeg", "voice": "audio/wav"}


@dataclass(frozen=True, slots=True)
class At:
    """Where a match stands: the decision's row, the number of the rule that fired, the number of its evidence."""

    ruling: int
    rule: int
    item: int


def exhibit(tools: Tools, job_id: str, at: At, form: Form, *, reviewer: str) -> tuple[str, bytes]:
    """Show one match in one form; answer its media type and its bytes. Raises `NotFound` and `Conflict`."""
    with tools.store.session() as session:
        job = _held(session, job_id)
        found = _match(session, job, at)
        if form not in _FORMS.get(found["kind"], ()):
            raise NotFound("There is no such evidence for this match.")
        source = _source(session, tools, job, found)
        _looked(session, tools, job, found, form, reviewer)
        session.commit()
    settings = tools.settings
    cage = sandbox.Cage(memory_mib=settings.sandbox_memory_mib, seconds=settings.sandbox_seconds)
    arguments = {"source": str(source)} | _span(found)
    shown = sandbox.run(f"core.media.exhibit:{_TARGETS[form]}", arguments, cage=cage, readable=[source])
    return "audio/wav" if form == "voice" else "image/png", base64.b64decode(shown)


def reference(tools: Tools, job_id: str, at: At, kept: int, *, reviewer: str) -> tuple[str, bytes]:
    """Open a reference that was kept of the person a match is about; nothing is decoded here.

    Raises `NotFound` when it is not of that person, `KeyMissing` when they were erased.
    """
    with tools.store.session() as session:
        job = _held(session, job_id)
        found = _match(session, job, at)
        row = session.get(KeptReference, kept)
        if row is None or (row.identity, row.kind) != (found["identity"], found["kind"]):
            raise NotFound("There is no such reference.")
        plain = tools.vault.open(row.identity, row.sealed, about=f"reference|{row.kind}")
        _looked(session, tools, job, found, "reference", reviewer)
        session.commit()
    return _KEPT_AS[row.kind], plain


def kept_references(session: Session, found: dict[str, Any]) -> list[int]:
    """List the references of the person a match is about, of its kind."""
    wanted = select(KeptReference.id).where(
        KeptReference.identity == found["identity"], KeptReference.kind == found["kind"]
    )
    return [int(number or 0) for number in session.exec(wanted.order_by(col(KeptReference.id)))]


def is_match(item: dict[str, Any]) -> bool:
    """Tell whether an item of evidence is a match of somebody, with a place to look at."""
    place = item.get("box") if item.get("kind") == "likeness" else item.get("kind") == "voice"
    return bool(place) and "identity" in item and "score" in item


def _held(session: Session, job_id: str) -> Job:
    job = find_job(session, job_id)
    if job.state != State.HELD:
        raise Conflict("There is nothing held to look at.")
    return job


def _match(session: Session, job: Job, at: At) -> dict[str, Any]:
    ruling = session.get(Ruling, at.ruling)
    if ruling is None or ruling.job != job.id:
        raise NotFound("There is no such evidence.")
    rules = from_json(ruling.decision).rules
    items = rules[at.rule].evidence if at.rule < len(rules) else ()
    if at.item >= len(items) or not is_match(items[at.item]):
        raise NotFound("There is no such evidence.")
    return items[at.item]


def _source(session: Session, tools: Tools, job: Job, found: dict[str, Any]) -> Path:
    """Find what the match was seen in: an upload that this request brings, or the clip that was made."""
    if "reference" in found:
        upload = session.get(Upload, found["reference"])
        if upload is None or upload.id not in brought(job):
            raise NotFound("The reference is no longer here.")
        return tools.blobs.path("private", upload.blob).resolve()
    if job.mezzanine is None:
        raise Conflict("There is nothing held to look at.")
    return tools.blobs.path("private", job.mezzanine).resolve()


def _span(found: dict[str, Any]) -> dict[str, Any]:
    if found["kind"] == "likeness":
        return {"number": found["frame"], "box": found["box"]}
    return {"start": found["start"], "end": found["end"]}


def _looked(
    session: Session, tools: Tools, job: Job, found: dict[str, Any], form: str, reviewer: str
) -> None:
    facts: dict[str, Any] = {"form": form, "kind": found["kind"]}
    facts |= {name: round(max(found[name], 0) * 1000) for name in ("start", "end")}
    event = Event(
        tag=Tag.EVIDENCE_SHOWN,
        actor=f"reviewer:{reviewer}",
        partner=job.partner,
        job=job.id,
        identity=found["identity"],
        facts=facts,
    )
    record(session, event, tools.clock)
