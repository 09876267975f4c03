"""The classifier of prompts (MiniLM fine-tuned, English, int8 ONNX): texts in, scores of 18 categories out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from core import models
from core.decision import CATEGORIES
from core.errors import ModelMissing, Unavailable
from core.finding import Model
from safety.prompt.convert import CLASSIFIER, made_from

MAX_TOKENS = 128
REGISTERS = ("video", "audio", "edit")
OF_NAMES = frozenset({"public_figure", "ip_character", "artist_style", "voice_imitation"})
"""Categories that ask who or what is named; all others are harms whoever is in them."""
HARMS = frozenset(CATEGORIES) - OF_NAMES
OUTPUTS = len(CATEGORIES) + 1
"""The categories, and whether there is any harm at all."""
Register = Literal["video", "audio", "edit"]
Logits = npt.NDArray[np.float32]
"""(n, 19), float32, not calibrated: CATEGORIES in their order, and any harm."""
Evidence = npt.NDArray[np.float64]
"""(n, 18), not calibrated, in the order of CATEGORIES."""

_MEANS = np.log([1.0, 4.0, 19.0])
"""The log odds of the scores 0.5, 0.8 and 0.95, which the knots of a scale stand for."""
_HARM_RATES, _NAME_RATES = (0.05, 0.01, 0.001), (0.02, 0.002, 0.0005)
_NORMAL = (2.0537, 2.8782, 3.2905)
"""How many standard deviations above the mean a normal distribution has the rates of names."""
_GENTLEST = 0.6
"""The least step between knots: where ordinary prompts lie close together, a small step above them is no certainty."""
_HARM = np.array([name in HARMS for name in CATEGORIES])


def evidence(logits: Logits) -> Evidence:
    """Put the windows of one prompt, the whole text first, together: (n, 19) to (18,).

    Any harm speaks for each harm. With n windows there are n chances of a high value by accident, which twice the
    logarithm of n takes back from all but the whole text: once would keep a little more of what stands between sentences
    and lose more of the rest, since thresholds rise with what long ordinary prompts reach.
    """
    each = logits[:, :-1].astype(np.float64) + np.where(_HARM, logits[:, -1:], 0.0)
    each[1:] -= 2 * np.log(len(each))
    highest: Evidence = each.max(axis=0)
    return highest


@dataclass(frozen=True, slots=True)
class Scale:
    """The evidence that scores 0.5, 0.8 and 0.95, (18, 3), for each kind of prompt; one row for all harms."""

    of: Mapping[str, npt.NDArray[np.float64]]

    @classmethod
    def load(cls) -> Scale:
        """Read calibration.json; raise `ModelMissing` where it cannot be read."""
        try:
            told = json.loads(shipped_scale().read_text())
            return cls({name: np.array([told[name][one] for one in CATEGORIES]) for name in REGISTERS})
        except (OSError, ValueError, KeyError) as error:
            raise ModelMissing("the calibration of the prompt classifier cannot be read") from error

    def scores(self, found: Evidence, register: Register) -> Evidence:
        """Turn evidence (n, 18) into scores 0-1.

        Of ordinary prompts one in 20 scores 0.5 and more, one in 100 0.8, one in 1000 0.95, in the highest of all
        harms; in a category of names one in 50, 500 and 2000.
        """
        low, middle, high = self.of[register].T
        below = _MEANS[1] * (found - low) / (middle - low)
        above = _MEANS[1] + (_MEANS[2] - _MEANS[1]) * (found - middle) / (high - middle)
        odds = np.where(found < middle, below, above)
        calibrated: Evidence = 1 / (1 + np.exp(-np.clip(odds, -50, 50)))
        return calibrated


@dataclass(frozen=True, slots=True)
class Classifier:
    """A loaded classifier; safe to use from several threads."""

    session: Any
    tokenizer: Any
    scale: Scale
    models: tuple[Model, ...]

    @classmethod
    def load(cls, folder: Path) -> Classifier:
        """Load from `folder`, digests checked; raise `ModelMissing` where `convert.build` has not been run."""
        import onnxruntime
        from tokenizers import Tokenizer

        path, model = models.converted(folder, CLASSIFIER, made_from())
        tokenizer = Tokenizer.from_file(str(models.wheel_file("minilm-tokenizer")))
        tokenizer.no_padding()
        tokenizer.enable_truncation(MAX_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        digest = models.registry()["minilm-tokenizer"].sha256
        scale = Model("calibration.json", models.file_sha256(shipped_scale()))
        return cls(session, tokenizer, Scale.load(), (model, Model("minilm-tokenizer", digest), scale))

    def scores(self, texts: Sequence[str], register: Register) -> dict[str, float]:
        """Score one prompt from its windows, the whole text first; four decimals."""
        calibrated = self.scale.scores(evidence(self.logits(texts)), register)
        return {name: round(float(score), 4) for name, score in zip(CATEGORIES, calibrated, strict=True)}

    def logits(self, texts: Sequence[str]) -> Logits:
        """Score texts, the first 128 tokens of each; raise `Unavailable` where the model fails."""
        encodings = self.tokenizer.encode_batch(list(texts))
        return np.concatenate([self._run(encoding.ids) for encoding in encodings])

    def is_word(self, word: str) -> bool:
        """Tell if a word in lower case is common enough to be whole in the vocabulary."""
        return self.tokenizer.token_to_id(word) is not None

    def _run(self, ids: Sequence[int]) -> Logits:
        """Run one text by itself: int8 ranges are taken per run, so texts in a batch would touch each other."""
        feed = {"ids": np.array([ids], np.int64), "positions": np.arange(len(ids))}
        try:
            logits: Logits = self.session.run(None, feed)[0]
        except RuntimeError as error:
            raise Unavailable("the prompt classifier failed") from error
        return logits


def shipped_scale() -> Path:
    """Locate the calibration that comes with the code; classifier.md tells what it was made from."""
    return Path(__file__).with_name("calibration.json")


def calibrated(ordinary: Evidence) -> npt.NDArray[np.float64]:
    """Fit the knots, (18, 3), so that scores mean what `Scale.scores` says on ordinary prompts (n, 18).

    Names are rare in them: their tail is a normal distribution's, or the empirical one where that reaches further.
    """
    mean, spread = ordinary.mean(axis=0), ordinary.std(axis=0)
    harm = np.quantile(ordinary[:, _HARM].max(axis=1), [1 - rate for rate in _HARM_RATES])
    names = np.quantile(ordinary, [1 - rate for rate in _NAME_RATES], axis=0)
    normal = mean + np.outer(_NORMAL, spread)
    knots = np.where(_HARM[:, None], harm, np.maximum(names, normal).T)
    least = np.array([[0, _GENTLEST, 2 * _GENTLEST]])
    return np.maximum.accumulate(np.maximum(knots, knots[:, :1] + least), axis=1) + least * 1e-6


def thresholds() -> dict[str, dict[str, float]]:
    """Read for each kind of prompt the highest of a reader's scores that one ordinary prompt in 100 and in 20 reaches."""
    told = json.loads(shipped_scale().read_text())
    return {name: dict(told[name]["highest"]) for name in REGISTERS}
