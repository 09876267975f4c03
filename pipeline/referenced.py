"""Whom uploaded pictures, voices and source videos show: they are screened like a clip, before anything is made of them.

The pack decides on each by its own rules for what was generated, so that every pack guards what comes in as it guards
what goes out. A source video is looked at here although its picture comes out again and is screened then: what an
engine makes of somebody's likeness or voice need not resemble them any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.clock import milliseconds
from core.media.clip import Clip, Picture
from core.media.exhibit import reduced
from core.media.probe import probe
from core.media.read import picture
from core.media.write import Mezzanine
from core.tables import Job, Upload
from pipeline import rulings
from pipeline.judging import Judged, judge_screened
from pipeline.screening import Sighting, needed_detectors, sightings
from pipeline.tools import Tools

_STILL_FPS = 4
Hear = Callable[[Sequence[Sighting]], dict[str, Any]]
_GRAVITY = ("allow", "hold", "refuse")


def brought(job: Job) -> list[str]:
    """Name the uploads that a request brings: its references, then its source video."""
    source = job.ask.get("source")
    return [*job.ask["references"], *([source] if source else [])]


def judge_references(job: Job, tools: Tools, folder: Path, hear: Hear) -> list[Judged]:
    """Decide on each picture, voice and video that a request brings, in their order.

    `folder` is for scratch files; `hear` gives the fact `transcript` of what is said in a recording.
    """
    with tools.store.reading() as session:
        uploads = [session.get_one(Upload, name) for name in brought(job)]
    return [_judged(job, tools, upload, folder, hear) for upload in uploads]


def gravest(every: list[Judged]) -> list[Judged]:
    """Put the decision that counts last: refusals after holds, and what needs two reviewers after what does not."""
    return sorted(every, key=lambda one: (_GRAVITY.index(one.decision.outcome), one.decision.grave))


def as_clip(upload: Upload, source: Path, folder: Path) -> Clip:
    """Give an upload as a clip: a picture becomes one of a single frame, voices and videos are clips already."""
    if upload.kind != "picture":
        return probe(source)
    return still(picture(source), folder / f"{upload.id}.mkv")


def still(rgb: Picture, into: Path) -> Clip:
    """Write a picture, (h, w, 3) uint8 RGB, as a lossless clip of one frame; a very large one is reduced."""
    shown = reduced(rgb)
    with Mezzanine(into, width=shown.shape[1], height=shown.shape[0], fps=_STILL_FPS) as writer:
        writer.frame(shown)
    return probe(into)


def _judged(job: Job, tools: Tools, upload: Upload, folder: Path, hear: Hear) -> Judged:
    clip = as_clip(upload, tools.blobs.path("private", upload.blob), folder)
    needed = needed_detectors(clip)
    used = [detector for detector in tools.detectors if detector.name in needed]
    seen = sightings(used, clip, tools.settings.screen_seconds)
    said = hear(seen)
    with tools.store.reading() as session:
        facts = rulings.screen_facts(session, job, clip, seen, now_ms=milliseconds(tools.clock.now()))
        facts["matches"] = [match | {"reference": upload.id} for match in facts["matches"]]
        facts |= {"reference": upload.id, "transcript": said}
        judged = judge_screened(session, job, tools, facts)
    return replace(judged, decision=rulings.never_blind(judged.decision, seen, needed))
