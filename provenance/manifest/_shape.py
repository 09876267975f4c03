"""What we claim about a clip, and the C2PA manifest definition that says it (C2PA 2.4, claim v2)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

VIDEO_ALG = "org.greenlight.video.1"
AUDIO_ALG = "org.greenlight.audio.2"
SPECIFICATION = "2.4"

Source = Literal["created", "composite"]
Origin = Literal["generated", "mixed", "input"]
"""Of a track: made by the engine alone, made with supplied material in it, or the input's own."""

_IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_SOURCES: dict[tuple[Source, bool], str] = {
    ("created", True): _IPTC + "trainedAlgorithmicMedia",
    ("composite", True): _IPTC + "compositeWithTrainedAlgorithmicMedia",
    ("created", False): _IPTC + "algorithmicMedia",
    ("composite", False): _IPTC + "compositeSynthetic",
}
_PARENT = "parent"
_USES = (
    "cawg.ai_generative_training",
    "cawg.ai_training",
    "cawg.ai_inference",
    "cawg.data_mining",
)


@dataclass(frozen=True, slots=True)
class Parent:
    """The file that was edited, as it came in; its own manifest travels along as history.

    `mime` is what it was said to be, and counts only where its content does not tell.
    """

    path: Path
    mime: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What we sign about one clip: no prompt, no person.

    `payload` is the 64-bit id that the marks carry, `video` and `audio` say which tracks carry it;
    `record` is our id of the release, `when` an ISO 8601 time, `duration_ms` milliseconds; `source` is
    "created" for media made by the engine alone, "composite" where supplied material lives on in the output;
    `trained` says whether the engine is a trained model. `picture` and `sound` tell where each track came
    from, None where that is not known; `badge` and `notice` whether a label was drawn or spoken into it,
    `territory` whose rules it follows, and `draft` whether labels that may wait were left out.
    """

    title: str
    mime: str
    engine: str
    engine_version: str
    source: Source
    payload: int
    duration_ms: int
    record: str
    when: str
    generator_version: str
    video: bool
    audio: bool
    parent: Parent | None = None
    model_type: str = "c2pa.types.model"
    trained: bool = True
    picture: Origin | None = None
    sound: Origin | None = None
    badge: bool = False
    notice: bool = False
    territory: str = ""
    draft: bool = False


def binding_value(payload: int) -> str:
    """Write a payload as the soft-binding value: base64 text of its 8 bytes, big-endian.

    The specification wants a byte string; the SDK cannot write one from Python (c2pa-rs #2689).
    """
    return base64.b64encode(payload.to_bytes(8, "big")).decode()


def binding_payload(value: object) -> int | None:
    """Read a soft-binding value back, or None if it is not one of ours."""
    try:
        raw = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except ValueError:
        return None
    return int.from_bytes(raw, "big") if len(raw) == 8 else None


def ingredient() -> dict[str, str]:
    """Give the definition of the edited input, as `definition` refers to it."""
    return {"title": "input", "relationship": "parentOf", "label": _PARENT}


def definition(claim: Claim, tracks: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Build the manifest definition for the SDK's builder; `tracks` are the ids of an MP4's tracks."""
    numbers = tracks or {}
    return {
        "claim_version": 2,
        "title": claim.title,
        "format": claim.mime,
        "claim_generator_info": [_generator(claim.generator_version)],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"allActionsIncluded": True, "actions": _actions(claim, numbers)},
            },
            *_bindings(claim, numbers),
            {
                "label": "cawg.training-mining",
                "data": {"entries": {use: {"use": "notAllowed"} for use in _USES}},
            },
            *_disclosures(claim),
            {"label": "org.greenlight.generation", "data": _generation(claim)},
            *_origins(claim, numbers),
        ],
    }


def update(mime: str, version: str) -> dict[str, Any]:
    """Build the definition of an update manifest: it opens the file and changes nothing of the content.

    The SDK adds the action and the ingredient by itself; without ours it would not say that there are no others.
    """
    return {
        "claim_version": 2,
        "format": mime,
        "claim_generator_info": [_generator(version)],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"allActionsIncluded": True, "actions": []}}],
    }


def _generator(version: str) -> dict[str, str]:
    return {"name": "Greenlight", "version": version, "specVersion": SPECIFICATION}


