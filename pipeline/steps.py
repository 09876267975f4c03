"""The way of a request, from top to bottom: admit, generate, screen, mark, sign, record, release.

A step reads the request and the files of the step before, does its work, and returns what is to be written.
It writes nothing to the database itself: `pipeline.run` commits the whole of a `Done` in one transaction, if
this worker still owns the request. Files that a step leaves behind before that are found by nobody.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from core.clock import iso, milliseconds
from core.decision import Decision
from core.errors import BadMedia, PolicyError, Unavailable
from core.events import Tag
from core.finding import Model
from core.media.clip import Clip
from core.media.probe import probe
from core.models import file_sha256
from core.shot import Reference, Shot, Tick
from core.state import State
from core.tables import Job, Ruling, Upload
from generation.engines import DOUBLES
from generation.grid import snap
from pipeline import audits, labelling, leaves, referenced, rulings, strikes
from pipeline.judging import Judged, in_force, judge_screened, judged
from pipeline.screening import Sighting, needed_detectors, sightings
from pipeline.tools import Tools
from provenance.manifest import Claim, Origin, Parent, read


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a step came to: the next state, columns to set, events to log, and what goes with them."""

    to: State
    values: dict[str, Any] = field(default_factory=dict)
    got: dict[str, Any] = field(default_factory=dict)
    """Added to the request's own account of what was made."""
    events: tuple[tuple[Tag, dict[str, Any]], ...] = ()
    ruling: Decision | None = None
    """The decision that this state follows from."""
    others: tuple[Decision, ...] = ()
    """Decisions beside it, which weigh less."""
    manifest: tuple[str, bytes] | None = None
    """(label, store) to be found again by the watermark."""
    unstamped: bool = False
    """Whether the manifest still wants a time stamp."""
    prints: Mapping[str, bytes] = field(default_factory=dict)
    """Fingerprints of the tracks, by algorithm, to be found again by what they look and sound like."""


Step = Callable[[Job, Tools, Tick], Done]


def admit(job: Job, tools: Tools, tick: Tick) -> Done:
    """Check the prompt and the references against the policy, with the consents of everyone they concern."""
    tick(0.0)
    *others, last = referenced.gravest(judge_request(job, tools))
    tick(0.9)
    to = {"allow": State.ADMITTED, "hold": State.HELD, "refuse": State.REFUSED}[last.decision.outcome]
    done = _ruled(last, to, held_at="admit")
    events = tuple(event for other in others for event in _told(other)) + done.events
    return replace(done, others=tuple(other.decision for other in others), events=events)


def judge_request(job: Job, tools: Tools) -> list[Judged]:
    """Decide on a request's prompt and, unless that is refused already, on each upload that it brings."""
    prompt = judge_prompt(job, tools)
    if prompt.decision.outcome == "refuse" or not referenced.brought(job):
        return [prompt]
    with scratch_folder(tools) as folder:
        hear = partial(_transcript, job, tools)
        return [prompt, *referenced.judge_references(job, tools, folder, hear)]


def judge_prompt(job: Job, tools: Tools, text: str | None = None) -> Judged:
    """Decide on a request's prompt, or on other words as if it asked for them.

    A gate that cannot read them, or was not audited as it must be, holds them.
    """
    with tools.store.reading() as session:
        if missing := audits.lacking(session, tools):
            why = f"It has yet to pass an audit: {', '.join(missing)}."
            return Judged(rulings.fault("prompt", tools.pack, why))
        try:
            words = job.prompt if text is None else text
            force = in_force(session, job, tools)
            reading = tools.read_prompt(session, words, rulings.modality_of(job))
        except (Unavailable, PolicyError) as error:
            return Judged(rulings.fault("prompt", tools.pack, error.message))
        now_ms, user = _now(tools), None
        if job.user is not None and text is None:
            user = strikes.standing(session, job.partner, job.user, force.active.text.strikes, now_ms)
        facts = rulings.prompt_facts(
            session, job, reading, now_ms=now_ms, elections=force.elections, user=user
        )
    return judged("prompt", force, facts)


def generate(job: Job, tools: Tools, tick: Tick) -> Done:
    """Let the engine render a lossless mezzanine into the private room; a final delivery takes its draft's."""
    if job.ask.get("draft_of"):
        return _taken_from_draft(job, tools)
    engine = tools.engine(job.ask["engine"])
    with tools.store.reading() as session:
        asked = shot_of(session, job, tools)
    shot = snap(asked, engine.limits)
    with scratch_folder(tools) as folder:
        clip = engine.render(shot, folder / "mezzanine.mkv", tick)
        digest = file_sha256(clip.path)
        name = tools.blobs.put("private", _blob(job, "mezzanine.mkv"), clip.path)
    made = {
        "engine": asdict(engine.identity()),
        "asked": _measures(asked),
        "got": _measures(shot),
        "mezzanine_sha256": digest,
    }
    return _generated(name, made, clip)


