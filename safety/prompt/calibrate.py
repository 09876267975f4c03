"""Calibrate the classifier: `python -m safety.prompt.calibrate SHARED_DATA MODELS_DIR` writes calibration.json.

Only ordinary prompts that were not trained on are used, one in ten of them from the twins that we wrote. For each kind of
prompt: what a score means, and the highest score of all categories, with what names and words add and take away, that
one ordinary prompt in 100 and in 20 reaches.
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
from safety.prompt.classifier import Classifier, Evidence, Register, calibrated, evidence, shipped_scale
from safety.prompt.reader import PromptReader
from safety.prompt.windows import windows

_MOST = 2000
_OF_OWN = 0.1
_NONE = {kind: dict.fromkeys(CATEGORIES, (0.0, 1.0, 2.0)) for kind in ("video", "audio", "edit")}
"""Where nothing has been calibrated yet."""
_RATES = {"one_in_100": 0.01, "one_in_20": 0.05}


def ordinary(shared_data: Path) -> dict[Register, list[str]]:
    """List ordinary prompts of each kind that the classifier has not been trained on."""
    seen = {one.text for one in corpus.examples(shared_data) if one.part != "calibrate"}
    held = [one for one in corpus.held_captions(shared_data) if one.text not in seen]
    untrained = [
        one for one in corpus.examples(shared_data) if one.part == "calibrate" and not one.categories
    ]
    captions = {
        one.text
        for one in (*held, *untrained)
        if one.register == "video" and one.source not in {"own", "coco"}
    }
    texts: dict[Register, set[str]] = {"video": captions, "audio": set(), "edit": set()}
    for line in templates.calibration():
        texts[line.register].add(line.text)  # type: ignore[index]
    rng = random.Random(0)
    kinds: dict[Register, list[str]] = {}
    for register, some in texts.items():
        own = {one.text for one in untrained if one.source == "own" and one.register == register}
        most = min(_MOST if register == "video" else _MOST // 5, len(some))
        kinds[register] = rng.sample(sorted(some), round(most * (1 - _OF_OWN)))
        kinds[register] += rng.sample(sorted(own), min(round(most * _OF_OWN), len(own)))
    return kinds


def found(classifier: Classifier, texts: Sequence[str]) -> Evidence:
    """Give the evidence of each text as a prompt is scored, (n, 18)."""
    return np.stack([evidence(classifier.logits(windows(text))) for text in texts])


def fitted(ordinary_evidence: Evidence) -> dict[str, Any]:
    """Fit the knots of the scales of one kind of prompt."""
    knots = calibrated(ordinary_evidence)
    told: dict[str, Any] = {
        name: [round(float(value), 4) for value in row] for name, row in zip(CATEGORIES, knots, strict=True)
    }
    return told | {"prompts": len(ordinary_evidence)}


def _named(read: dict[str, Any]) -> bool:
    """Tell if a prompt names who or what is on the lists: public captions do, and a reader is to stop those."""
    return any(entity["kind"] != "brand" for entity in read["entities"])


def highest(scores: Sequence[float]) -> dict[str, float]:
    """Give the scores that one prompt in 100 and in 20 reaches."""
    return {name: round(float(np.quantile(scores, 1 - rate)), 4) for name, rate in _RATES.items()}


def main(shared_data: Path, models_dir: Path) -> None:
    """Calibrate what `convert.build` made in `models_dir`; the thresholds are those of the whole reader."""
    shipped_scale().write_text(json.dumps(_NONE))
    classifier, texts = Classifier.load(models_dir), ordinary(shared_data)
    told = {kind: fitted(found(classifier, some)) for kind, some in texts.items()}
    shipped_scale().write_text(json.dumps(told))
    reader = PromptReader.load(models_dir)
    for kind, some in texts.items():
        read = (reader.read(text, modality=kind) for text in some)
        told[kind]["highest"] = highest([max(one["scores"].values()) for one in read if not _named(one)])
    shipped_scale().write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
