"""What the pipeline would decide on a request before anything is made, and the account of it.

That is the prompt, and whom the pictures, voices and videos show that it brings. Nothing stays but the event.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlmodel import Session

from core.decision import CATEGORIES, Decision, RuleHit
from core.events import Event, Tag, record
from core.tables import Job
from pipeline import leaves
from pipeline.intake import Ask, draft
from pipeline.judging import Judged
from pipeline.referenced import brought, gravest
from pipeline.steps import judge_request
from pipeline.tools import Tools

Modality = Literal["video", "audio", "soundtrack", "edit"]
MODALITIES: tuple[Modality, ...] = ("video", "audio", "soundtrack", "edit")

# What words and names decided is as sure as can be where it refuses, and a little less where it only holds.
_BY_WORDS = {"refuse": 1.0, "hold": 0.95, "allow": 0.0}


@dataclass(frozen=True, slots=True)
class Prechecked:
    """A request that was never stored, the decision on it, the caller's own text, and milliseconds of wall time.

    `decision` is the one on the prompt; `brought` are those on what the request brings, in its order.
    """

    job: Job
    decision: Decision
    text: str
    elapsed_ms: float
    brought: tuple[Decision, ...] = ()

    @property
    def gravest(self) -> Decision:
        """The decision that counts."""
        return gravest([Judged(one) for one in (self.decision, *self.brought)])[-1].decision


def precheck(tools: Tools, partner: str, ask: Ask, modality: Modality) -> Prechecked:
    """Decide on a request by the very code that admits requests; raise `BadPrompt` or `BadInput` where it is none."""
    start = time.perf_counter()
    with tools.store.reading() as session:
        job = draft(session, tools, partner, ask)
    job.kind = modality if modality in {"soundtrack", "edit"} else "generation"
    prompt, *others = (one.decision for one in judge_request(job, tools))
    return Prechecked(job, prompt, ask.prompt, (time.perf_counter() - start) * 1000, tuple(others))


def asked(prompt: str, modality: Modality, **given: Any) -> Ask:
    """Give the request that a prompt of this modality stands for."""
    return Ask(prompt=prompt, picture=modality != "audio", sound=True, **given)


def note(session: Session, tools: Tools, done: Prechecked, *, actor: str) -> None:
    """Record that a request was judged; its words are sealed."""
    decision, job = done.gravest, done.job
    event = Event(
        tag=Tag.POLICY_PRECHECK,
        actor=actor,
        partner=job.partner,
        rule=decision.rules[0].id if decision.rules else None,
        facts={"kind": job.kind} | leaves.place(job.territory) | leaves.decided(decision),
        private={"prompt": job.prompt},
    )
    record(session, event, tools.clock, tools.vault)


def account(done: Prechecked) -> dict[str, Any]:
    """Tell a caller of a decision: what it is, what is about what, which rules fired and where in their own text.

    A category scores what the classifier gave it, or 1.0 and 0.95 where words or names alone refused or held. Of
    the gravest rules the caller learns that they fired, not on what.
    """
    decision, grave = done.decision, done.gravest.grave
    facts = {} if _unread(decision) else decision.facts
    places = _places(done.text, done.job.prompt)
    language = facts.get("language", {})
    return {
        "decision": done.gravest.outcome,
        "categories": _categories(decision, facts),
        "rules": [
            *(_rule(hit, places) for hit in decision.rules),
            *(
                _rule(hit, places) | {"reference": upload}
                # none was looked at where the prompt alone was refused
                for upload, one in zip(brought(done.job), done.brought, strict=False)
                for hit in one.rules
            ),
        ],
        "entities": [] if grave else [_entity(one, places) for one in facts.get("entities", ())],
        "language": {"code": language.get("code", "und"), "scored": language.get("scored", False)},
        "policy": {"name": decision.pack, "version": decision.version, "sha256": decision.pack_sha256},
        "model": _model(facts.get("models", ())),
        "elapsed_ms": round(done.elapsed_ms, 3),
    }


def _unread(decision: Decision) -> bool:
    """Tell whether the facts are not those of a prompt that was read."""
    return "fault" in decision.facts or any(hit.id == "facts_incomplete" for hit in decision.rules)


def _categories(decision: Decision, facts: Mapping[str, Any]) -> dict[str, float]:
    scores: dict[str, float] = dict.fromkeys(CATEGORIES, 0.0) | facts.get("scores", {})
    for hit in decision.rules:
        if hit.category in scores and not _scored(hit):
            scores[hit.category] = max(scores[hit.category], _BY_WORDS[hit.outcome])
    return scores


def _scored(hit: RuleHit) -> bool:
    return any("score" in item for item in hit.evidence)


def _rule(hit: RuleHit, places: list[int]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": hit.id,
        "outcome": hit.outcome,
        "category": hit.category,
        "reason_code": hit.reason_code,
        "message": hit.message,
        "span": None,
        "view": None,
    }
    if hit.grave:
        return told
    span = [_place(places, at) for at in hit.span] if hit.span else None
    measured = max((item for item in hit.evidence if "score" in item), key=_score, default={})
    told |= {"span": span, "view": hit.view, "advice": hit.advice}
    return told | {name: measured[name] for name in ("score", "threshold") if name in measured}


def _score(item: Mapping[str, Any]) -> float:
    return float(item["score"])


def _entity(one: Mapping[str, Any], places: list[int]) -> dict[str, Any]:
    span = [_place(places, one["start"]), _place(places, one["end"])]
    return {"text": one["text"], "kind": one["kind"], "id": one["id"], "span": span}


def _model(models: Iterable[Mapping[str, str]]) -> dict[str, str | None]:
    """Name what read the prompt: one model by its own digest, several by the digest of all their digests in order."""
    known = list(models)
    if len(known) == 1:
        return {"name": known[0]["name"], "sha256": known[0]["sha256"]}
    if not known:
        return {"name": None, "sha256": None}
    digest = hashlib.sha256("".join(model["sha256"] for model in known).encode()).hexdigest()
    return {"name": "+".join(model["name"] for model in known), "sha256": digest}


def _places(raw: str, prompt: str) -> list[int]:
    """Say where in the caller's own text each character of the prompt stands; its end comes last."""
    lead = len(raw) - len(raw.lstrip())
    kept = [
        at
        for at, sign in enumerate(raw)
        if at >= lead and not (sign == "\r" and raw[at + 1 : at + 2] == "\n")
    ]
    end = kept[len(prompt) - 1] + 1 if 0 < len(prompt) <= len(kept) else len(raw)
    return [*kept[: len(prompt)], end]


def _place(places: list[int], at: int) -> int:
    return places[min(max(at, 0), len(places) - 1)]