def _generated(mezzanine: str, made: dict[str, Any], clip: Clip) -> Done:
    facts = {
        "engine": made["engine"]["name"],
        "version": made["engine"]["version"],
        "checkpoint": made["engine"]["sha256"],
        "mezzanine": made["mezzanine_sha256"],
        "length": round(clip.seconds * 1000),
    }
    events = ((Tag.CLIP_GENERATED, facts),)
    return Done(to=State.GENERATED, values={"mezzanine": mezzanine}, got=made, events=events)


def _taken_from_draft(job: Job, tools: Tools) -> Done:
    """Take the very clip that the studio saw; everything after is done to it anew."""
    with tools.store.reading() as session:
        drafted = session.get_one(Job, job.ask["draft_of"])
    source = tools.blobs.path("private", str(drafted.mezzanine))
    with scratch_folder(tools) as folder:
        copy = folder / "mezzanine.mkv"
        if source.is_file():
            shutil.copyfile(source, copy)
        if not copy.is_file() or file_sha256(copy) != drafted.got["mezzanine_sha256"]:
            raise BadMedia("The clip of the draft is no longer here.")
        clip = probe(copy)
        name = tools.blobs.put("private", _blob(job, "mezzanine.mkv"), copy)
    made = {part: drafted.got[part] for part in ("engine", "asked", "mezzanine_sha256")}
    made["got"] = drafted.got["got"] | {"seconds": clip.seconds}
    return _generated(name, made, clip)


def screen(job: Job, tools: Tools, tick: Tick) -> Done:
    """Look for protected faces and voices in the lossless clip, and decide."""
    clip = probe(tools.blobs.path("private", str(job.mezzanine)))
    needed = needed_detectors(clip)
    tick(0.0)
    used = [detector for detector in tools.detectors if detector.name in needed]
    seen = sightings(used, clip, tools.settings.screen_seconds)
    tick(0.9)
    with tools.store.reading() as session:
        facts = rulings.screen_facts(session, job, clip, seen, now_ms=_now(tools))
    facts |= {"transcript": _transcript(job, tools, seen)}
    with tools.store.reading() as session:
        made = judge_screened(session, job, tools, facts)
    made = replace(made, decision=rulings.never_blind(made.decision, seen, needed))
    to = {"allow": State.CLEARED, "hold": State.HELD, "refuse": State.REJECTED}[made.decision.outcome]
    return _ruled(made, to, held_at="screen", got={"screened": _screened(seen)})


def _transcript(job: Job, tools: Tools, seen: Sequence[Sighting]) -> dict[str, Any]:
    """Judge what is said in a clip by the rules for prompts; the words themselves are not kept."""
    texts = (sighting.screening.transcript for sighting in seen if sighting.screening is not None)
    said = next((text for text in texts if text is not None), None)
    if said is None:
        return rulings.UNHEARD
    if not said.strip():
        return {"status": "read", "outcome": "allow", "reasons": []}
    decision = judge_prompt(job, tools, said).decision
    reasons = [hit.reason_code for hit in decision.rules if hit.outcome == decision.outcome]
    return {"status": "read", "outcome": decision.outcome, "reasons": reasons}


def mark(job: Job, tools: Tools, tick: Tick) -> Done:
    """Put the territory's labels in, embed the watermarks and encode the one delivery file."""
    clip = probe(tools.blobs.path("private", str(job.mezzanine)))
    tick(0.0)
    suffix = ".mp4" if clip.video else ".m4a"
    labels = labelling.planned(job, tools.settings.provider)
    with scratch_folder(tools) as folder:
        marked = tools.mark(clip, folder / f"marked{suffix}", int(job.payload, 16), labels)
        tick(0.9)
        rows = labelling.checked(labels, marked.clip)
        digest = file_sha256(marked.clip.path)
        name = tools.blobs.put("private", _blob(job, f"marked{suffix}"), marked.clip.path)
    got = {"marks": {"video": marked.video, "audio": marked.audio, "notes": list(marked.notes)}}
    got |= labelling.account(job, labels, rows, marked.clip)
    facts: dict[str, Any] = {"file": digest, "video": int(marked.video), "audio": int(marked.audio)}
    if rows:
        facts["labels"] = [{"duty": row.duty, "result": row.result} for row in rows]
    events = ((Tag.CLIP_MARKED, facts),)
    return Done(to=State.MARKED, values={"marked": name}, got=got, events=events, prints=marked.prints)


