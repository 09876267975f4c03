"""Mark one sound that is held whole, and read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from core.errors import BadMedia
from core.media.clip import Sound
from provenance.marks import MarkKey, MarkReading
from provenance.marks.audio import detector, embedder, search, spill, tiles, wave
from provenance.marks.audio.folds import Bend
from provenance.marks.audio.pattern import Pattern, pattern

WORST_CHANCE = 1e-6
"""No reading is given whose bound on being chance is above this."""
_COMFORT = (
    22.0  # deviations of what was read back for each period: what 5 s through Opus at 24k leave readable
)
_SCANT = 16.0  # deviations of it all: what two AAC generations and a crop leave readable
_LOUDER, _LOUDEST = 1.4, 1.9  # of the bounds: for comfort, and where there would be too little of a mark
_HOPEFUL = 0.41  # of comfort: bare tones that show less would be heard before they had it
_UNREADABLE = 13.5  # deviations of the finished sound, below which its mark is made as loud as may be
_BY_STRENGTH = 0.75  # the exponent by which deviations grow with strength


def embed(sound: Sound, rate: int, key: MarkKey, payload: int) -> Sound:
    """Give the sound with the payload in it, same shape and rate.

    `sound` is (n, channels) float32 at `rate` 8-192 kHz, `payload` an unsigned 64-bit integer. Silence stays
    silent, peaks stay within full scale (or their own height). Raises BadMedia for a sound that is shorter than
    MIN_SECONDS, silent, not finite, or so empty that the mark cannot be read back.
    """
    sound = wave.checked(sound, rate)
    wave.check_markable(sound, rate)
    plan = pattern(key)
    working = wave.at_working_rate(sound, rate)
    comfort = _COMFORT * math.sqrt(len(sound) / rate / wave.MIN_SECONDS)
    canvas = embedder.canvas(wave.views(working))
    gain, loudest = _strong_enough(canvas, plan, payload, comfort)
    marked, shown = _tried(sound, working, rate, gain, plan, payload)
    if not loudest and min(shown) < _UNREADABLE:
        gain = embedder.gains(canvas, plan, payload, _LOUDEST, free=True, start=gain)
        marked, shown = _tried(sound, working, rate, gain, plan, payload)
    if not any(shown):
        raise BadMedia("too empty to carry a mark: it cannot be read back from this sound")
    return marked


def detect(
    sound: Sound,
    rate: int,
    keys: Sequence[MarkKey],
    *,
    thorough: bool = True,
    expected: Sequence[int] = (),
) -> MarkReading:
    """Read the mark of any of the keys, blind; `thorough` also searches stretch (.7-1.5) and speed (10 %).

    `expected` are payloads that something else names, such as the mark of the picture: they are also found where
    too little is left to read them. Unmarked sound gives a payload with probability at most `p_false` (see
    `detector`), never above WORST_CHANCE. Raises BadMedia when `sound` is not (n, channels) finite samples at
    8-192 kHz; short or silent sound is simply not marked.
    """
    sound = wave.checked(sound, rate)
    if len(sound) / rate < 1 or not keys:
        return unmarked()
    working = wave.at_working_rate(sound, rate)
    heard = [tiles.integral(tiles.spectra(view)) for view in wave.views(working)]
    plans = [(key, pattern(key)) for key in keys]
    for summed, (key, plan), reading, chance in _readings(heard, plans, expected, thorough=thorough):
        if chance <= WORST_CHANCE:
            return MarkReading(
                track="audio",
                found=True,
                payload=reading.payload,
                p_false=chance,
                key_id=key.id,
                segments=detector.segments(summed, plan, reading, len(sound) / rate),
                geometry=_geometry(reading.bend),
            )
    return unmarked()


def wrong_keys(sound: Sound, rate: int, count: int, dice: np.random.Generator) -> tuple[int, int]:
    """Try `count` random keys on a sound without searching; give how many were tried and how many found a mark."""
    view = wave.views(wave.at_working_rate(wave.checked(sound, rate), rate))[0]
    found = detector.plain(tiles.integral(tiles.spectra(view)))
    keys = (MarkKey("wrong", dice.bytes(32)) for _ in range(count))
    readings = (detector.read(found, pattern(key)) for key in keys)
    accepted = (
        one for one in readings if one and detector.chance(one.z, detector.ALIGNMENTS) <= WORST_CHANCE
    )
    return count, sum(1 for _ in accepted)


_Plan = tuple[MarkKey, Pattern]
_Try = tuple[tiles.Doubles, _Plan, detector.Reading, float]


def _readings(
    heard: list[tiles.Doubles], plans: list[_Plan], expected: Sequence[int], *, thorough: bool
) -> Iterator[_Try]:
    """Give each reading and the bound on its chance, which counts all that its stage and those before look at.

    In every view plainly, then with each of the weights for tones; then by parts, then for expected payloads, then
    bent, in the first view alone: the mix, or the loudest channel where the mix is silent.
    """
    if not heard:
        return
    mix, alignments = heard[0], 0
    for weights in tiles.Weights:
        alignments += detector.ALIGNMENTS * len(heard) * len(plans)
        for summed in heard:
            found = detector.plain(summed, weights)
            yield from _blind(summed, plans, alignments, partial(detector.read, found))
    found = detector.by_parts(mix)
    alignments += len(found) * tiles.PERIOD * len(plans)
    yield from _blind(mix, plans, alignments, partial(detector.read, found))
    found += [fold for weights in tiles.Weights for fold in detector.plain(mix, weights)]
    for plan in plans:
        for payload in expected:
            reading = detector.expected(found, plan[1], payload)
            yield mix, plan, reading, detector.chance(reading.z, alignments, len(expected))
    if thorough:
        alignments += search.alignments(mix) * len(plans)
        found = search.coarse(mix)
        yield from _blind(mix, plans, alignments, partial(search.search, mix, found))


def _blind(
    summed: tiles.Doubles,
    plans: list[_Plan],
    alignments: int,
    read: Callable[[Pattern], detector.Reading | None],
) -> Iterator[_Try]:
    """Give what a stage reads under each key."""
    for plan in plans:
        if reading := read(plan[1]):
            yield summed, plan, reading, detector.chance(reading.z, alignments)


def _strong_enough(
    canvas: embedder.Canvas, plan: Pattern, payload: int, comfort: float
) -> tuple[tiles.Floats, bool]:
    """Find gains that show comfort, or what there can be of it; say whether they are the loudest."""
    gain = embedder.gains(canvas, plan, payload)
    shown = embedder.shown(canvas, gain, plan, payload)
    if shown >= comfort:
        return gain, False
    strength = 1.0
    if shown >= _HOPEFUL * comfort:
        strength = min(_stronger(shown, comfort), _LOUDER)
        gain = embedder.gains(canvas, plan, payload, strength, start=gain)
        shown = embedder.shown(canvas, gain, plan, payload)
    if shown >= _SCANT:
        return gain, False
    strength = min(strength * _stronger(shown, _SCANT), _LOUDEST)
    gain = embedder.gains(canvas, plan, payload, strength, free=True, start=gain)
    return gain, strength == _LOUDEST


def _stronger(shown: float, wanted: float) -> float:
    """Give how many times stronger a mark must be to show what is wanted."""
    return float((wanted / max(shown, 1.0)) ** (1 / _BY_STRENGTH))


def _tried(
    sound: Sound, working: Sound, rate: int, gain: tiles.Floats, plan: Pattern, payload: int
) -> tuple[Sound, list[float]]:
    """Mark a sound with some gains; give it with the deviations that every view of it shows."""
    marked = _marked(sound, working, rate, gain)
    return marked, _shown(marked, rate, plan, payload)


def _marked(sound: Sound, working: Sound, rate: int, gain: tiles.Floats) -> Sound:
    """Apply the gains to every channel by itself."""
    marked = np.empty_like(sound)
    for channel in range(sound.shape[1]):
        quiet = working[:, channel]
        residual = tiles.waveform(embedder.residual(tiles.spectra(quiet), gain), len(quiet))
        residual = spill.held(quiet, residual)
        marked[:, channel] = wave.added(sound[:, channel], wave.at_rate(residual, rate, len(sound)), rate)
    return marked


def _shown(marked: Sound, rate: int, plan: Pattern, payload: int) -> list[float]:
    """Read the mark back in every view and give the deviations of its code word, 0 where it is not readable."""
    views = wave.views(wave.at_working_rate(marked, rate))
    return [_shows(tiles.integral(tiles.spectra(view)), plan, payload) for view in views]


def _shows(summed: tiles.Doubles, plan: Pattern, payload: int) -> float:
    """Give the deviations of the code word as the better of two weightings reads it."""
    readings = (detector.read(detector.plain(summed, weights), plan) for weights in tiles.SHOWN)
    return max((one.z for one in readings if one and one.payload == payload), default=0.0)


def _geometry(bend: Bend) -> dict[str, float] | None:
    if bend == Bend():
        return None
    speed = bend.pitch
    return {"stretch": round(bend.stretch * bend.pitch, 5), "speed": round(speed, 5)}


def unmarked() -> MarkReading:
    """Give the reading of a sound without a mark."""
    return MarkReading(track="audio", found=False, payload=None, p_false=1.0)
