"""How well protected faces are found: search exactness always, the rest on the photographs that are given.

`--data DIR` is described in `faces`; the pictures stay where they are, and of them only counts are reported.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from audits.preemptive import faces
from audits.preemptive.faces import Embedded, Photo
from audits.preemptive.result import Row, counted
from core.media import read
from core.media.clip import Picture
from core.media.probe import probe
from core.media.write import Mezzanine
from safety.gallery import Template, gathered
from safety.likeness import Likeness, build, tiers
from safety.likeness.eye import Eye
from safety.likeness.recogniser import Vectors, unit
from safety.likeness.search import near
from safety.likeness.tiers import Tools

_REFERENCES = 3
_TURNS = {15: 0.01, 30: 0.01, 45: 0.01, 90: 0.03, 180: 0.03}
_SIZES = {24: 0.995, 16: 0.95}
_FPS, _SECONDS, _SHOWN, _EVERY = 8, 16, 0.5, 1.25
_IN_CLIP = 12


def likeness(seed: int, *, quick: bool, data: Path | None) -> tuple[Row, ...]:
    """Run on the embedded tier; `quick` takes 40 people."""
    rng = np.random.default_rng(seed)
    rows = [_searched(rng, 2_000 if quick else 100_000)]
    if data is None:
        return tuple(rows)
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        tools = tiers.load(Path(folder), "embedded", threads=1)
        eye = Eye(tools.detector, tools.recogniser)
        given = _some(faces.photos(data), 40 if quick else 100_000)
        known = faces.embedded(given, eye, tools.cohort)
        rows.append(counted("a face is found in the photograph", len(known.photos), len(given), reach=0.995))
        rows += _all_pairs(known.untuned, tools)
        rows += _identified(known, known.untuned, tools)
        rows += _small(known.untuned.photos, eye, rng, 30 if quick else 400)
        rows += _rolled(known.untuned, eye, tools, 20 if quick else 300)
        rows.append(_briefly(known.untuned, Likeness(tools), Path(folder), 12 if quick else 300))
    return tuple(rows)


def _some(given: Sequence[Photo], most: int) -> list[Photo]:
    """Keep the pictures of at most so many people, spread over all."""
    names = sorted({photo.person for photo in given})
    kept = set(names[:: -(-len(names) // most)])
    return [photo for photo in given if photo.person in kept]


def _searched(rng: np.random.Generator, people: int) -> Row:
    """Count whom the search in 8 bits finds of those whom a plain product in float64 finds."""
    crowd = unit((2.4 * rng.standard_normal(128) + rng.standard_normal((people, 128))).astype(np.float32))
    gallery = gathered([Template(str(number), crowd[number : number + 1]) for number in range(people)])
    queries = unit(crowd[:10] + np.float32(0.01))
    exact = queries.astype(np.float64) @ crowd.T.astype(np.float64)
    hits = trials = 0
    for least in (0.88, 0.92, 0.97):
        found = {(one.query, int(one.identity)) for one in near(gallery, queries, least)}
        there = set(zip(*(axis.tolist() for axis in np.nonzero(exact >= least + 1e-5)), strict=True))
        hits, trials = hits + len(there & found), trials + len(there)
    return counted(f"exact search, {people} people", hits, trials, reach=1.0)


def _all_pairs(data: Embedded, tools: Tools) -> Iterator[Row]:
    """Match all pairs: at the rates themselves, and at the threshold that ships."""
    same, other = faces.pair_scores(data)
    for rate, reach in ((1e-3, 0.9), (1e-4, 0.8), (1e-5, 0.0)):
        if rate * len(other) < faces.FEWEST:
            yield _untold(f"pairs at a false match rate of {rate:.0e}", len(other))
            continue
        hits = int((same >= faces.at_rate(other, rate)).sum())
        yield counted(f"pairs matched at a false match rate of {rate:.0e}", hits, len(same), reach=reach)
    least = tools.calibration.threshold(people=1, tracks=1, references=1)
    case = "of pairs of strangers matched at the shipped threshold for 1e-4"
    yield counted(case, int((other >= least).sum()), len(other), reach=3e-4, better="low")
    yield counted("pairs matched at that threshold", int((same >= least).sum()), len(same), reach=0.75)


def _untold(case: str, pairs: int) -> Row:
    """Say that a rate cannot be told: it would rest on fewer than 30 false matches."""
    return {"untold": case, "pairs_of_strangers": pairs, "needed": "30 false matches", "passed": True}


def _identified(whole: Embedded, untuned: Embedded, tools: Tools) -> Iterator[Row]:
    for data, which in ((untuned, ""), (whole, ", with the people that were tuned on")):
        top, strangers, right, people = faces.open_set(data, _REFERENCES)
        if not people or not len(strangers):
            continue
        case = f"identified at 1 % false alarms, {people} people x {_REFERENCES} pictures{which}"
        if 0.01 * len(strangers) < 3:  # a quantile of two strangers is no quantile
            yield _untold(case, len(strangers))
            continue
        hits = int((top >= faces.at_rate(strangers, 0.01)).sum())
        yield counted(case, hits, len(top), reach=0.93)
        least = tools.calibration.threshold(people=people, tracks=1, references=_REFERENCES)
        alarms = int((strangers >= least).sum())
        yield counted(
            f"strangers taken for one of {people}{which}", alarms, len(strangers), reach=0.02, better="low"
        )
        found = int((right >= least).sum())
        yield counted(
            f"found at the shipped threshold, {people} people{which}", found, len(right), reach=0.85
        )


def _small(given: Sequence[Photo], eye: Eye, rng: np.random.Generator, count: int) -> Iterator[Row]:
    """Paste faces reduced to a width into a frame of soft colours and look for them there."""
    chosen = [given[i] for i in rng.permutation(len(given))[:count]]
    for width, reach in _SIZES.items():
        hits = trials = 0
        for photo in chosen:
            scene, middle = _pasted(read.picture(photo.path), width, eye, rng)
            if scene is None:
                continue
            found, _ = eye.find(scene, 0, 0.0, None)
            trials += 1
            hits += any(np.abs(face.points.mean(0) - middle).max() < width / 2 for face in found)
        yield counted(f"faces of {width} px found", hits, trials, reach=reach)


def _pasted(
    picture: Picture, width: int, eye: Eye, rng: np.random.Generator
) -> tuple[Picture | None, Vectors]:
    import cv2

    face = faces.middle_face(picture, eye)
    if face is None or face.size < width:
        return None, np.zeros(2, np.float32)
    scale = width / face.size
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:300]
    scene = _soft(rng)
    top, left = (int(rng.integers(0, scene.shape[axis] - small.shape[axis])) for axis in (0, 1))
    scene[top : top + small.shape[0], left : left + small.shape[1]] = small
    return scene, face.points.mean(0) * np.float32(scale) + np.array((left, top), np.float32)


def _soft(rng: np.random.Generator) -> Picture:
    import cv2

    colours = rng.integers(30, 220, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(colours, (640, 360), interpolation=cv2.INTER_CUBIC), np.uint8)


def _genuine(data: Embedded, count: int) -> list[tuple[int, int]]:
    """Pair the first pictures of everybody who has two."""
    return [(rows[0], rows[1]) for rows in data.by_person().values() if len(rows) > 1][:count]


def _rolled(data: Embedded, eye: Eye, tools: Tools, count: int) -> Iterator[Row]:
    """Turn one picture of a pair; what matched upright must still match, within the points that may be lost."""
    least = tools.calibration.threshold(people=1, tracks=1, references=1)
    pairs = _genuine(data, count)
    upright = sum(data.score(a, data.vectors[b]) >= least for a, b in pairs)
    for degrees, lost in _TURNS.items():
        hits = 0
        for a, b in pairs:
            seen = faces.vector(_turned(read.picture(data.photos[b].path), degrees), eye)
            hits += seen is not None and data.score(a, seen) >= least
        reach = round(upright / max(1, len(pairs)) - lost, 4)
        yield counted(f"pairs matched, one turned by {degrees} degrees", hits, len(pairs), reach=reach)


def _turned(picture: Picture, degrees: float) -> Picture:
    """Turn about the middle on a canvas that holds all of it."""
    import cv2

    height, width = picture.shape[:2]
    side = int(np.hypot(height, width)) + 2
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    return np.asarray(cv2.warpAffine(picture, turn, (side, side), borderValue=(117,) * 3), np.uint8)


def _briefly(data: Embedded, screener: Likeness, folder: Path, count: int) -> Row:
    """Show a dozen people for half a second each in clips of 16 s: whom their photograph matches, the clip must.

    The photograph is judged by the clip's own threshold.
    """
    hits = trials = 0
    pairs = _genuine(data, count)
    for some in (pairs[start : start + _IN_CLIP] for start in range(0, len(pairs), _IN_CLIP)):
        clip = folder / "brief.mkv"
        _film(clip, [read.picture(data.photos[b].path) for _, b in some])
        people = [Template(data.photos[a].person, data.vectors[a : a + 1]) for a, _ in some]
        seen = screener.screen(probe(clip), people)
        named = {finding.identity for finding in seen.findings}
        least = screener.calibration.threshold(people=len(people), tracks=seen.tracks, references=1)
        matched = [a for a, b in some if data.score(a, data.vectors[b]) >= least]
        trials += len(matched)
        hits += sum(data.photos[a].person in named for a in matched)
    return counted(
        "seen for half a second in 16 s, of those whose photograph matches", hits, trials, reach=0.99
    )


def _film(path: Path, shown: Sequence[Picture]) -> None:
    rng = np.random.default_rng(7)
    empty = _soft(rng)
    with Mezzanine(path, width=empty.shape[1], height=empty.shape[0], fps=_FPS) as film:
        for number in range(_FPS * _SECONDS):
            turn, within = divmod(number / _FPS, _EVERY)
            frame = empty.copy()
            if within < _SHOWN and int(turn) < len(shown):
                face = shown[int(turn)][:300]
                frame[40 : 40 + face.shape[0], 180 : 180 + face.shape[1]] = face
            film.frame(frame)