def sign(job: Job, tools: Tools, tick: Tick) -> Done:
    """Embed the C2PA manifest; nothing touches the bytes after this."""
    source = tools.blobs.path("private", str(job.marked))
    tick(0.0)
    with scratch_folder(tools) as folder:
        target = folder / f"signed{source.suffix}"
        signed = tools.sign(source, target, _claim(job, tools, probe(source)))
        digest = file_sha256(target)
        name = tools.blobs.put("private", _blob(job, f"signed{source.suffix}"), target)
    store = hashlib.sha256(signed.bytes).hexdigest()
    by = {"signer": signed.signer} if signed.signer else {}
    return Done(
        to=State.SIGNED,
        values={"signed": name, "manifest_label": signed.label},
        got={"signed_sha256": digest, "store_sha256": store, "time_stamped": signed.stamped, **by},
        unstamped=not signed.stamped,
        events=((Tag.CLIP_SIGNED, {"file": digest, "manifest": signed.label, "store": store, **by}),),
        manifest=(signed.label, signed.bytes),
    )


def record(job: Job, tools: Tools, tick: Tick) -> Done:
    """Write the log entry with the digests: the commit point of the release.

    What was signed with a key that was revoked since goes back to be signed again: once recorded it could not.
    """
    tick(0.0)
    signer = job.got.get("signer")
    if signer and tools.ring.is_revoked(signer):
        facts = {"manifest": str(job.manifest_label), "signer": signer}
        return Done(
            to=State.MARKED,
            values={"signed": None, "manifest_label": None},
            events=((Tag.CLIP_UNSIGNED, facts),),
        )
    digest = file_sha256(tools.blobs.path("private", str(job.signed)))
    facts = {
        "file": digest,
        "manifest": str(job.manifest_label),
        "payload": job.payload,
        "store": job.got["store_sha256"],
        "mezzanine": job.got["mezzanine_sha256"],
        "checkpoint": job.got["engine"]["sha256"],
        "pack": _decided_by(job, tools),
    }
    # Until the transaction that carries this event commits, nothing is public; from then on only forward.
    return Done(to=State.RECORDED, events=((Tag.CLIP_RECORDED, facts),))


def _decided_by(job: Job, tools: Tools) -> str:
    """Name the pack that decided last on a request, which need not be the one of now."""
    with tools.store.reading() as session:
        wanted = select(Ruling).where(Ruling.job == job.id).order_by(col(Ruling.id).desc()).limit(1)
        ruling = session.exec(wanted).first()
    return ruling.decision["pack_sha256"] if ruling else tools.pack.sha256


def release(job: Job, tools: Tools, tick: Tick) -> Done:
    """Publish the file, if our own public verifier finds all of it in order."""
    tools.integrate()
    tick(0.3)
    path = tools.blobs.path("private", str(job.signed))
    report = tools.verify(path, job.id)
    if report.verdict != "verified":
        # Not a refusal by policy: the gate made a file that it cannot stand for, so it stays private.
        why = f"The finished file does not verify ({report.verdict}): {' '.join(report.reasons)}"
        if report.verdict == "recovered":
            raise Unavailable(why)  # the log could not be asked; it can be asked again
        facts = {"state": job.state, "code": "not_verified", "verdict": report.verdict}
        return Done(to=State.FAILED, values={"problem": why}, events=((Tag.CLIP_FAILED, facts),))
    tick(0.9)
    # A crash after this line leaves a public file that no route serves until the state says released.
    name = tools.blobs.publish(str(job.signed), f"clips/{job.id}{path.suffix}")
    now_ms = _now(tools)
    return Done(
        to=State.RELEASED,
        values={"public": name, "released_ms": now_ms},
        got={"verdict": report.verdict},
        events=(
            (
                Tag.CLIP_RELEASED,
                {
                    "file": job.got["signed_sha256"],
                    "manifest": str(job.manifest_label),
                    "verdict": report.verdict,
                    "took": max(now_ms - job.created_ms, 0),
                },
            ),
        ),
    )


STEPS: dict[State, Step] = {
    State.RECEIVED: admit,
    State.ADMITTED: generate,
    State.GENERATED: screen,
    State.CLEARED: mark,
    State.MARKED: sign,
    State.SIGNED: record,
    State.RECORDED: release,
}


