"""What follows from several facts together: a minor in a sexual prompt, what is asked of a person, and fused scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.decision import CATEGORIES
from safety.prompt.classifier import OF_NAMES

Hit = Mapping[str, Any]
Entity = dict[str, Any]

COMPOSED_AT = 0.75
"""The score of sexual content that counts beside a minor; lower than any pack's threshold on purpose."""
_LIKELY = 0.8
_OFFICES = frozenset(
    {
        "head_of_state",
        "head_of_government",
        "politician",
        "senator",
        "representative",
        "state_legislator",
        "official",
    }
    | {"royal", "local"}
)
_POLITICAL = re.compile(
    r"\b(?:election\w*|vot(?:e|es|er|ers|ing)|ballot\w*|campaign\w*|candidate\w*|resign\w*|impeach\w*|brib\w+|coup|war|"
    r"surrender\w*|withdraw\w*|confess\w*|treason|prison|jail\w*|handcuff\w*|arrest\w*|assassinat\w*|dictator\w*|protest\w*|"
    r"riot\w*|parliament|congress|rally|press conference|sanction\w*|invasion|invad\w+|nuclear|concede\w*|endors\w+|puppet|"
    r"flag|troops|rig(?:s|ged|ging)?|martial law|state of emergency)\b",
    re.IGNORECASE,
)
_DECEPTIVE = re.compile(
    r"\b(?:deep\s?fake\w*|fake|faked|fabricated|doctored|leaked|hidden camera|as if real|realistic (?:news|footage|video|speech)|"
    r"breaking news|news (?:report|broadcast|anchor|clip)|hoax|scam\w*|crypto\w*|miracle cure|face\s?swap\w*)\b",
    re.IGNORECASE,
)
_SEXUAL = re.compile(
    r"\b(?:sexual\w*|sexy|eroti\w+|nud(?:e|es|ity)|naked|porn\w*|undress\w*|topless|lingerie|seductive\w*|fetish\w*)\b",
    re.IGNORECASE,
)
_PROTECTIVE = re.compile(
    r"\b(?:sexual (?:education|health|orientation|abuse (?:prevention|awareness)|harassment)|naked (?:eyes?|truth|flames?))\b",
    re.IGNORECASE,
)
_HITS = {"nudity": 0.7, "slur": 0.7, "style": 0.4}
_HIT = 0.9
_UNNAMED_MINOR, _UNNAMED = 0.94, 0.45
_BY_LISTS = frozenset({"public_figure", "ip_character"})
"""Who is known, and what is somebody's, only lists can tell: the classifier takes every name for a famous one."""
_PROPER = re.compile(r"(?<=[^\s.!?:;\"“(])[ -]+(?!I\b|TV\b|4K\b|HD\b|3D\b|POV\b)[A-ZÀ-Þ]\w+")

_VOICE = re.compile(
    r"\b(?:voices?|vocals?|sound(?:s|ing)? (?:\w+ )?like|imitat\w+|impersonat\w+|mimic\w*|clon(?:e|es|ed|ing)|"
    r"deep\s?fake\w*|cover (?:version|song))\b",
    re.IGNORECASE,
)
"""What asks for a voice. That somebody sings or speaks does not: the classifier takes every name that does for a singer."""


def minor_with_sexual(
    hits: Sequence[Hit], scores: Mapping[str, float], plain: str = ""
) -> list[dict[str, Any]]:
    """Give the hits that say that a minor stands in a sexual prompt, one for each mention of the minor.

    `plain` is the prompt without its disguises: beside a minor a word that alone proves nothing is enough.
    """
    sexual = (
        any(hit["category"] in {"sexual", "ncii"} for hit in hits)
        or scores["sexual"] >= COMPOSED_AT
        or bool(_SEXUAL.search(_PROTECTIVE.sub("", plain)))
    )
    minors = [hit for hit in hits if hit["category"] == "minor"]
    if not sexual or not minors:
        return []
    return [{**hit, "category": "minors_sexual", "intent": "composed"} for hit in minors]


