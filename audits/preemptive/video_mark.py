"""Does the picture's watermark survive what the world does to a clip, unseen, at what price, and never wrongly read?

Every piece is marked with a fresh payload and key and delivered as we deliver (x264 `medium`, CRF 18); each cell of
the grid is applied to the delivered frames. The pieces are 3 s of each clip of the data folder at three places, or
scenes that the suite makes. Which of the project's own clips were tuned on, and which were only reported, is in TUNED.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from audits.preemptive import scenes, vmaf
from audits.preemptive.pieces import Pieces
from audits.preemptive.result import Row, counted
from audits.preemptive.video_attacks import Cell, Film, attacked, coded, grid
from core.media import picture_codecs
from core.media.clip import Grey, Picture
from core.media.probe import probe
from core.media.read import frames
from provenance.marks import MarkKey, video

_T = TypeVar("_T")
TUNED = ("car", "cog_1", "sam_01_dog")
"""Clips of the shared data on which strengths and search were tuned; the others were only reported."""
_SECONDS = 3.0
_PLACES = (0.1, 0.5, 0.9)
_QUICK = ("delivery alone", "H.264 CRF 28", "crop 0.75", "mirrored", "every second frame dropped")
_LOSS, _PSNR = 1.0, 46.0
_EMBED, _EXTRA, _DETECT, _SEARCH = 0.10, 0.15, 0.05, 1.5
_TRIALS, _FEW = 100_000, 200
_SIZE = (480, 360)


@dataclass(slots=True)
class _Tally:
    """What was counted: hits and trials by cell, wrong payloads, qualities, CPU time.

    `embedding` and `detecting` are CPU time by that of one x264 `medium` encode of the same frames, `searches` are
    CPU seconds.
    """

    hits: Counter[str] = field(default_factory=Counter)
    trials: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    quality: list[tuple[float, float, float]] = field(default_factory=list)
    embedding: list[float] = field(default_factory=list)
    detecting: list[float] = field(default_factory=list)
    searches: list[float] = field(default_factory=list)
    false: int = 0
    asked: int = 0

    def add(self, piece: Mapping[str, Any]) -> None:
        """Add what was counted in one piece, as `piece` gives it and JSON keeps it."""
        self.hits.update(piece["hits"])
        self.trials.update(piece["trials"])
        self.embedding += piece["embedding"]
        self.detecting += piece["detecting"]
        self.quality += piece["quality"]
        self.searches += piece["searches"]
        self.wrong += piece["wrong"]
        self.false += piece["false"]
        self.asked += piece["asked"]

    def piece(self) -> dict[str, Any]:
        """Give what was counted in one piece."""
        counts = {"hits": dict(self.hits), "trials": dict(self.trials), "searches": self.searches}
        odds = {"wrong": self.wrong, "false": self.false, "asked": self.asked}
        costs = {"embedding": self.embedding, "detecting": self.detecting}
        return counts | odds | costs | {"quality": self.quality}


def video_mark(seed: int, *, quick: bool, data: Path | None, pieces: Pieces) -> tuple[Row, ...]:
    """Apply the grid to the clips of `data`, or to 6 scenes (quick: one scene, five cells)."""
    total = _Tally()
    cells = [cell for cell in grid() if not quick or cell.name in _QUICK]
    takes = list(islice(_takes(seed, data, quick=quick), 2 if quick else None))
    trials = -(-(_FEW if quick else _TRIALS) // max(len(takes), 1))
    for number, take in enumerate(takes):
        total.add(
            pieces.once(take.name, partial(_judged, take, cells, (seed, number), trials, whole=not quick))
        )
    return (*_rows(cells, total), *(() if quick else _costs(total)))


def _judged(
    take: _Take, cells: list[Cell], seed: tuple[int, int], trials: int, *, whole: bool
) -> dict[str, Any]:
    """Count for one piece of a clip, marked and unmarked."""
    dice, tally = np.random.default_rng(seed), _Tally()
    film, fps = take.film()
    _judge(film, fps, cells, dice, tally, whole=whole)
    _unmarked(film, fps, dice, tally, trials)
    return tally.piece()


def _judge(
    film: Film, fps: Fraction, cells: list[Cell], dice: np.random.Generator, tally: _Tally, *, whole: bool
) -> None:
    """Mark one clip, measure what that cost, and try every cell."""
    key, payload = MarkKey("suite", dice.bytes(32)), int.from_bytes(dice.bytes(8), "big")
    marked, embedding = _timed(lambda: _marked(film, fps, key, payload))
    _, encoding = _timed(lambda: picture_codecs.encoded(film, fps, "libx264", 23))
    tally.embedding.append(embedding / encoding)
    if whole and vmaf.installed():
        tally.quality.append(_quality(film, marked, fps))
    delivered = list(coded(marked, fps, "libx264", 18))
    for cell in cells:
        _try(list(attacked(delivered, fps, cell, dice)), cell, key, payload, tally, encoding)


def _marked(film: Film, fps: Fraction, key: MarkKey, payload: int) -> Film:
    height, width = film[0].shape[:2]
    mark = video.embedder(key, payload, width=width, height=height, fps=float(fps))
    return [mark(rgb) for rgb in film]


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    """Do a work and say how many CPU seconds it took."""
    start = time.process_time()
    return work(), time.process_time() - start


def _try(seen: list[Grey], cell: Cell, key: MarkKey, payload: int, tally: _Tally, encoding: float) -> None:
    reading, spent = _timed(lambda: video.detect(iter(seen), [key]))
    if cell.name == "H.264 CRF 23":
        _, plain = _timed(lambda: video.detect(iter(seen), [key], thorough=False))
        tally.detecting.append(plain / encoding)
    if reading.geometry is None or reading.geometry != {"scale": 1.0, "rotation": 0.0, "flip": 0.0}:
        tally.searches.append(spent)
    tally.trials[cell.name] += 1
    tally.hits[cell.name] += reading.payload == payload
    tally.wrong += reading.payload not in {None, payload}


def _quality(film: Film, marked: Film, fps: Fraction) -> tuple[float, float, float]:
    """Return VMAF lost, mean PSNR of luma, mean SSIM."""
    lost = vmaf.vmaf(film, film, fps) - vmaf.vmaf(film, marked, fps)
    pairs = list(zip(film, marked, strict=True))
    return (
        lost,
        float(np.mean([vmaf.psnr(*pair) for pair in pairs])),
        float(np.mean([vmaf.ssim(*pair) for pair in pairs[::6]])),
    )


def _unmarked(film: Film, fps: Fraction, dice: np.random.Generator, tally: _Tally, trials: int) -> None:
    """Ask about an unmarked clip under keys that nobody used, and search it once under one."""
    seen = [
        Grey(float(n / fps), np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8))
        for n, rgb in enumerate(film)
    ]
    keys = (MarkKey("none", dice.bytes(32)) for _ in range(trials))
    tally.false += video.falsely_read(iter(seen), keys)
    tally.asked += trials
    tally.false += video.detect(iter(seen), [MarkKey("none", dice.bytes(32))]).found
    tally.asked += 1


def _rows(cells: list[Cell], tally: _Tally) -> Iterator[Row]:
    for cell in cells:
        yield counted(cell.name, tally.hits[cell.name], tally.trials[cell.name], reach=cell.reach)
    yield counted(
        "control: wrong payload read", tally.wrong, sum(tally.trials.values()), reach=0.0, better="low"
    )
    yield counted(
        "control: read in unmarked clips (keys x clips)", tally.false, tally.asked, reach=0.0, better="low"
    )
    if tally.quality:
        lost, noise, alike = zip(*tally.quality, strict=True)
        yield counted("VMAF loss of at most 1.0", sum(one <= _LOSS for one in lost), len(lost), reach=1.0)
        yield _measured("greatest VMAF loss", max(lost), _LOSS)
        yield _measured("mean VMAF loss", float(np.mean(lost)), _LOSS)
        yield _measured("mean PSNR of luma, dB (at least)", float(np.mean(noise)), _PSNR, least=True)
        yield _measured("least PSNR of luma, dB (at least)", min(noise), _PSNR, least=True)
        yield _measured("least SSIM (at least)", min(alike), 0.98, least=True)


def _costs(tally: _Tally) -> Iterator[Row]:
    """Say what was spent in CPU time; the pieces are short, and what is done once a clip counts in full."""
    if tally.embedding:
        encode = "CPU against one x264 medium encode, median"
        yield _measured(f"embed, {encode}", float(np.median(tally.embedding)), _EMBED)
        yield _measured("embed, the same, most", max(tally.embedding), _EXTRA)
    if tally.detecting:
        yield _measured(f"detect, {encode}", float(np.median(tally.detecting)), _DETECT)
    if tally.searches:
        yield _measured("search, CPU seconds, median", float(np.median(tally.searches)), _SEARCH)
        yield _measured(
            "search, CPU seconds, 95th percentile", float(np.quantile(tally.searches, 0.95)), _SEARCH
        )


def _measured(case: str, value: float, reach: float, *, least: bool = False) -> Row:
    passed = value >= reach if least else value <= reach
    return {"case": case, "value": round(value, 4), "reach": reach, "passed": passed}


@dataclass(frozen=True, slots=True)
class _Take:
    """A piece of a clip by its name, and what reads its frames."""

    name: str
    film: Callable[[], tuple[Film, Fraction]]


def _takes(seed: int, data: Path | None, *, quick: bool) -> Iterator[_Take]:
    """Name 3 s of each clip at three places, or scenes of the suite's own."""
    if data is None:
        for number in range(seed, seed + (1 if quick else 6)):
            yield _Take(f"scene {number}", partial(_scene, number))
        return
    for source in sorted(path for kind in ("*.mp4", "*.mkv", "*.mov", "*.webm") for path in data.rglob(kind)):
        track = probe(source).video
        if track is None:
            continue
        count = min(track.frames, round(_SECONDS * track.fps))
        for place in _PLACES if track.frames >= 2 * count else _PLACES[:1]:
            first = int((track.frames - count) * place)
            name = f"{source.relative_to(data).as_posix()} from frame {first}"
            yield _Take(name, partial(_cut, source, track.fps, first, count))


def _scene(number: int) -> tuple[Film, Fraction]:
    return [_sized(one) for one in scenes.pictures(number, _SECONDS)], Fraction(scenes.FPS)


def _cut(source: Path, fps: Fraction, first: int, count: int) -> tuple[Film, Fraction]:
    return [frame.rgb for frame in islice(frames(source), first, first + count)], fps


def _sized(rgb: Picture) -> Picture:
    return np.asarray(cv2.resize(rgb, _SIZE, interpolation=cv2.INTER_AREA), np.uint8)
