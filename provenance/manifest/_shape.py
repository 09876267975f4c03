"""What we claim about a clip, and the C2PA manifest definition that says it (C2PA 2.4, claim v2)."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

VIDEO_ALG = "org.greenlight.video.1"
AUDIO_ALG = "org.greenlight.audio.1"

_SOURCES = {
    "created": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    "composite": "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia",
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
    """The file that was edited, as it came in; its own manifest travels along as history."""

    path: Path
    mime: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What we sign about one clip: no prompt, no person.

    `payload` is the 64-bit id that the marks carry, `video` and `audio` say which tracks carry it;
    `record` is our id of the release, `when` an ISO 8601 time, `duration_ms` milliseconds; `source` is
    "created" for media made by a model alone, "composite" where the input lives on in the output.
    """

    title: str
    mime: str
    engine: str
    engine_version: str
    source: Literal["created", "composite"]
    payload: int
    duration_ms: int
    record: str
    when: str
    generator_version: str
    video: bool
    audio: bool
    parent: Parent | None = None
    model_type: str = "c2pa.types.model"


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


def definition(claim: Claim) -> dict[str, Any]:
    """Build the manifest definition for the SDK's builder."""
    return {
        "claim_version": 2,
        "title": claim.title,
        "format": claim.mime,
        "claim_generator_info": [
            {"name": "Greenlight", "version": claim.generator_version, "specVersion": "2.4"}
        ],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"allActionsIncluded": True, "actions": _actions(claim)}},
            *_bindings(claim),
            {
                "label": "cawg.training-mining",
                "data": {"entries": {use: {"use": "notAllowed"} for use in _USES}},
            },
            {"label": "c2pa.ai-disclosure", "data": _disclosure(claim)},
            {"label": "org.greenlight.generation", "data": _generation(claim)},
        ],
    }


def _actions(claim: Claim) -> list[dict[str, Any]]:
    engine = {"name": claim.engine, "version": claim.engine_version}
    gate = {"name": "Greenlight", "version": claim.generator_version}
    made = {"when": claim.when, "digitalSourceType": _SOURCES[claim.source], "softwareAgent": engine}
    if claim.parent is None:
        actions: list[dict[str, Any]] = [{"action": "c2pa.created", **made}]
    else:
        opened = {"action": "c2pa.opened", "when": claim.when, "softwareAgent": gate}
        opened["parameters"] = {"ingredientIds": [_PARENT]}
        actions = [opened, {"action": "c2pa.edited", **made}]
    if claim.video or claim.audio:  # the SDK refuses this action without a soft binding
        actions.append({"action": "c2pa.watermarked.bound", "when": claim.when, "softwareAgent": gate})
    return actions


def _bindings(claim: Claim) -> list[dict[str, Any]]:
    algs = [alg for alg, there in ((VIDEO_ALG, claim.video), (AUDIO_ALG, claim.audio)) if there]
    scope = {"timespan": {"start": 0, "end": claim.duration_ms}}
    blocks = [{"scope": scope, "value": binding_value(claim.payload)}]
    return [{"label": "c2pa.soft-binding", "data": {"alg": alg, "blocks": blocks}} for alg in algs]


def _disclosure(claim: Claim) -> dict[str, Any]:
    return {
        "modelType": claim.model_type,
        "modelName": claim.engine,
        "contentProfile": {"humanOversightLevel": "prompt_guided"},
    }


def _generation(claim: Claim) -> dict[str, str]:
    # strings only: the SDK's reader mangles numeric arrays (c2pa-rs #2570)
    return {
        "record": claim.record,
        "engine": claim.engine,
        "engineVersion": claim.engine_version,
        "mark": f"{claim.payload:016x}",
    }
