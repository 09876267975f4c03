"""Calibrate the classifier: `python -m safety.prompt.calibrate SHARED_DATA MODELS_DIR` writes calibration.json.

Only ordinary prompts that were not trained on are used. For each kind of prompt: what a category's score means, and the
highest score of all categories, names and words included, that one ordinary prompt in 100 and in 20 reaches.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.decision import CATEGORIES
from safety.prompt import corpus, templates
from safety.prompt.classifier import Classifier, Logits, Register, Scale, calibrated, shipped_scale
from safety.prompt.windows import windows

_MOST = 1200
_NONE = {kind: dict.fromkeys(CATEGORIES, (1.0, 0.0)) for kind in ("video", "audio", "edit")}
"""Where nothing has been calibrated yet."""
_RATES = {"one_in_100": 0.01, "one_in_20": 0.05}


def ordinary(shared_data: Path) -> dict[Register, list[str]]:
    """List ordinary prompts of each kind that the classifier has not been trained on."""
    seen = {one.text for one in corpus.examples(shared_data) if one.part != "calibrate"}
    held = [one.text for one in corpus.held_captions(shared_data) if one.text not in seen]
    video = [
        one.text
        for one in corpus.examples(shared_data)
        if one.part == "calibrate" and not one.categories and one.register == "video"
    ]
    written = list(templates.calibration())
    rng = random.Random(0)
    kinds: dict[Register, list[str]] = {"video": rng.sample(sorted({*video, *held}), _MOST)}
    others: tuple[Register, ...] = ("audio", "edit")
    for register in others:
        texts = sorted({line.text for line in written if line.register == register})
        kinds[register] = rng.sample(texts, min(_MOST // 3, len(texts)))
    return kinds


def highest(classifier: Classifier, texts: Sequence[str]) -> Logits:
    """Give the highest logits over the windows of each text, as a prompt is scored."""
    return np.stack([classifier.logits(windows(text)).max(axis=0) for text in texts])


def fitted(logits: dict[Register, Logits]) -> dict[str, Any]:
    """Fit the scales, and the thresholds of the highest score, for each kind of prompt."""
    told: dict[str, Any] = {}
    for register, ordinary_logits in logits.items():
        scale = calibrated(ordinary_logits)
        top = Scale({register: scale}).scores(ordinary_logits, register).max(axis=1)
        told[register] = {
            name: [round(float(value), 5) for value in pair]
            for name, pair in zip(CATEGORIES, scale, strict=True)
        }
        told[register]["highest"] = {
            name: round(float(np.quantile(top, 1 - rate)), 4) for name, rate in _RATES.items()
        }
        told[register]["prompts"] = len(ordinary_logits)
    return told


def main(shared_data: Path, models_dir: Path) -> None:
    """Calibrate what `convert.build` made in `models_dir`."""
    if not shipped_scale().exists():
        shipped_scale().write_text(json.dumps(_NONE))
    classifier = Classifier.load(models_dir)
    logits = {kind: highest(classifier, texts) for kind, texts in ordinary(shared_data).items()}
    shipped_scale().write_text(json.dumps(fitted(logits), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
