"""Does the sound's mark survive what is done to sound in the world, unheard, and never say what is not there?

On the sounds of the data folder (which must not have been used for tuning), or on sounds that the suite makes.
Every clip is marked once with a payload of its own; a hit is the exact payload. A payload that is not the one put
in is counted apart, over all attacks. Beside it: unmarked twins, and wrong keys on marked sound.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from audits.preemptive.result import Row, counted, untested
from audits.preemptive.sound import grid, quality
from audits.preemptive.sound.attacks import coded
from audits.preemptive.sound.clips import SoundClip, made, sounds
from core.errors import BadMedia
from core.media.clip import Sound
from provenance.marks import MarkKey, audio
from provenance.marks.audio import wrong_keys

_T = TypeVar("_T")
_SECONDS = 20.0
_QUICK_SECONDS = 10.0
_PUBLISHED_EVERY = 4  # the published lists run on every fourth clip
_WRONG_KEYS = 100_000
_QUICK_WRONG_KEYS = 200
_SPEECH, _LONG = 4, 45.0  # the kind of made sound, and seconds, that speed is measured on
_JOINT_SECONDS = 0.5
_REACH_PARTLY, _REACH_SEGMENT = 0.95, 0.01
_REACH_MEAN, _REACH_WORST = 4.45, 4.2
_REACH_EMBED, _REACH_PLAIN, _REACH_SEARCH = 0.06, 0.002, 0.1


@dataclass(slots=True)
class _Count:
    hits: Counter[str] = field(default_factory=Counter)
    trials: Counter[str] = field(default_factory=Counter)
    pesq: list[float] = field(default_factory=list)
    by_parts: list[float] = field(default_factory=list)
    snr: list[float] = field(default_factory=list)

    def add(self, case: str, hit: bool) -> None:
        self.trials[case] += 1
        self.hits[case] += hit


_REFUSED = "refused to be marked"
_WRONG = "another payload than the one put in, all attacks"
_TWIN = "control: mark in the unmarked twin"
_STRANGER = "control: mark under a wrong key"
_PARTLY = "spliced, AAC 64k: payload where a third is foreign"
_FALSE_MARK = "spliced, AAC 64k: foreign seconds called marked"
_FALSE_GAP = "spliced, AAC 64k: marked seconds called unmarked"


def audio_mark(seed: int, *, quick: bool, data: Path | None) -> tuple[Row, ...]:
    """Mark sounds, attack them, read them: those of `data`, or 30 made ones of 20 s (quick: 2 of 10 s)."""
    dice, count = np.random.default_rng(seed), _Count()
    key = MarkKey("suite", dice.bytes(32))
    seconds = _QUICK_SECONDS if quick else _SECONDS
    clips = sounds(seed, data, seconds=seconds, count=2 if quick else 30)
    keys = (_QUICK_WRONG_KEYS if quick else _WRONG_KEYS) // (2 if quick else 30)
    for number, clip in enumerate(clips):
        if quick and number == 2:
            break
        payload = int.from_bytes(dice.bytes(8), "big")
        try:
            marked = audio.embed(clip.sound, clip.rate, key, payload)
        except BadMedia:
            count.add(_REFUSED, hit=True)
            continue
        count.add(_REFUSED, hit=False)
        _attacked(clip, marked, key, payload, _cells(number, quick=quick), seed + number, count)
        _spliced(clip, marked, key, payload, count)
        _controls(clip, marked, key, keys, dice, count)
    return (*_rates(count, quick=quick), *_qualities(count), *_speeds(key), *_untested())


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


def _controls(
    clip: SoundClip, marked: Sound, key: MarkKey, keys: int, dice: np.random.Generator, count: _Count
) -> None:
    """Measure the quality, search the unmarked twin, and try wrong keys on the marked sound."""
    count.snr.append(quality.snr(clip.sound, marked))
    if (score := quality.pesq(clip.sound, marked, clip.rate)) is not None:
        count.pesq.append(score)
    if (score := quality.pesq_by_parts(clip.sound, marked, clip.rate)) is not None:
        count.by_parts.append(score)
    count.add(_TWIN, hit=audio.detect(clip.sound, clip.rate, [key]).found)
    tried, found = wrong_keys(marked, clip.rate, keys, dice)
    count.trials[_STRANGER] += tried
    count.hits[_STRANGER] += found


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
    if not count.pesq:
        yield untested("PESQ, wide band", "the package pesq is not installed, or nothing was spoken")
    else:
        yield _value("PESQ, wide band, mean", float(np.mean(count.pesq)), _REACH_MEAN)
        yield _value("PESQ, wide band, worst", min(count.pesq), _REACH_WORST)
    if count.by_parts:
        yield _value("PESQ, wide band, median of 3 s parts, worst", min(count.by_parts), _REACH_WORST)
    yield _value("sound over mark, dB, mean", float(np.mean(count.snr)) if count.snr else 0.0, 0.0)


def _value(case: str, value: float, reach: float, *, low: bool = False) -> Row:
    passed = value <= reach if low else value >= reach
    return {"case": case, "value": round(value, 4), "reach": reach, "passed": passed}


def _speeds(key: MarkKey) -> Iterator[Row]:
    """Measure processor time by the length of the sound, for 45 s in mono."""
    clip = made(_SPEECH, _LONG)
    spent, marked = _timed(lambda: audio.embed(clip.sound, clip.rate, key, 1))
    yield _value("embed: processor time by duration", spent, _REACH_EMBED, low=True)
    spent, _ = _timed(lambda: audio.detect(marked, clip.rate, [key]))
    yield _value("detect, found at once: processor time by duration", spent, _REACH_PLAIN, low=True)
    spent, _ = _timed(lambda: audio.detect(clip.sound, clip.rate, [key]))
    yield _value("detect, searched in vain: processor time by duration", spent, _REACH_SEARCH, low=True)


def _timed(run: Callable[[], _T]) -> tuple[float, _T]:
    start = time.process_time()
    out = run()
    return (time.process_time() - start) / _LONG, out


def _untested() -> Iterator[Row]:
    for name, why in grid.UNTESTED.items():
        yield untested(name, why)
