"""Whose voice is found, and whose is not: error rates of the voice detector on the recordings of the data folder.

Recordings are named SPEAKER-anything and lie anywhere in the folder, music below `music/`, noise below `noise/`, and
conversions below `conversion/SYSTEM/`, named SOURCE-TARGET.wav, with the recordings they were made of in
`conversion/wavs/`. Speakers with a single recording are known by its first half and tested on its second; of those,
the ones that calibrations are fitted on (`safety.voice.cohort.reporting`) are left out. Without music or noise in
the folder, invented ones are used.

Clips of 45 s are put together from vectors, plain and together with the enhanced ones, with ten enrolled voices and
the thresholds of the product; a few go through the detector as sound, with speech detection, every channel and every
view.
"""

from __future__ import annotations

import tempfile
import time
import wave as wav
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from audits.preemptive.result import Row, counted
from core.errors import BadInput
from core.media.probe import probe
from core.media.read import whole_sound
from safety.gallery import Template
from safety.voice import Voice, build
from safety.voice.cohort import reporting, speaker
from safety.voice.degrade import banded, mixed, music, noise, pitched
from safety.voice.enrol import rows
from safety.voice.listen import Listener
from safety.voice.mel import RATE, Floats
from safety.voice.score import CLIP_WINDOWS, LENGTHS, pooled, running
from safety.voice.screen import Reading, heard_enhanced

_ENROLLED = 4
_VOICES = 10
_MOST_SINGLE = 24
_CLIP_S = 45
_SOUND = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".m4a"}
_EER_REACH = {
    "clean": (0.01, 0.005),
    "telephone band": (0.01, 0.005),
    "noise 5 dB": (0.04, 0.04),
    "pitch -1": (0.03, 0.03),
    "pitch +1": (0.03, 0.03),
}
_FOUND_REACH = {"clean": 0.98, "music 10 dB": 0.85, "music 5 dB": 0.7}
_CLONES_REACH, _FALSE_REACH = 0.9, 0.02