def shot_of(session: Session, job: Job, tools: Tools) -> Shot:
    """Put the engine's task together from what was asked and uploaded."""
    uploads = [session.get_one(Upload, reference) for reference in job.ask["references"]]
    source = session.get_one(Upload, job.ask["source"]) if job.ask.get("source") else None
    measures = {
        name: job.ask[name] for name in ("seconds", "width", "height", "fps", "picture", "sound", "seed")
    }
    return Shot(
        prompt=job.prompt,
        references=tuple(_reference(upload, tools) for upload in uploads),
        source=tools.blobs.path("private", source.blob) if source else None,
        **measures,
    )


@contextmanager
def scratch_folder(tools: Tools) -> Iterator[Path]:
    """Make a folder for work in progress on the disk of the blobs, so that handing over is a rename."""
    home = tools.settings.data_dir / "scratch"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=home, ignore_cleanup_errors=True) as name:
        yield Path(name)


def _ruled(made: Judged, to: State, *, held_at: str, got: dict[str, Any] | None = None) -> Done:
    after = {
        State.HELD: Tag.CLIP_HELD,
        State.REFUSED: Tag.CLIP_REFUSED,
        State.REJECTED: Tag.CLIP_REJECTED,
        State.CLEARED: Tag.CLIP_CLEARED,
    }
    events = (*_told(made), *(((after[to], leaves.why(made.decision)),) if to in after else ()))
    values = {"held_at": held_at} if to is State.HELD else {}
    return Done(to=to, values=values, got=got or {}, events=events, ruling=made.decision)


def _told(made: Judged) -> tuple[tuple[Tag, dict[str, Any]], ...]:
    differs = ((Tag.POLICY_DIFFERED, made.differs),) if made.differs else ()
    return ((Tag.POLICY_DECIDED, leaves.decided(made.decision)), *differs)


def _claim(job: Job, tools: Tools, clip: Clip) -> Claim:
    engine, marks = job.got["engine"], job.got["marks"]
    parent, supplied = _parent(job, tools), _supplied(job, tools)
    picture: Origin = "input" if parent else "mixed" if "picture" in supplied else "generated"
    sound: Origin = "mixed" if "voice" in supplied else "generated"
    return Claim(
        title=f"{job.id}{clip.path.suffix}",
        mime="video/mp4" if clip.video else "audio/mp4",
        engine=engine["name"],
        engine_version=engine["version"],
        source="composite" if parent or supplied else "created",
        payload=int(job.payload, 16),
        duration_ms=round(clip.seconds * 1000),
        record=job.id,
        when=iso(_now(tools)),
        generator_version=tools.version,
        video=marks["video"],
        audio=marks["audio"],
        parent=parent,
        trained=engine["name"] not in DOUBLES,
        picture=picture if clip.video else None,
        sound=sound if clip.audio else None,
        **job.got.get("shown", {}),
    )


def _supplied(job: Job, tools: Tools) -> set[str]:
    """Name the kinds of references that the engine worked into the clip."""
    with tools.store.reading() as session:
        return {session.get_one(Upload, reference).kind for reference in job.ask["references"]}


def _parent(job: Job, tools: Tools) -> Parent | None:
    """Find the input; its manifest becomes history, so one that does not hold would speak against the release."""
    if not job.ask.get("source"):
        return None
    with tools.store.reading() as session:
        source = session.get_one(Upload, job.ask["source"])
    path = tools.blobs.path("private", str(source.original))
    reading = read(path, "")
    if reading.state in ("invalid", "malformed"):
        raise BadMedia(f"The source video's own manifest does not hold: {', '.join(reading.failures)}")
    return Parent(path, source.mime)


def _screened(seen: Sequence[Sighting]) -> list[dict[str, Any]]:
    def models(sighting: Sighting) -> tuple[Model, ...]:
        return sighting.screening.models if sighting.screening else ()

    return [
        {
            "detector": sighting.detector,
            "tier": sighting.tier,
            "status": sighting.status,
            "models": [asdict(model) for model in models(sighting)],
            "notes": list(sighting.screening.notes) if sighting.screening else [sighting.detail],
        }
        for sighting in seen
    ]


def _reference(upload: Upload, tools: Tools) -> Reference:
    return Reference(
        "picture" if upload.kind == "picture" else "voice",
        tools.blobs.path("private", upload.blob),
        upload.sha256,
    )


def _measures(shot: Shot) -> dict[str, Any]:
    return {
        name: getattr(shot, name)
        for name in ("seconds", "width", "height", "fps", "picture", "sound", "seed")
    }


def _blob(job: Job, name: str) -> str:
    return f"jobs/{job.id}/{job.fence}/{name}"


def _now(tools: Tools) -> int:
    return milliseconds(tools.clock.now())