def _actions(claim: Claim, tracks: Mapping[str, str]) -> list[dict[str, Any]]:
    engine = {"name": claim.engine, "version": claim.engine_version}
    ours = {"when": claim.when, "softwareAgent": {"name": "Greenlight", "version": claim.generator_version}}
    made = {
        "when": claim.when,
        "softwareAgent": engine,
        "digitalSourceType": _SOURCES[claim.source, claim.trained],
    }
    if claim.parent is None:
        actions: list[dict[str, Any]] = [{"action": "c2pa.created", **made}]
    else:
        opened = {"action": "c2pa.opened", **ours, "parameters": {"ingredientIds": [_PARENT]}}
        actions = [opened, {"action": "c2pa.edited", **made, **_changes(claim, tracks)}]
    if "input" in (claim.picture, claim.sound):  # what lives on of the input was decoded and encoded anew
        actions.append({"action": "c2pa.transcoded", **ours})
    actions += _labels(claim, ours)
    if claim.video or claim.audio:  # the SDK refuses this action without a soft binding
        actions.append({"action": "c2pa.watermarked.bound", **ours})
    return actions


def _labels(claim: Claim, ours: dict[str, Any]) -> list[dict[str, Any]]:
    told = {**ours, "digitalSourceType": _SOURCES["created", False]}  # drawn and spoken by rule, by no model
    said = {"action": "c2pa.edited", **told, "description": "A spoken notice was put before the sound."}
    drawn = {"action": "c2pa.addedText", **told}
    return [*([drawn] if claim.badge else []), *([said] if claim.notice else [])]


def _changes(claim: Claim, tracks: Mapping[str, str]) -> dict[str, Any]:
    """Say which tracks an edit made, where the others are the input's."""
    made = [name for name, origin in _tracks(claim) if origin != "input"]
    regions = [_region(tracks[name]) for name in made if name in tracks]
    return {"changes": regions} if regions and len(made) < len(_tracks(claim)) else {}


def _region(track: str) -> dict[str, Any]:
    # a region of interest of the kind "identified" (C2PA 2.4, regions of interest)
    return {"region": [{"type": "identified", "item": {"identifier": "track_id", "value": track}}]}


def _bindings(claim: Claim, tracks: Mapping[str, str]) -> list[dict[str, Any]]:
    marks = (("video", VIDEO_ALG, claim.video), ("audio", AUDIO_ALG, claim.audio))
    return [
        {
            "label": "c2pa.soft-binding",
            "data": {
                "alg": alg,
                "blocks": [{"scope": _scope(claim, tracks.get(name)), "value": binding_value(claim.payload)}],
            },
        }
        for name, alg, there in marks
        if there
    ]


def _scope(claim: Claim, track: str | None) -> dict[str, Any]:
    scope: dict[str, Any] = {"timespan": {"start": 0, "end": claim.duration_ms}}
    return scope | {"region": _region(track)} if track else scope


def _disclosures(claim: Claim) -> list[dict[str, Any]]:
    if not claim.trained:
        return []
    data = {
        "modelType": claim.model_type,
        "modelName": claim.engine,
        "contentProfile": {"humanOversightLevel": "prompt_guided"},
    }
    return [{"label": "c2pa.ai-disclosure", "data": data}]


def _generation(claim: Claim) -> dict[str, str]:
    # strings only: the SDK's reader mangles numeric arrays (c2pa-rs #2570)
    delivery = {"territory": claim.territory, "delivery": "draft" if claim.draft else "final"}
    return {
        "record": claim.record,
        "engine": claim.engine,
        "engineVersion": claim.engine_version,
        "mark": f"{claim.payload:016x}",
        **(delivery if claim.territory else {}),
    }


def _tracks(claim: Claim) -> list[tuple[str, Origin]]:
    pairs = (("video", claim.picture), ("audio", claim.sound))
    return [(name, origin) for name, origin in pairs if origin is not None]


def _origins(claim: Claim, tracks: Mapping[str, str]) -> list[dict[str, Any]]:
    """Tell the truth about each track: music added to a filmed scene does not make the picture generated."""
    data = {name: _origin(claim, origin, tracks.get(name)) for name, origin in _tracks(claim)}
    return [{"label": "org.greenlight.tracks", "data": data}] if data else []


def _origin(claim: Claim, origin: Origin, track: str | None) -> dict[str, str]:
    told: dict[str, str] = {"origin": origin}
    if origin != "input":  # of the input only its own manifest can say what it is
        told["digitalSourceType"] = _SOURCES[
            "created" if origin == "generated" else "composite", claim.trained
        ]
    if track:
        told["track_id"] = track
    return told
