"""From what was seen to what is decided: facts are gathered here and handed to the policy pack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlmodel import Session

from core.decision import Decision, RuleHit, Stage
from core.media.clip import Clip
from core.tables import Job
from pipeline.consents import Kind, resolve
from pipeline.rulebook import CANDIDATE, candidates
from pipeline.screening import Sighting
from pipeline.strikes import Standing
from policies.engine import Pack
from policies.overlay import Overlay

_SEEN_AS = {"view": "seen_as"}
UNHEARD = {"status": "none", "outcome": "", "reasons": []}
"""The fact `transcript` where no speech recogniser is configured."""


def prompt_facts(
    session: Session,
    job: Job,
    reading: dict[str, Any],
    *,
    now_ms: int,
    elections: Sequence[Overlay] = (),
    user: Standing | None = None,
) -> dict[str, Any]:
    """Join what the prompt reader saw with who asks, what they are allowed, and which elections are under way."""
    standing = {name for election in elections for name, _ in candidates(election)}
    entities = [
        _entity(session, job, entity, now_ms)
        for entity in reading["entities"]
        if not entity["id"].startswith(CANDIDATE) or entity["id"] in standing
    ]
    identities = [
        {
            "id": identity,
            "scope_likeness": bool(job.ask["picture"]),
            "scope_voice": bool(job.ask["sound"]),
            "consent": _covering(session, job, identity, now_ms),
        }
        for identity in job.ask["identities"]
    ]
    asked = {"entities": entities, "identities": identities, "request": _request(job)}
    asked["user"] = {"level": user.level if user else "", "strikes": user.strikes if user else 0}
    asked["elections"] = [{"name": one.name, "jurisdiction": one.place} for one in elections]
    return reading | asked


def _entity(session: Session, job: Job, entity: dict[str, Any], now_ms: int) -> dict[str, Any]:
    if entity["id"].startswith(CANDIDATE):
        return entity | {"kind": "candidate", "consent": ""}
    consent = _covering(session, job, entity["id"], now_ms) if entity["kind"] == "protected" else ""
    return entity | {"consent": consent}


def screen_facts(
    session: Session, job: Job, clip: Clip, seen: Sequence[Sighting], *, now_ms: int
) -> dict[str, Any]:
    """Join what the detectors saw with the consents that cover it."""
    screenings = [sighting.screening for sighting in seen if sighting.screening is not None]
    return {
        "detectors": [
            {
                "name": sighting.detector,
                "status": sighting.status,
                "detail": sighting.detail,
                "tier": sighting.tier,
                "models": [asdict(model) for model in sighting.screening.models]
                if sighting.screening
                else [],
            }
            for sighting in seen
        ],
        "matches": [
            _match(asdict(finding))
            | {"consent": resolve(session, job, finding.identity, {finding.kind}, now_ms)}
            for screening in screenings
            for finding in screening.findings
        ],
        "unassessable": [asdict(thing) for screening in screenings for thing in screening.unassessable],
        "transcript": UNHEARD,
        "request": _request(job),
        "media": {
            "seconds": round(clip.seconds, 3),
            "picture": clip.video is not None,
            "sound": clip.audio is not None,
        },
    }


def never_blind(decision: Decision, seen: Sequence[Sighting], needed: set[Kind]) -> Decision:
    """Hold what a detector that is needed did not see, whatever the pack says: fail closed."""
    blind = needed - {sighting.detector for sighting in seen if sighting.status == "ok"}
    if not blind or decision.outcome != "allow":
        return decision
    names = " and ".join(sorted(blind))
    return replace(
        decision, outcome="hold", rules=(*decision.rules, _gate_fault(f"The {names} detector saw nothing."))
    )


def fault(stage: Stage, pack: Pack, why: str) -> Decision:
    """Decide without facts, because the gate itself is broken: held, with the reason."""
    return Decision(
        stage=stage,
        outcome="hold",
        rules=(_gate_fault(why),),
        pack=pack.name,
        version=pack.version,
        pack_sha256=pack.sha256,
        facts={"fault": why},
    )


def _gate_fault(why: str) -> RuleHit:
    return RuleHit(
        id="gate_fault",
        outcome="hold",
        reason_code="gate_fault",
        category="gate",
        message=f"A part of the gate is not working, so the request is held. {why}",
        advice="Nothing is wrong with your request. It goes on when the operator has mended the gate.",
    )


def _covering(session: Session, job: Job, identity: str, now_ms: int) -> str:
    kinds: set[Kind] = set()
    if job.ask["picture"]:
        kinds.add("likeness")
    if job.ask["sound"]:
        kinds.add("voice")
    return resolve(session, job, identity, kinds, now_ms)


def _match(finding: dict[str, Any]) -> dict[str, Any]:
    # `view` is, in the facts of a prompt, a reading of its text; here it is one of the picture or the sound.
    seen = {_SEEN_AS.get(name, name): value for name, value in finding.items() if value not in (None, ())}
    return seen | {
        "score": round(float(finding["score"]), 4),
        "threshold": round(float(finding["threshold"]), 4),
        "box": list(finding["box"] or ()),
        "frame": -1 if finding["frame"] is None else finding["frame"],
    }


def modality_of(job: Job) -> str:
    """Say what kind of prompt a request has: video, audio, soundtrack, or edit (which only a precheck asks for yet)."""
    if job.kind in {"soundtrack", "edit"}:
        return job.kind
    return "video" if job.ask["picture"] else "audio"


def _request(job: Job) -> dict[str, Any]:
    return {
        "modality": modality_of(job),
        "partner": job.partner,
        "project": job.project,
        "territory": job.territory,
        "sandbox": job.ask["engine"] == "sandbox",
    }
