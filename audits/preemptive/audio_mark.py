"""Does the sound's mark survive what is done to sound in the world, unheard, and never say what is not there?

On the sounds of the data folder (which must not have been used for tuning), or on sounds that the suite makes.
Every clip is marked once with a payload of its own; a hit is the exact payload. A payload that is not the one put
in is counted apart, over all attacks. Beside it: unmarked twins, and wrong keys on marked sound. Quality is measured
with several payloads, since it hangs on them. Another watermark runs beside ours where its package is installed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from audits.preemptive.pieces import Pieces
from audits.preemptive.result import Row, counted, untested
from audits.preemptive.sound import grid, peer, quality
from audits.preemptive.sound.attacks import coded
from audits.preemptive.sound.clips import SoundClip, made, sounds
from core.errors import BadMedia
from core.media.clip import Sound
from provenance.marks import MarkKey, audio
from provenance.marks.audio import wrong_keys

_T = TypeVar("_T")
_SECONDS = 20.0
_QUICK_SECONDS = 10.0
_CLIPS, _QUICK_CLIPS = 30, 2
_PUBLISHED_EVERY = 4  # the published lists, and the other watermark, run on every fourth clip
_WRONG_KEYS = 100_000
_QUICK_WRONG_KEYS = 200
_PAYLOADS = 3  # that quality is measured with
_WIND, _SPEECH, _LONG, _BEST_OF = 3, 4, 45.0, 3  # kinds of made sound, and seconds, that speed is measured on
_JOINT_SECONDS = 0.5
_REACH_PARTLY, _REACH_SEGMENT = 0.95, 0.01
_REACH_MEAN, _REACH_WORST = 4.45, 4.2
_REACH_EMBED, _REACH_PLAIN, _REACH_SEARCH = 0.06, 0.002, 0.1
_QUALITIES = ("pesq", "by_parts", "snr", "peer_pesq")


@dataclass(slots=True)
class _Count:
    """Hits and trials by case; qualities of each clip by measure, one for each payload that could be measured."""

    hits: Counter[str] = field(default_factory=Counter)
    trials: Counter[str] = field(default_factory=Counter)
    qualities: dict[str, list[list[float]]] = field(default_factory=lambda: {one: [] for one in _QUALITIES})

    def add(self, case: str, hit: bool) -> None:
        self.trials[case] += 1
        self.hits[case] += hit

    def piece(self) -> dict[str, Any]:
        """Give what was counted for one clip."""
        return {"hits": dict(self.hits), "trials": dict(self.trials), "qualities": self.qualities}

    def join(self, piece: Mapping[str, Any]) -> None:
        """Add what was counted for one clip, as `piece` gives it and JSON keeps it."""
        self.hits.update(piece["hits"])
        self.trials.update(piece["trials"])
        for measure, values in piece["qualities"].items():
            self.qualities[measure] += values


_REFUSED = "refused to be marked"
_WRONG = "another payload than the one put in, all attacks"
_TWIN = "control: mark in the unmarked twin"
_STRANGER = "control: mark under a wrong key"
_PARTLY = "spliced, AAC 64k: payload where a third is foreign"
_FALSE_MARK = "spliced, AAC 64k: foreign seconds called marked"
_FALSE_GAP = "spliced, AAC 64k: marked seconds called unmarked"
_PEER = "resemble-perth"
_PEER_TWIN = "resemble-perth: found in the unmarked twin"


def audio_mark(seed: int, *, quick: bool, data: Path | None, pieces: Pieces) -> tuple[Row, ...]:
    """Mark sounds, attack them, read them: those of `data`, or 30 made ones of 20 s (quick: 2 of 10 s)."""
    key, total = MarkKey("suite", np.random.default_rng(seed).bytes(32)), _Count()
    seconds = _QUICK_SECONDS if quick else _SECONDS
    clips = sounds(seed, data, seconds=seconds, count=_QUICK_CLIPS if quick else _CLIPS)
    for number, clip in enumerate(clips):
        if quick and number == _QUICK_CLIPS:
            break
        total.join(
            pieces.once(f"{number} {clip.name}", partial(_judged, clip, key, (seed, number), quick=quick))
        )
    speeds = pieces.once("speeds", lambda: [*_speeds(key)])
    return (*_rates(total, quick=quick), *_qualities(total), *speeds, *_beside(total), *_untested())


def _judged(clip: SoundClip, key: MarkKey, seed: tuple[int, int], *, quick: bool) -> dict[str, Any]:
    """Count everything for one clip."""
    dice, count = np.random.default_rng(seed), _Count()
    payload, number = int.from_bytes(dice.bytes(8), "big"), seed[1]
    try:
        marked = audio.embed(clip.sound, clip.rate, key, payload)
    except BadMedia:
        count.add(_REFUSED, hit=True)
        return count.piece()
    count.add(_REFUSED, hit=False)
    _attacked(clip, marked, key, payload, _cells(number, quick=quick), sum(seed), count)
    _spliced(clip, marked, key, payload, count)
    count.add(_TWIN, hit=audio.detect(clip.sound, clip.rate, [key]).found)
    keys = _QUICK_WRONG_KEYS // _QUICK_CLIPS if quick else -(-_WRONG_KEYS // _CLIPS)
    tried, found = wrong_keys(marked, clip.rate, keys, dice)
    count.trials[_STRANGER] += tried
    count.hits[_STRANGER] += found
    payloads = (int.from_bytes(dice.bytes(8), "big") for _ in range(0 if quick else _PAYLOADS - 1))
    _heard(clip, [marked, *(audio.embed(clip.sound, clip.rate, key, one) for one in payloads)], count)
    if not (quick or number % _PUBLISHED_EVERY) and peer.installed():
        _peer(clip, sum(seed), count)
    return count.piece()


def _cells(number: int, *, quick: bool) -> tuple[grid.Cell, ...]:
    if quick:
        return grid.QUICK
    if number % _PUBLISHED_EVERY:
        return grid.CORE
    return (*grid.CORE, *grid.MARKBENCH, *grid.RAW_STRICT, *grid.RAW_LOOSE)


def _attacked(
    clip: SoundClip,
    marked: Sound,
    key: MarkKey,
    payload: int,
    cells: tuple[grid.Cell, ...],
    seed: int,
    count: _Count,
) -> None:
    """Attack one marked sound in every way and read it."""
    for number, cell in enumerate(cells):
        dice = np.random.default_rng((seed, number))
        try:
            changed = cell.attack.apply(marked, clip.rate, dice)
        except BadMedia:  # an encoder that does not take this rate and bitrate
            continue
        reading = audio.detect(changed, clip.rate, [key], thorough=cell.thorough)
        count.add(cell.attack.name, hit=reading.payload == payload)
        count.add(_WRONG, hit=reading.found and reading.payload != payload)


def _spliced(clip: SoundClip, marked: Sound, key: MarkKey, payload: int, count: _Count) -> None:
    """Exchange the middle third for the clip's own unmarked sound, backwards, and count what is said of each second.

    Half a second at every joint is not judged.
    """
    first, last = len(marked) // 3, 2 * len(marked) // 3
    changed = np.concatenate((marked[:first], clip.sound[first:last][::-1], marked[last:]))
    heard = coded("aac", 64).apply(changed, clip.rate, np.random.default_rng(0))
    reading = audio.detect(heard, clip.rate, [key], thorough=False)
    count.add(_PARTLY, hit=reading.payload == payload)
    if not reading.found:
        return
    seconds, joints = len(marked) / clip.rate, (first / clip.rate, last / clip.rate)
    for middle in np.arange(0.5, seconds - 0.5):
        if min(abs(middle - joint) for joint in joints) < _JOINT_SECONDS:
            continue
        said = next((one for one in reading.segments if one.start <= middle < one.end), None)
        if joints[0] < middle < joints[1]:
            count.add(_FALSE_MARK, hit=said is not None and said.found)
        else:
            count.add(_FALSE_GAP, hit=said is not None and said.readable and not said.found)


def _heard(clip: SoundClip, marked: list[Sound], count: _Count) -> None:
    """Measure the quality of a clip under several payloads."""
    count.qualities["snr"].append([quality.snr(clip.sound, one) for one in marked])
    for measure, of in (("pesq", quality.pesq), ("by_parts", quality.pesq_by_parts)):
        scores = [of(clip.sound, one, clip.rate) for one in marked]
        if known := [score for score in scores if score is not None]:
            count.qualities[measure].append(known)


def _peer(clip: SoundClip, seed: int, count: _Count) -> None:
    """Do to the other watermark what is done to ours; it has no payload, so that a hit is that it is found."""
    marked = peer.embed(clip.sound, clip.rate)
    mix = clip.sound.mean(axis=1, keepdims=True)
    count.add(_PEER_TWIN, hit=peer.found(mix, clip.rate))
    if (score := quality.pesq(mix, marked, clip.rate)) is not None:
        count.qualities["peer_pesq"].append([score])
    for number, cell in enumerate(grid.CORE):
        try:
            changed = cell.attack.apply(marked, clip.rate, np.random.default_rng((seed, number)))
        except BadMedia:
            continue
        count.add(f"{_PEER}: {cell.attack.name}", hit=peer.found(changed, clip.rate))


def _rates(count: _Count, *, quick: bool) -> Iterator[Row]:
    cells = grid.QUICK if quick else (*grid.CORE, *grid.MARKBENCH, *grid.RAW_STRICT, *grid.RAW_LOOSE)
    for cell in cells:
        name = cell.attack.name
        if not count.trials[name]:
            yield untested(name, "no clip could be attacked so")
            continue
        yield counted(name, count.hits[name], count.trials[name], reach=cell.reach)
    yield counted(_PARTLY, count.hits[_PARTLY], count.trials[_PARTLY], reach=_REACH_PARTLY)
    for case in (_FALSE_MARK, _FALSE_GAP):
        yield counted(case, count.hits[case], count.trials[case], reach=_REACH_SEGMENT, better="low")
    for case in (_REFUSED, _WRONG, _TWIN, _STRANGER):
        yield counted(case, count.hits[case], count.trials[case], reach=0.0, better="low")


def _qualities(count: _Count) -> Iterator[Row]:
    whole, parts = (count.qualities[one] for one in ("pesq", "by_parts"))
    if not whole:
        yield untested("PESQ, wide band", "the package pesq is not installed, or nothing was spoken")
    else:
        scores = [score for clip in whole for score in clip]
        about = f"PESQ, wide band, {len(whole)} clips, {len(scores)} payloads"
        yield _value(f"{about}, mean", float(np.mean(scores)), _REACH_MEAN)
        yield _value(f"{about}, worst", min(scores), _REACH_WORST)
        yield _value(
            f"{about}, worst clip's median", float(min(np.median(clip) for clip in whole)), _REACH_WORST
        )
    if parts:
        scores = [score for clip in parts for score in clip]
        yield _value("PESQ, wide band, median of 3 s parts, mean", float(np.mean(scores)), _REACH_MEAN)
        yield _value("PESQ, wide band, median of 3 s parts, worst", min(scores), _REACH_WORST)
    ratios = [ratio for clip in count.qualities["snr"] for ratio in clip]
    yield _value("sound over mark, dB, mean", float(np.mean(ratios)) if ratios else 0.0, 0.0)


def _beside(count: _Count) -> Iterator[Row]:
    """Give the rows of the other watermark."""
    if not count.trials[_PEER_TWIN]:
        yield untested(f"{_PEER}, side by side", "its package is not installed, or the run was a quick one")
        return
    for cell in grid.CORE:
        name = f"{_PEER}: {cell.attack.name}"
        yield counted(name, count.hits[name], count.trials[name], reach=0.0)
    yield counted(_PEER_TWIN, count.hits[_PEER_TWIN], count.trials[_PEER_TWIN], reach=1.0, better="low")
    if scores := [score for clip in count.qualities["peer_pesq"] for score in clip]:
        yield _value(f"{_PEER}: PESQ, wide band, mean", float(np.mean(scores)), 0.0)
        yield _value(f"{_PEER}: PESQ, wide band, worst", min(scores), 0.0)


def _value(case: str, value: float, reach: float, *, low: bool = False) -> Row:
    passed = value <= reach if low else value >= reach
    return {"case": case, "value": round(float(value), 4), "reach": reach, "passed": bool(passed)}


def _speeds(key: MarkKey) -> Iterator[Row]:
    """Measure processor time by the length of the sound, for 45 s in mono; the best of a few tries."""
    clip = made(_SPEECH, _LONG)
    stereo = np.concatenate((clip.sound, made(_WIND, _LONG).sound), axis=1)
    per = "processor time by duration"
    spent, _ = _timed(lambda: audio.embed(stereo, clip.rate, key, 1))
    yield _value(f"embed, stereo: {per}", spent, _REACH_EMBED, low=True)
    spent, marked = _timed(lambda: audio.embed(clip.sound, clip.rate, key, 1))
    yield _value(f"embed, mono: {per}", spent, _REACH_EMBED, low=True)
    spent, _ = _timed(lambda: audio.detect(marked, clip.rate, [key]))
    yield _value(f"detect, found at once: {per}", spent, _REACH_PLAIN, low=True)
    spent, _ = _timed(lambda: audio.detect(clip.sound, clip.rate, [key]))
    yield _value(f"detect, searched in vain: {per}", spent, _REACH_SEARCH, low=True)


def _timed(run: Callable[[], _T]) -> tuple[float, _T]:
    spent = []
    for _ in range(_BEST_OF):
        start = time.process_time()
        out = run()
        spent.append(time.process_time() - start)
    return min(spent) / _LONG, out


def _untested() -> Iterator[Row]:
    for name, why in grid.UNTESTED.items():
        yield untested(name, why)