def asked_of(entity: Entity, text: str, hits: Sequence[Hit], scores: Mapping[str, float]) -> list[str]:
    """List what is asked of an entity: sexual, violence_gore, political, voice, style, deception.

    Sexual and violent content counts wherever it stands, the rest in the sentences around the name.
    """
    near = _around(text, entity["start"], entity["end"])
    told = {hit["category"] for hit in hits}

    def likely(*names: str) -> bool:
        return any(name in told or scores[name] >= _LIKELY for name in names)

    def covered(category: str) -> bool:
        return any(
            hit["category"] == category
            and hit["span"][0] <= entity["start"]
            and entity["end"] <= hit["span"][1]
            for hit in hits
        )

    found = {
        "sexual": likely("sexual", "ncii", "minors_sexual"),
        "violence_gore": likely("violence_gore"),
        "political": "political_deception" in told or bool(_POLITICAL.search(near)),
        "voice": covered("voice_imitation") or scores["voice_imitation"] >= _LIKELY,
        "style": covered("artist_style") or scores["artist_style"] >= _LIKELY,
        "deception": bool(told & {"impersonation_fraud", "misinformation", "defamation"})
        or bool(_DECEPTIVE.search(near)),
    }
    return [name for name, there in found.items() if there]


def _around(text: str, start: int, end: int) -> str:
    """Cut out the sentence of a name, and the one after it."""
    first = max(text.rfind(mark, 0, start) for mark in ".!?\n") + 1
    stops = [text.find(mark, end) for mark in ".!?\n"]
    last = min((stop for stop in stops if stop >= 0), default=len(text))
    return text[first : last + 160]


def named(
    scores: Mapping[str, float], text: str, hits: Sequence[Hit], entities: Sequence[Entity]
) -> dict[str, float]:
    """Hold back the scores of what needs a name: of people and works always, since `fused` puts in what lists know.

    A voice or a manner is held back where nothing looks like a name: "in the voice of an old sailor" asks for nobody's.
    A voice also where a name that no list has only sings or speaks.
    """
    known = entities or any(hit["category"] in OF_NAMES for hit in hits)
    held = _BY_LISTS if known or _PROPER.search(text) else OF_NAMES
    if not known and not _VOICE.search(text):
        held = held | {"voice_imitation"}
    return {name: min(score, _UNNAMED) if name in held else score for name, score in scores.items()}


def fused(scores: Mapping[str, float], hits: Sequence[Hit], entities: Sequence[Entity]) -> dict[str, float]:
    """Raise the classifier's scores to what words and names alone show.

    One is lowered: without a word for a minor the gravest accusation is for people to make, not for a score.
    """
    whole = dict(scores)
    if not any(hit["category"] in {"minor", "minors_sexual"} for hit in hits):
        whole["minors_sexual"] = min(whole["minors_sexual"], _UNNAMED_MINOR)

    def raise_to(category: str, score: float) -> None:
        if category in CATEGORIES:
            whole[category] = max(whole[category], score)

    for hit in hits:
        raise_to(hit["category"], _HITS.get(hit["intent"], _HIT))
    for entity in entities:
        for category, score in _of_entity(entity):
            raise_to(category, score - (0.1 if entity["match"] == "fuzzy" else 0.0))
    return whole


def _of_entity(entity: Entity) -> list[tuple[str, float]]:
    asked = entity["asked"]
    if entity["kind"] == "franchise":
        return [("ip_character", 0.95)]
    if entity["kind"] == "brand":
        return [("ip_character", _UNNAMED)]
    if entity["kind"] == "living_artist":
        return [("artist_style", 0.95 if "style" in asked else _UNNAMED)]
    if entity["kind"] != "public_figure":
        return []
    political = entity["office"] in _OFFICES and ({"political", "deception"} & {*asked})
    return [
        ("public_figure", 0.95),
        *([("ncii", 0.95)] if "sexual" in asked else []),
        *([("voice_imitation", 0.9)] if "voice" in asked else []),
        *([("political_deception", 0.9)] if political else []),
        *([("misinformation", 0.85)] if "deception" in asked else []),
    ]
