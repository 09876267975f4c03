"""A decision of the policy engine, as a value: what was decided, by which rule, from which facts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["allow", "hold", "refuse"]
Stage = Literal["prompt", "screen"]

CATEGORIES = (
    "sexual",
    "minors_sexual",
    "ncii",
    "violence_gore",
    "hate",
    "self_harm",
    "extremism",
    "illegal_weapons",
    "political_deception",
    "public_figure",
    "voice_imitation",
    "ip_character",
    "artist_style",
    "privacy",
    "defamation",
    "misinformation",
    "child_endangerment",
    "impersonation_fraud",
)
"""What a prompt can be about that a policy may mind; every score map has exactly these keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleHit:
    """One rule that fired.

    `message` says what was found and `advice` what the caller may do next; `grave` rules show callers
    only `message`, need two reviewers, and show auditors everything. `span` counts characters of the
    caller's own text and `view` names the reading of it that revealed the match. `evidence` is JSON.
    """

    id: str
    outcome: Outcome
    reason_code: str
    category: str
    message: str
    advice: str
    grave: bool = False
    span: tuple[int, int] | None = None
    view: str | None = None
    evidence: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome of one stage, replayable from `facts` under the pack with this hash.

    `facts` is the JSON object the rules were evaluated on (thresholds, scores, model digests, entities,
    findings, consents); `consents` lists the ids of the grants that made a match permissible. Where overlays were
    laid over a pack, `layers` are the digests of the pack and of each of them, and `pack_sha256` is that of the whole.
    """

    stage: Stage
    outcome: Outcome
    rules: tuple[RuleHit, ...]
    pack: str
    version: str
    pack_sha256: str
    facts: dict[str, Any]
    consents: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()

    @property
    def grave(self) -> bool:
        """Whether a rule of the gravest categories fired."""
        return any(rule.grave for rule in self.rules)


def to_json(decision: Decision) -> dict[str, Any]:
    """Turn a decision into a JSON object, the form in which it is stored, logged and replayed."""
    body = asdict(decision)
    body["consents"], body["layers"] = list(decision.consents), list(decision.layers)
    body["rules"] = [
        rule | {"span": rule["span"] and list(rule["span"]), "evidence": list(rule["evidence"])}
        for rule in body["rules"]
    ]
    return body


def from_json(body: dict[str, Any]) -> Decision:
    """Read what `to_json` wrote."""
    rules = tuple(
        RuleHit(**rule | {"span": rule["span"] and tuple(rule["span"]), "evidence": tuple(rule["evidence"])})
        for rule in body["rules"]
    )
    lists = {"consents": tuple(body["consents"]), "layers": tuple(body.get("layers", ()))}
    return Decision(**body | {"rules": rules, **lists})
