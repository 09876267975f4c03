"""Are labels there to be read in what is delivered, does what lacks one fail, and is the watermark still found?

On the clips of the data folder, their first seconds, or on scenes that the suite makes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from audits.preemptive.result import Row, counted
from core.media.clip import Clip, Picture
from core.media.probe import probe
from core.media.read import frames
from core.media.write import Mezzanine
from provenance.labels import NO_LABELS, Occasion, Plan, check, packs, plan
from provenance.mark import mark
from provenance.marks import MarkKey, video

_SECONDS = 3
_SIZE, _FPS = (480, 360), 12
_QUALITIES = (18, 28)
_REACH_MARK = 0.99


@dataclass
class _Count:
    """Hits and trials by case."""

    hits: dict[str, int] = field(default_factory=dict)
    trials: dict[str, int] = field(default_factory=dict)

    def note(self, case: str, *, hit: bool) -> None:
        self.hits[case] = self.hits.get(case, 0) + hit
        self.trials[case] = self.trials.get(case, 0) + 1


def labels(seed: int, *, quick: bool, data: Path | None) -> tuple[Row, ...]:
    """Deliver clips labelled for each territory and unlabelled, and read labels and watermark back."""
    plans = {pack.id: _plan(pack.covers[0]) for pack in packs()[: 2 if quick else None]}
    key = MarkKey("suite", np.random.default_rng(seed).bytes(32))
    count = _Count()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for clip in _clips(folder, seed, data, 1 if quick else 12):
            for crf in _QUALITIES[: 1 if quick else None]:
                _try(clip, folder / "out.mp4", key, plans, crf, count)
    return tuple(_rows(count))


def _try(clip: Clip, into: Path, key: MarkKey, plans: Mapping[str, Plan], crf: int, count: _Count) -> None:
    payload = 0x0123456789ABCDEF
    bare = mark(clip, into, payload, key, NO_LABELS, crf=crf, preset="veryfast").clip
    holds = _marked(bare, key, payload)
    count.note(f"mark without label, CRF {crf}", hit=holds)
    for name, wanted in plans.items():
        count.note(f"control: no label passes, {name}", hit=_met(wanted, bare))
    for name, wanted in plans.items():
        made = mark(clip, into, payload, key, wanted, crf=crf, preset="veryfast").clip
        count.note(f"label read back, {name}, CRF {crf}", hit=_met(wanted, made))
        if holds:  # what the label costs, not what the clip does
            count.note(f"mark under label, CRF {crf}", hit=_marked(made, key, payload))


def _plan(territory: str) -> Plan:
    return plan(
        Occasion(
            territory=territory,
            purpose="advertising",
            draft=False,
            source="created",
            picture=True,
            sound=False,
            provider="suite",
            content_id="clip",
        )
    )


def _met(wanted: Plan, clip: Clip) -> bool:
    return all(row.result != "fail" for row in check(wanted, clip))


def _marked(clip: Clip, key: MarkKey, payload: int) -> bool:
    return video.detect(frames(clip.path), [key], thorough=False).payload == payload


def _rows(count: _Count) -> Iterator[Row]:
    for case in sorted(count.trials):
        hits, trials = count.hits[case], count.trials[case]
        if case.startswith("control"):
            yield counted(case, hits, trials, reach=0.0, better="low")
        elif case.startswith("mark without") or case.endswith("CRF 28"):
            yield counted(
                case, hits, trials, reach=0.0
            )  # to compare with: the mark's own suite sets its reach
        else:
            yield counted(case, hits, trials, reach=_REACH_MARK if case.startswith("mark") else 1.0)


def _clips(folder: Path, seed: int, data: Path | None, count: int) -> Iterator[Clip]:
    if data is None:
        for number in range(count):
            yield _written(folder / "scene.mkv", _scene(seed + number))
        return
    for path in sorted(data.rglob("*.mp4"))[:count]:
        fps = probe(path).video
        step = max(1, round(float(fps.fps) / _FPS)) if fps else 1
        looks = (frame.rgb for number, frame in enumerate(frames(path)) if number % step == 0)
        yield _written(folder / "clip.mkv", islice(looks, _SECONDS * _FPS))


def _scene(seed: int) -> Iterator[Picture]:
    """Soft shapes that glide by, of another size, colour and speed for each seed."""
    rng = np.random.default_rng(seed)
    width, height = _SIZE
    detail = int(rng.integers(6, 40))
    shapes = rng.integers(0, 256, (detail, detail * 3, 3), dtype=np.uint8)
    wall = cv2.resize(shapes, (width * 2, height), interpolation=cv2.INTER_CUBIC)
    speed = int(rng.integers(1, 10))
    for index in range(_SECONDS * _FPS):
        yield np.ascontiguousarray(wall[:, index * speed : index * speed + width])


def _written(path: Path, pictures: Iterator[Picture]) -> Clip:
    width, height = _SIZE
    with Mezzanine(path, width=width, height=height, fps=_FPS) as out:
        for rgb in pictures:
            out.frame(np.asarray(cv2.resize(rgb, _SIZE, interpolation=cv2.INTER_AREA), np.uint8))
    return probe(path)
