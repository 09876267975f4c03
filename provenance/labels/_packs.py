"""Territory packs: the duties of a territory as typed data, each with the law that it comes from."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.errors import BadInput

HOME = Path(__file__).parent
Source = Literal["created", "composite"]
Purpose = Literal["", "advertising", "expressive", "other"]
"""What a delivery is for; empty means that nobody said."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Duty(_Strict):
    """One thing that a territory wants.

    `badge` is text in the picture: `height` of its ink as a share of the shorter side, shown for `seconds`
    from the first frame on, or for the whole length. `notice` is heard before sound without a picture: speech
    by language of the territory, or the rhythm. `metadata` is a key in the container. `latent` is the manifest
    and the watermark, which every release carries.
    """

    id: str
    kind: Literal["badge", "notice", "metadata", "latent"]
    when: Literal["always", "picture", "sound_only"]
    sources: tuple[Source, ...] = ("created", "composite")
    about: str
    source: str
    text: dict[Source, str] = Field(default_factory=dict)
    height: float = Field(0.0, ge=0, le=0.25)
    height_at_least: float = 0.0
    seconds: float | None = None
    seconds_at_least: float = 0.0
    speech: dict[str, str] = Field(default_factory=dict)
    speech_else: str = ""
    rhythm: bool = False
    key: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Duty:
        texts = self.kind != "badge" or (set(self.sources) <= set(self.text) and self.height > 0)
        heard = self.kind != "notice" or self.rhythm or bool(self.speech_else)
        named = self.kind != "metadata" or bool(self.key)
        if not (texts and heard and named):
            raise ValueError(f"{self.id} does not say what to show, say or write")
        return self


class Pack(_Strict):
    """What a territory wants; `drafts` tells whether a studio may see a draft without badge and notice."""

    id: str
    name: str
    covers: tuple[str, ...]
    law: tuple[str, ...]
    drafts: bool
    drafts_why: str
    purposes: tuple[Purpose, ...] = ()
    """The only purposes with duties; a delivery must then say what it is for."""
    duties: tuple[Duty, ...]


@cache
def packs() -> tuple[Pack, ...]:
    """Load every pack, in order of id."""
    files = sorted((HOME / "packs").glob("*.yaml"))
    return tuple(Pack.model_validate(yaml.safe_load(file.read_text())) for file in files)


def covering(territory: str) -> tuple[Pack, ...]:
    """Find the packs of a territory, none for an empty one; raise `BadInput` for one that we know nothing of."""
    if not territory:
        return ()
    found = tuple(pack for pack in packs() if territory.upper() in pack.covers)
    if not found:
        known = ", ".join(sorted({code for pack in packs() for code in pack.covers}))
        raise BadInput(f"There are no labelling rules for the territory {territory!r}; known are {known}.")
    return found
