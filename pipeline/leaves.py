"""What the log is told of a decision or a request: the public facts of it, in the terms of `core.schema`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.decision import Decision, RuleHit
from core.facts import PLACE
from core.tables import Job

_PARTS = 10_000
_PERCENT = 100
_MATCHES = 100
LISTED = 500
"""Ids that one leaf lists at most, so that it stays within its limit whatever happened."""


def asked(job: Job) -> dict[str, Any]:
    """Say what a request asks for, without its words."""
    ask = job.ask
    facts: dict[str, Any] = {
        "kind": job.kind,
        "engine": ask["engine"],
        "length": round(ask["seconds"] * 1000),
        "picture": int(ask["picture"]),
        "sound": int(ask["sound"]),
        "identities": list(ask["identities"]),
        "references": list(ask["references"]),
    }
    facts |= {name: ask[name] for name in ("source", "purpose", "draft_of") if ask.get(name)}
    return facts | place(job.territory) | ({"draft": 1} if ask.get("draft") else {})


def place(territory: str) -> dict[str, Any]:
    """Name a territory; one that is no code, but free text of the caller's, is `other`."""
    if not territory:
        return {}
    return {"territory": territory if PLACE.pattern.fullmatch(territory) else "other"}


def decided(decision: Decision) -> dict[str, Any]:
    """Say everything of a decision that holds no words of the prompt: rules, policy, models, matches."""
    incomplete = any(hit.id == "facts_incomplete" for hit in decision.rules)
    facts = {} if incomplete else decision.facts
    detectors, matches = facts.get("detectors", ()), facts.get("matches", ())
    models = [*facts.get("models", ()), *(model for one in detectors for model in one.get("models", ()))]
    return {
        "stage": decision.stage,
        "outcome": decision.outcome,
        "policy": decision.pack,
        "version": decision.version,
        "pack": decision.pack_sha256,
        "rules": [_rule(hit) for hit in decision.rules],
        "consents": list(decision.consents),
        "models": [{"name": model["name"], "sha256": model["sha256"]} for model in models],
        "matched": len(matches),
        "matches": [_match(match) for match in sorted(matches, key=_likeness, reverse=True)[:_MATCHES]],
    } | ({"layers": list(decision.layers)} if decision.layers else {})


def why(decision: Decision) -> dict[str, Any]:
    """Say in short why a request is where it is."""
    return {
        "stage": decision.stage,
        "rules": list(dict.fromkeys(hit.id for hit in decision.rules)),
        "categories": list(dict.fromkeys(hit.category for hit in decision.rules)),
    }


def _rule(hit: RuleHit) -> dict[str, Any]:
    told = {
        "id": hit.id,
        "outcome": hit.outcome,
        "code": hit.reason_code,
        "category": hit.category,
        "grave": int(hit.grave),
    }
    return told | _measured(hit.evidence)


def _measured(evidence: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Give the highest score that a rule fired on and its threshold, in whole percents."""
    scored = [item for item in evidence if "score" in item]
    if not scored:
        return {}
    highest = max(scored, key=lambda item: float(item["score"]))
    return {
        name: round(float(highest[name]) * _PERCENT) * _PERCENT
        for name in ("score", "threshold")
        if name in highest
    }


def _likeness(match: dict[str, Any]) -> float:
    return float(match["score"] - match["threshold"])


def _match(match: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": match["kind"],
        "identity": match["identity"],
        "score": round(match["score"] * _PARTS),
        "threshold": round(match["threshold"] * _PARTS),
        "consented": int(bool(match["consent"])),
    }
