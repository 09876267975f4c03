"""Make cohort.npz from a folder of recordings, one speaker each: `python -m safety.voice.cohort RECORDINGS MODELS`.

Two thirds of the speakers give the mean; the last third, which the mean has not seen, plays both the enrolled
voices and the strangers on whom the thresholds are fitted.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.media.read import whole_sound
from safety.voice.listen import Listener
from safety.voice.mel import RATE, Floats
from safety.voice.score import CLIP_WINDOWS, LENGTHS, Cohort, centre, scores, unit

CLIPS = 400


def make(recordings: list[Path], models_dir: Path) -> Cohort:
    """Embed the recordings and fit the cohort."""
    listener = Listener(models_dir)
    heard = [listener.hear(whole_sound(path, rate=RATE, mono=True)[:, 0]).vectors for path in recordings]
    speakers = [vectors for vectors in heard if len(vectors) >= max(LENGTHS)]
    learnt = [vectors for number, vectors in enumerate(speakers) if number % 3]
    mean = np.stack([vectors.mean(axis=0) for vectors in learnt]).mean(axis=0)
    strangers = [unit(vectors - mean) for vectors in speakers[::3]]
    best = [_best_scores(strangers, length) for length in LENGTHS]
    return Cohort(mean, np.array([(values.mean(), values.std()) for values in best]))


def _best_scores(strangers: list[Floats], length: int) -> npt.NDArray[np.float64]:
    """Return the best score of every absent voice in clips of 45 s of speech put together from the others."""
    random = np.random.default_rng(0)
    voices = [centre(vectors) for vectors in strangers]
    best = []
    for _ in range(CLIPS):
        order = random.permutation(len(strangers))
        lengths = np.cumsum([len(strangers[speaker]) for speaker in order])
        present = order[: 1 + np.searchsorted(lengths, CLIP_WINDOWS)]
        clip = np.concatenate([strangers[speaker] for speaker in present])[:CLIP_WINDOWS]
        best += [scores(clip, voices[voice], length).max() for voice in set(order) - set(present)]
    return np.array(best, np.float64)


def main() -> None:
    """Write cohort.npz beside this file."""
    recordings, models_dir = sorted(Path(sys.argv[1]).glob("*.flac")), Path(sys.argv[2])
    made = make(recordings, models_dir)
    np.savez(Path(__file__).with_name("cohort.npz"), mean=made.mean, strangers=made.strangers)


if __name__ == "__main__":
    main()
