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
from safety.prompt.convert import CLASSIFIER

MAX_TOKENS = 128
REGISTERS = ("video", "audio", "edit")
OF_NAMES = frozenset({"public_figure", "ip_character", "artist_style", "voice_imitation"})
"""Categories that ask who or what is named; all others are harms whoever is in them."""
HARMS = frozenset(CATEGORIES) - OF_NAMES
OUTPUTS = len(CATEGORIES) + 1
"""The categories, and whether there is any harm at all."""
Register = Literal["video", "audio", "edit"]
Logits = npt.NDArray[np.float32]
"""(n, 18), float32, not calibrated, in the order of CATEGORIES."""

_HALF, _EIGHT_TENTHS = 0.05, 0.001
_LOGIT_OF_EIGHT_TENTHS = float(np.log(4.0))
_GENTLEST = 0.6
"""The least slope: where ordinary prompts lie close together, a small step above them is no certainty."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Slope and centre, (18, 2), for each kind of prompt."""

    of: Mapping[str, npt.NDArray[np.float64]]

    @classmethod
    def load(cls) -> Scale:
        """Read calibration.json; raise `ModelMissing` where it cannot be read."""
        try:
            told = json.loads(shipped_scale().read_text())
            return cls({name: np.array([told[name][one] for one in CATEGORIES]) for name in REGISTERS})
        except (OSError, ValueError, KeyError) as error:
            raise ModelMissing("the calibration of the prompt classifier cannot be read") from error

    def scores(self, logits: Logits, register: Register) -> npt.NDArray[np.float64]:
        """Turn logits (n, 18) into scores 0-1.

        One ordinary prompt in 20 scores 0.5 and more, one in 1000 scores 0.8 and more, per category.
        """
        slope, centre = self.of[register].T
        calibrated: npt.NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(slope * (logits - centre), -50, 50)))
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

        path, model = models.converted(folder, CLASSIFIER)
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
        """Score one prompt from its windows: the highest of them, four decimals."""
        calibrated = self.scale.scores(self.logits(texts).max(axis=0), register)
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


def calibrated(ordinary: Logits) -> npt.NDArray[np.float64]:
    """Fit slope and centre, (18, 2), so that scores mean what `Scale.scores` says on ordinary prompts.

    The tail is a normal distribution's, or the empirical one where that reaches further.
    """
    mean, spread = ordinary.mean(axis=0), ordinary.std(axis=0)
    centre = np.maximum(np.quantile(ordinary, 1 - _HALF, axis=0), mean + 1.645 * spread)
    high = np.maximum(np.quantile(ordinary, 1 - _EIGHT_TENTHS, axis=0), mean + 3.09 * spread)
    slope = np.minimum(
        _LOGIT_OF_EIGHT_TENTHS / np.maximum(high - centre, 1e-3), _LOGIT_OF_EIGHT_TENTHS / _GENTLEST
    )
    return np.stack([slope, high - _LOGIT_OF_EIGHT_TENTHS / slope], axis=1)


def thresholds() -> dict[str, dict[str, float]]:
    """Read for each kind of prompt the highest score that one ordinary prompt in 100 and in 20 reaches."""
    told = json.loads(shipped_scale().read_text())
    return {name: dict(told[name]["highest"]) for name in REGISTERS}
