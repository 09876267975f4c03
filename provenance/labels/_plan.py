"""From territory, purpose and clip to what is shown, said and written: decided before a frame is touched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.errors import BadInput
from provenance.labels._packs import Duty, Pack, Purpose, Source, covering

Status = Literal["due", "deferred", "not_applicable"]
RHYTHM = "rhythm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """One delivery: where it goes, what for, whether it is a draft for the studio's eyes, and what it has.

    `provider` and `content_id` are who made it and under what id, for metadata.
    """

    territory: str
    purpose: Purpose
    draft: bool
    source: Source
    picture: bool
    sound: bool
    provider: str
    content_id: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One duty and whether it is due on this occasion; `why` when it is not."""

    pack: str
    duty: Duty
    status: Status
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A picture of text to be shown: ink `height` as a share of the shorter side; `seconds` None means always."""

    text: str
    height: float
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done to a clip: badges top right, notices before the sound, tags in the container."""

    entries: tuple[Entry, ...] = ()
    badges: tuple[Badge, ...] = ()
    notices: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


NO_LABELS = Plan()


def plan(occasion: Occasion) -> Plan:
    """Decide what a delivery carries; raise `BadInput` for an unknown territory or a purpose that must be said."""
    found = covering(occasion.territory)
    for pack in found:
        if pack.purposes and not occasion.purpose:
            raise BadInput(f"A delivery to {pack.name} must say its purpose.")
    entries = tuple(_entry(pack, duty, occasion) for pack in found for duty in pack.duties)
    due = [entry.duty for entry in entries if entry.status == "due"]
    return Plan(
        entries=entries,
        badges=tuple(dict.fromkeys(_badge(duty, occasion) for duty in due if duty.kind == "badge")),
        notices=tuple(dict.fromkeys(_notices(due, occasion.territory.upper()))),
        tags={duty.key: _aigc(occasion) for duty in due if duty.kind == "metadata"},
    )


def _entry(pack: Pack, duty: Duty, occasion: Occasion) -> Entry:
    if why := _exempt(pack, duty, occasion):
        return Entry(pack.id, duty, "not_applicable", why)
    if occasion.draft and pack.drafts and duty.kind in ("badge", "notice"):
        return Entry(pack.id, duty, "deferred", pack.drafts_why)
    return Entry(pack.id, duty, "due")


def _exempt(pack: Pack, duty: Duty, occasion: Occasion) -> str:
    if pack.purposes and occasion.purpose not in pack.purposes:
        return f"The purpose is {occasion.purpose}."
    if occasion.source not in duty.sources:
        return "Nothing in the picture was generated." if occasion.picture else "Something was filmed."
    if duty.when == "picture" and not occasion.picture:
        return "There is no picture."
    if duty.when == "sound_only" and occasion.picture:
        return "There is a picture, which carries the label."
    return ""


def _badge(duty: Duty, occasion: Occasion) -> Badge:
    return Badge(text=duty.text[occasion.source], height=duty.height, seconds=duty.seconds)


def _notices(due: list[Duty], territory: str) -> Iterator[str]:
    for duty in due:
        if duty.kind == "notice":
            yield RHYTHM if duty.rhythm else duty.speech.get(territory, duty.speech_else)


def _aigc(occasion: Occasion) -> str:
    """Write the implicit label (GB 45438-2025, Appendix E): 1 says that it is generated; nobody passed it on yet."""
    fields = {
        "Label": "1",
        "ContentProducer": occasion.provider,
        "ProduceID": occasion.content_id,
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
