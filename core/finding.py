"""What a detector saw: values that policies decide on and reviewers look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Track = Literal["video", "audio"]


@dataclass(frozen=True, slots=True)
class Model:
    """A model that took part in a decision: `sha256` is the hex digest of the bytes that were loaded."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One match of a protected identity.

    `score` and `threshold` are in the detector's own scale, higher is more alike; `start` and `end` are
    seconds; `box` is (x, y, w, h) in pixels of the screened frame number `frame`; `quality` is 0-1.
    `probability` is the calibrated chance of a true match, 0-1; `snr_db` how far speech stands above its
    background; `view` names the reading of the clip that showed the match (such as mirrored, or a vocal band).
    `neighbours` are the next most alike people, or voices of the cohort, as (name, score), best first: they help a
    reviewer to judge and are shown to nobody else.
    """

    kind: Literal["likeness", "voice"]
    identity: str
    score: float
    threshold: float
    start: float
    end: float
    track: Track
    box: tuple[int, int, int, int] | None = None
    frame: int | None = None
    quality: float | None = None
    probability: float | None = None
    snr_db: float | None = None
    view: str | None = None
    neighbours: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unassessable:
    """Something a detector met and cannot judge; it is a fact for the policy, never "no match"."""

    kind: Literal["likeness", "voice"]
    why: str
    start: float
    end: float
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch in which one voice speaks, in seconds; speakers are numbered as they come."""

    speaker: int
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """All that one detector has to say about one clip.

    `tier` names the set of models (embedded, standard, own); `tracks` counts face tracks or voice turns.
    `turns` tell who speaks when; `transcript` is what is said, None where no speech recogniser is configured.
    """

    detector: Literal["likeness", "voice"]
    tier: str
    models: tuple[Model, ...]
    findings: tuple[Finding, ...] = ()
    unassessable: tuple[Unassessable, ...] = ()
    tracks: int = 0
    notes: tuple[str, ...] = field(default=())
    turns: tuple[Turn, ...] = ()
    transcript: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether a recording is of an enrolled voice: `same` is `score` >= `threshold`, as in findings.

    `transcript` is what is said, None where no speech recogniser is configured.
    """

    same: bool
    score: float
    threshold: float
    probability: float
    transcript: str | None = None