Condition = Callable[[Floats, np.random.Generator], Floats]


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """Speech as it is screened: projected vectors of each view, (views, n, d)."""

    views: Floats

    def __len__(self) -> int:
        return int(self.views.shape[1])

    def part(self, first: int, end: int) -> _Said:
        """Take some windows."""
        return _Said(self.views[:, first:end])

    def scores(self, length: int, submodels: Floats) -> Floats:
        """Score the running means over `length` windows, the better view of each: (n - length + 1,)."""
        means = np.stack([running(view, length) for view in self.views])
        return np.asarray(pooled(means @ submodels.T).max(axis=0), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Person:
    """A speaker: sub-models from enrolment, and each test recording as it is screened, by condition."""

    name: str
    several: bool
    submodels: Floats
    template: Template
    tests: Mapping[str, Sequence[_Said]]
    sound: Floats


def voice(seed: int, *, quick: bool, data: Path | None) -> tuple[Row, ...]:
    """Measure on the recordings of `data`, some minutes (quick: on a few of them); raise `BadInput` without any."""
    if data is None:
        raise BadInput("The voice suite needs recordings: give their folder with --data.")
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        build(Path(name))
        detector = Voice.load(Path(name))
        listener = Listener(Path(name))
        conditions = _conditions(data)
        people = list(_people(listener, data, conditions, random, quick=quick))
        if len(people) < 3:
            raise BadInput("The voice suite needs recordings of three speakers, or more.")
        made = [
            *_segments(people, conditions),
            *_clips(listener, people, conditions, random, quick=quick),
        ]
        made += _conversions(listener, data, people, quick=quick)
        made += _as_sound(detector, people, conditions, random, Path(name), count=2 if quick else 6)
        made += _speeds(detector, listener, people, Path(name))
    return tuple(made)


def _conditions(data: Path) -> Mapping[str, Condition]:
    tunes = [_read(path) for path in _files(data) if "music" in path.parts and path.stat().st_size > 200_000]
    noises = [_read(path) for path in _files(data) if "noise" in path.parts]
    tune = partial(_one_of, tunes) if tunes else music
    hiss = partial(_one_of, noises) if noises else noise
    return {
        "clean": lambda wave, _: wave,
        "telephone band": lambda wave, _: banded(wave, 20, 3800),
        "music 10 dB": lambda wave, random: mixed(wave, tune(random, len(wave)), 10),
        "music 5 dB": lambda wave, random: mixed(wave, tune(random, len(wave)), 5),
        "noise 5 dB": lambda wave, random: mixed(wave, hiss(random, len(wave)), 5),
        "pitch -1": lambda wave, _: pitched(wave, -1),
        "pitch +1": lambda wave, _: pitched(wave, 1),
    }


def _one_of(sounds: Sequence[Floats], random: np.random.Generator, count: int) -> Floats:
    chosen = sounds[int(random.integers(len(sounds)))]
    return np.resize(np.roll(chosen, int(random.integers(len(chosen)))), count)


def _files(data: Path) -> list[Path]:
    return sorted(path for path in data.rglob("*") if path.suffix in _SOUND)


def _read(path: Path) -> Floats:
    return whole_sound(path, rate=RATE, mono=True)[:, 0]


def _people(
    listener: Listener,
    data: Path,
    conditions: Mapping[str, Condition],
    random: np.random.Generator,
    *,
    quick: bool,
) -> Iterator[_Person]:
    """Yield the speakers of the folder that can be reported on."""
    recordings: dict[str, list[Path]] = {}
    for path in _files(data):
        if not {"music", "noise", "rir", "conversion"} & set(path.parts):
            recordings.setdefault(speaker(path), []).append(path)
    several = {name: paths for name, paths in recordings.items() if len(paths) > _ENROLLED}
    single = {name: paths for name, paths in recordings.items() if len(paths) == 1 and reporting(name)}
    for name, paths in list(several.items())[: 3 if quick else None]:
        waves = [_read(path) for path in paths[: _ENROLLED + 2 if quick else None]]
        yield _person(listener, name, waves[:_ENROLLED], waves[_ENROLLED:], conditions, random)
    for name, paths in list(single.items())[: 3 if quick else _MOST_SINGLE]:
        whole = _read(paths[0])
        spoken = np.flatnonzero(listener.speech(whole))
        if len(spoken) > 800:
            middle = int(spoken[len(spoken) // 2]) * 160
            yield _person(listener, name, [whole[:middle]], [whole[middle:]], conditions, random)


def _person(
    listener: Listener,
    name: str,
    known: Sequence[Floats],
    tests: Sequence[Floats],
    conditions: Mapping[str, Condition],
    random: np.random.Generator,
) -> _Person:
    """Enrol without the checks of recordings, so that nobody is left out who would have been hard."""
    vectors = np.concatenate([rows(listener, wave, listener.hear(wave)) for wave in known])
    parts = np.tile(np.arange(len(vectors) // len(known), dtype=np.uint8), len(known))
    template = Template(name, vectors, parts)
    heard = {
        case: [_said(listener, make(wave, random)) for wave in tests] for case, make in conditions.items()
    }
    submodels = listener.calibration.submodels(template)
    return _Person(name, len(known) > 1, submodels, template, heard, np.concatenate(tests))


def _said(listener: Listener, wave: Floats) -> _Said:
    """Hear samples (n,) as screening does, but for other speeds."""
    plain = Reading("plain", wave, listener.hear(wave), listener.calibration)
    both = heard_enhanced(listener, plain) or plain
    return _Said(np.stack([plain.vectors, both.vectors]))


def _segments(people: Sequence[_Person], conditions: Mapping[str, Condition]) -> Iterator[Row]:
    """Yield the equal error rates of single segments, for people known by several recordings and by one half."""
    for several, known in ((True, "four recordings"), (False, "half a recording")):
        group = [person for person in people if person.several == several]
        for case in conditions if len(group) > 1 else ():
            for place, (length, seconds) in enumerate(((LENGTHS[0], "1.6 s"), (LENGTHS[1], "3.2 s"))):
                same: list[Floats] = []
                other: list[Floats] = []
                for tested in people:
                    for person in group:
                        pieces = [said.scores(length, person.submodels)[::2] for said in tested.tests[case]]
                        (same if person is tested else other).append(np.concatenate(pieces))
                misses, targets = _equal_error(np.concatenate(same), np.concatenate(other))
                reach = _EER_REACH.get(case, (0.1, 0.1))[place]
                name = f"equal error rate, {case}, {seconds}, known by {known}"
                yield counted(name, misses, targets, reach=reach, better="low")


def _equal_error(same: Floats, other: Floats) -> tuple[int, int]:
    """Return how many of the true segments are missed where that share equals the share of false matches."""
    levels = np.sort(same)
    false = 1 - np.searchsorted(np.sort(other), levels) / len(other)
    missed = int(np.argmax(np.arange(len(levels)) / len(levels) >= false))
    return missed, len(levels)


def _clips(
    listener: Listener,
    people: Sequence[_Person],
    conditions: Mapping[str, Condition],
    random: np.random.Generator,
    *,
    quick: bool,
) -> Iterator[Row]:
    """Yield how often 2 s of an enrolled voice in 45 s of others are found, and how often somebody absent is."""
    calibration = listener.calibration
    trials = 20 if quick else 300
    for case in conditions:
        over, absent, several = np.zeros(trials), np.zeros(trials), np.zeros(trials, np.bool_)
        for trial in range(trials):
            order = [people[number] for number in random.permutation(len(people))]
            target, enrolled = order[0], order[: max(len(people) // 2, 2)][:_VOICES]
            several[trial] = target.several
            clip = _background([person for person in order[::-1] if person not in enrolled], case, random)
            pieces = [said for said in target.tests[case] if len(said) >= 2]
            chosen = pieces[int(random.integers(len(pieces)))]
            at = int(random.integers(len(chosen) - 1))
            threshold = calibration.threshold(len(enrolled), CLIP_WINDOWS)
            over[trial] = _height(listener, chosen.part(at, at + 2), target.submodels) - threshold
            strangers = max(_height(listener, clip, person.submodels) for person in enrolled)
            absent[trial] = strangers - calibration.threshold(len(enrolled), len(clip))
        name, reach = "2 s in 45 s, ten voices", _FOUND_REACH.get(case, 0.0)
        yield counted(f"{name}: found, {case}", int((over >= 0).sum()), trials, reach=reach)
        if several.any():
            well = f"{name}: found, {case}, of those known by four recordings"
            yield counted(well, int((over[several] >= 0).sum()), int(several.sum()), reach=reach)
        false = int((absent >= 0).sum())
        yield counted(f"{name}: somebody absent, {case}", false, trials, reach=_FALSE_REACH, better="low")
        level = np.quantile(absent, 0.99)
        found = int((over >= level).sum())
        yield counted(
            f"{name}: found where 1 % of clips have a false match, {case}", found, trials, reach=reach
        )


def _background(people: Sequence[_Person], case: str, random: np.random.Generator) -> _Said:
    parts: list[_Said] = []
    for person in people:
        parts.append(person.tests[case][int(random.integers(len(person.tests[case])))])
        if sum(map(len, parts)) >= CLIP_WINDOWS:
            break
    return _Said(np.concatenate([part.views for part in parts], axis=1)).part(0, CLIP_WINDOWS)


def _height(listener: Listener, said: _Said, submodels: Floats) -> float:
    """Return the greatest height over every length that there is speech for."""
    return max(
        float(listener.calibration.height(said.scores(length, submodels), place).max())
        for place, length in enumerate(LENGTHS)
        if len(said) >= length
    )


def _conversions(listener: Listener, data: Path, people: Sequence[_Person], *, quick: bool) -> Iterator[Row]:
    """Yield how often a conversion is found as its target, and as a third person, by system."""
    files = [path for path in _files(data) if "conversion" in path.parts]
    known = {path.stem: _known(listener, path) for path in files if path.parent.name == "wavs"}
    made = [path for path in files if path.parent.name != "wavs"]
    systems = sorted({path.parts[path.parts.index("conversion") + 1] for path in made})
    all_found = all_trials = all_false = 0
    for system in systems:
        found = trials = 0
        for path in [path for path in made if system in path.parts][: 2 if quick else None]:
            source, target = path.stem.split("-", 1)
            said = _said(listener, _read(path))
            if target not in known or not len(said):
                continue
            threshold = listener.calibration.threshold(_VOICES, len(said))
            found += _height(listener, said, known[target]) >= threshold
            others = [known[name] for name in known if name not in (source, target)]
            others += [person.submodels for person in people]
            others = others[: _VOICES - 1]
            all_false += max(_height(listener, said, submodels) for submodels in others) >= threshold
            trials += 1
        all_found, all_trials = all_found + found, all_trials + trials
        yield counted(
            f"conversion found, whole clip, ten voices: {system}", found, trials, reach=_CLONES_REACH
        )
    if systems:
        yield counted(
            "conversion found, whole clip, ten voices: all", all_found, all_trials, reach=_CLONES_REACH
        )
        name = "conversion taken for a third person, ten voices"
        yield counted(name, all_false, all_trials, reach=_FALSE_REACH, better="low")


def _known(listener: Listener, path: Path) -> Floats:
    wave = _read(path)
    vectors = rows(listener, wave, listener.hear(wave))
    return listener.calibration.submodels(
        Template(path.stem, vectors, np.arange(len(vectors), dtype=np.uint8))
    )


def _as_sound(
    detector: Voice,
    people: Sequence[_Person],
    conditions: Mapping[str, Condition],
    random: np.random.Generator,
    folder: Path,
    *,
    count: int,
) -> Iterator[Row]:
    """Yield the same as `_clips` with sound through the whole detector, and whether the span shown is right."""
    for case in ("clean", "music 10 dB", "music 5 dB"):
        found = spans = false = 0
        for _ in range(count):
            order = [people[number] for number in random.permutation(len(people))]
            target, enrolled = order[0], order[: max(len(people) // 2, 2)][:_VOICES]
            others = np.concatenate([person.sound for person in order if person not in enrolled])[
                : _CLIP_S * RATE
            ]
            at = int(random.integers(len(others) // 4, 3 * len(others) // 4))
            first = int(random.integers(max(len(target.sound) - 2 * RATE, 1)))
            said = target.sound[first : first + 2 * RATE]
            clip = conditions[case](np.concatenate([others[:at], said, others[at:]]), random)
            matches = _screened(detector, clip, enrolled, folder)
            hits = [match for match in matches if match[0] == target.name]
            found += bool(hits)
            spans += any(start < at / RATE + 2 and at / RATE < end for _, start, end in hits)
            false += any(name != target.name for name, _, _ in matches)
        yield counted(f"as sound, 2 s in 45 s: found, {case}", found, count, reach=_FOUND_REACH[case])
        yield counted(
            f"as sound, 2 s in 45 s: shown where it is, {case}", spans, count, reach=_FOUND_REACH[case]
        )
        name = f"as sound, 2 s in 45 s: somebody absent, {case}"
        yield counted(name, false, count, reach=_FALSE_REACH, better="low")


def _screened(
    detector: Voice, sound: Floats, enrolled: Sequence[_Person], folder: Path
) -> list[tuple[str, float, float]]:
    path = folder / "clip.wav"
    with wav.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    screening = detector.screen(probe(path), [person.template for person in enrolled])
    return [(finding.identity, finding.start, finding.end) for finding in screening.findings]


def _speeds(detector: Voice, listener: Listener, people: Sequence[_Person], folder: Path) -> Iterator[Row]:
    """Tell the CPU time per second of sound: of the encoder's windows, and of a whole screening of ten voices."""
    sound = np.resize(np.concatenate([person.sound for person in people]), _CLIP_S * RATE)
    speech = listener.speech(sound)
    ways: list[tuple[str, float, Callable[[], object]]] = [
        ("without speech detection", 0.02, lambda: listener.hear(sound, speech)),
        ("with everything", 0.035, lambda: _screened(detector, sound, people[:_VOICES], folder)),
    ]
    for name, reach, work in ways:
        start = time.process_time()
        work()
        factor = round((time.process_time() - start) / _CLIP_S, 4)
        yield {"case": f"CPU time per second, {name}", "factor": factor, "passed": factor <= reach}
