"""Make a calibration from a folder of recordings, one speaker each, NAME-anything.flac or .wav.

`python -m safety.voice.cohort RECORDINGS MODELS` writes cohort.npz beside this file; with `own` as third argument it
calibrates an operator's own encoder in MODELS. A third of the speakers, chosen by a digest of their names, is left
out for reporting. What is fitted about strangers, clones and matches is fitted across three folds: the vectors of the
speakers it is fitted on took no part in their centre and whitening.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.media.read import whole_sound
from safety.voice.convert import converted
from safety.voice.degrade import CONDITIONS, FURTHER, mixed
from safety.voice.enrol import MOST_S, SPEECH_S
from safety.voice.listen import EMBEDDED, STEP, Heard, Listener, clear
from safety.voice.mel import RATE, Floats
from safety.voice.own import note
from safety.voice.score import CLIP_WINDOWS, LENGTHS, Calibration, Doubles, pooled, running, unit

FOLDS = 3
CLIPS = 240
SHRINK = 1.0
TAIL = 0.01
CLONES = 2

Parts = Mapping[str, Floats]


def reporting(speaker: str) -> bool:
    """Tell whether a speaker is only ever reported on: every third, by digest."""
    return int(hashlib.sha256(speaker.encode()).hexdigest(), 16) % 3 == 0


def speaker(path: Path) -> str:
    """Name the speaker of a recording: what stands before the first hyphen of its name."""
    return path.name.split("-")[0]


@dataclass(frozen=True, slots=True)
class Voice:
    """The vectors of a speaker, by condition, of the two halves of a recording, and of clones of the first half."""

    known: Parts
    tested: Parts
    clones: tuple[Floats, ...] = ()
    both: Floats | None = None
    """Of the first half with somebody else speaking as well."""
    beside: Parts = field(default_factory=dict)
    """Of the second half enhanced, by condition, where screening would enhance it."""


def make(listener: Listener, recordings: Sequence[Path]) -> Calibration:
    """Embed the recordings and fit the calibration."""
    halves = [halves for path in recordings if (halves := _halves(listener, path)) is not None]
    voices = [_voice(listener, halves, number) for number, _ in enumerate(halves)]
    pieces = [_fold(voices, fold) for fold in range(FOLDS)]
    learnt = _learn(voices)
    return _fitted(learnt, pieces)


def _halves(listener: Listener, path: Path) -> tuple[Floats, Floats] | None:
    """Cut a recording in the middle of its speech; None where there is too little."""
    wave = whole_sound(path, rate=RATE, mono=True)[: round(MOST_S * RATE), 0]
    spoken = np.flatnonzero(listener.speech(wave))
    if len(spoken) < 2 * SPEECH_S * 100:
        return None
    middle = spoken[len(spoken) // 2] * 160
    return wave[:middle], wave[middle:]


def _voice(listener: Listener, halves: Sequence[tuple[Floats, Floats]], number: int) -> Voice:
    known, tested = halves[number]
    others = [halves[(number + step) % len(halves)] for step in range(1, CLONES + 1)]
    speech = listener.speech(known)
    heard = dict(_conditions(listener, tested, number + 1000, STEP))
    return Voice(
        known={name: part.vectors for name, (_, part) in _conditions(listener, known, number, 2 * STEP)},
        tested={name: part.vectors for name, (_, part) in heard.items()},
        beside={
            name: listener.hear(listener.enhance(wave), part.speech).vectors
            for name, (wave, part) in heard.items()
            if not clear(part)
        },
        clones=tuple(listener.hear(converted(other, known)).vectors for _, other in others),
        both=listener.hear(mixed(known, others[0][0], float(number % 4)), speech).vectors,
    )


def _conditions(
    listener: Listener, wave: Floats, seed: int, step: int
) -> Iterator[tuple[str, tuple[Floats, Heard]]]:
    speech = listener.speech(wave)
    for number, (name, degrade) in enumerate({**CONDITIONS, **FURTHER}.items()):
        made = degrade(wave, np.random.default_rng([seed, number]))
        yield name, (made, listener.hear(made, speech, step))


@dataclass(frozen=True, slots=True)
class Learnt:
    """The centre, the whitening and the mean sub-models of some voices."""

    mean: Floats
    whiten: Floats
    conditions: Floats

    def project(self, vectors: Floats) -> Floats:
        """As `Calibration.project`."""
        return unit(np.asarray((vectors - self.mean) @ self.whiten.T, np.float32))

    def heard(self, voice: Voice, name: str) -> Floats:
        """Project the second half in a condition as screening does: by the mean of plain and enhanced."""
        own = self.project(voice.tested[name])
        return unit(own + self.project(voice.beside[name])) if name in voice.beside else own

    def submodels(self, voice: Voice) -> Floats:
        """As `Calibration.submodels`, of the first half of the recording."""
        return self._means(voice) - self.conditions

    def _means(self, voice: Voice) -> Floats:
        return unit(
            np.stack([self.project(unit(voice.known[name].mean(axis=0))[None])[0] for name in CONDITIONS])
        )


def _learn(voices: Sequence[Voice]) -> Learnt:
    """Learn from how much each voice differs from itself over all conditions."""
    mean = np.stack([voice.known["clean"].mean(axis=0) for voice in voices]).mean(axis=0)
    everything = [np.concatenate([*voice.known.values(), *voice.tested.values()]) for voice in voices]
    within = np.mean([np.cov(vectors.T, bias=True) for vectors in everything], axis=0)
    size = len(mean)
    within += SHRINK * np.trace(within) / size * np.eye(size)
    whiten = np.linalg.inv(np.linalg.cholesky(within)).astype(np.float32)
    bare = Learnt(mean, whiten, np.zeros((len(CONDITIONS), size), np.float32))
    return Learnt(mean, whiten, np.mean([bare.submodels(voice) for voice in voices], axis=0))


@dataclass(frozen=True, slots=True)
class Piece:
    """What a fold tells: best scores (n, lengths) of absent and of present voices and of clones; single cosines."""

    absent: Doubles
    present: Doubles
    clones: Doubles
    pairs: Doubles
    alone: Floats
    both: Floats


def _fold(voices: Sequence[Voice], fold: int) -> Piece:
    learnt = _learn([voice for number, voice in enumerate(voices) if number % FOLDS != fold])
    held = voices[fold::FOLDS]
    submodels = [learnt.submodels(voice) for voice in held]
    clean = learnt.project(np.stack([unit(voice.known["clean"].mean(axis=0)) for voice in held]))
    present = [
        _best(learnt.heard(voice, name), submodels[number])
        for number, voice in enumerate(held)
        for name in voice.tested
    ]
    clones = [
        _best(learnt.project(vectors), submodels[number])
        for number, voice in enumerate(held)
        for vectors in voice.clones
    ]
    return Piece(
        absent=np.array(list(_absent(learnt, held, submodels, fold))),
        present=np.array(present),
        clones=np.array(clones),
        pairs=(clean @ clean.T)[~np.eye(len(held), dtype=bool)].astype(np.float64),
        alone=np.concatenate([learnt.project(voice.known["clean"]) for voice in held]),
        both=np.concatenate([learnt.project(voice.both) for voice in held if voice.both is not None]),
    )


def _best(vectors: Floats, submodels: Floats) -> list[float]:
    """Return the best score of a voice over running means of each of LENGTHS; what is too short counts as a whole."""
    means = (running(vectors, min(length, len(vectors))) for length in LENGTHS)
    return [float(pooled(mean @ submodels.T).max()) for mean in means]


def _absent(
    learnt: Learnt, held: Sequence[Voice], submodels: Sequence[Floats], fold: int
) -> Iterator[list[float]]:
    """Yield the best scores of each absent voice in clips of 45 s of speech put together from the others."""
    random = np.random.default_rng(fold)
    names = [*CONDITIONS, *FURTHER]
    for number in range(CLIPS):
        name = "clean" if number % 2 else names[random.integers(len(names))]
        order, parts, present = random.permutation(len(held)), [], []
        for one in order:
            parts.append(learnt.heard(held[one], name))
            present.append(one)
            if sum(map(len, parts)) >= CLIP_WINDOWS:
                break
        clip = np.concatenate(parts)[:CLIP_WINDOWS]
        yield from (_best(clip, submodels[voice]) for voice in range(len(held)) if voice not in set(present))


def _fitted(learnt: Learnt, pieces: Sequence[Piece]) -> Calibration:
    absent = np.concatenate([piece.absent for piece in pieces])
    strangers = np.stack([absent.mean(axis=0), absent.std(axis=0)], axis=1)
    heights = _heights(absent, strangers)
    u = np.quantile(heights, 1 - TAIL)
    tail = np.array([u, TAIL, float((heights[heights > u] - u).mean())])
    same = [_heights(getattr(piece, kind), strangers) for piece in pieces for kind in ("present", "clones")]
    pairs = np.concatenate([piece.pairs for piece in pieces])
    alone = np.concatenate([piece.alone for piece in pieces])
    both = np.concatenate([piece.both for piece in pieces])
    return Calibration(
        mean=learnt.mean,
        whiten=learnt.whiten,
        conditions=learnt.conditions,
        strangers=strangers,
        tail=tail,
        odds=logistic(np.concatenate(same)[:, None], heights[:, None], 1e-3),
        overlap=logistic(both, alone, 1e-2),
        pairs=np.array([pairs.mean(), pairs.std()]),
    )


def _heights(scores: Doubles, strangers: Doubles) -> Doubles:
    return np.asarray(((scores - strangers[:, 0]) / strangers[:, 1]).max(axis=1))


def logistic(yes: Doubles | Floats, no: Doubles | Floats, ridge: float) -> Doubles:
    """Fit log odds at even prior odds to rows (n, d) and (m, d) by Newton's method: weights and offset, (d + 1,)."""
    rows = np.hstack([np.concatenate([yes, no]), np.ones((len(yes) + len(no), 1))]).astype(np.float64)
    wanted = np.repeat([1.0, 0.0], [len(yes), len(no)])
    share = np.repeat([0.5 / len(yes), 0.5 / len(no)], [len(yes), len(no)])
    weights = np.zeros(rows.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        slope = rows.T @ (share * (wanted - chance)) - ridge * weights
        bend = (rows * (share * chance * (1 - chance))[:, None]).T @ rows + ridge * np.eye(len(weights))
        weights = weights + np.linalg.solve(bend, slope)
    return weights


def main() -> None:
    """Write the calibration of the encoder that ships, or of an operator's own."""
    folder, models_dir = Path(sys.argv[1]), Path(sys.argv[2])
    listener = Listener(models_dir, *sys.argv[3:4] or [EMBEDDED])
    found = sorted(path for path in folder.iterdir() if path.suffix in (".flac", ".wav"))
    made = make(listener, [path for path in found if not reporting(speaker(path))])
    if listener.tier == EMBEDDED:
        made.save(Path(__file__).with_name("cohort.npz"))
    else:
        note(models_dir, listener.models[0], made)


if __name__ == "__main__":
    main()
