"""Train the classifier's heads: `python -m safety.prompt.train SHARED_DATA MODELS_DIR`.

The encoder stays as it is; each head is a logistic regression. Every text is in one of three parts by its
own hash: heads are fitted on "train", calibrated on "calibrate" and reported on "test". Some settings were
changed after false alarms on held-out prompts had been seen; heads.md names them. Nothing is drawn at random.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from safety.prompt import corpus
from safety.prompt.corpus import HEADS, Example, Part
from safety.prompt.encoder import Encoder, Vectors
from safety.prompt.heads import REGISTERS, Heads, Logits, calibrated_scale, load, shipped, to_bytes
from safety.prompt.windows import windows

RIDGE = 1e-4
Row = npt.NDArray[np.float64]


def fitted(vectors: Vectors, targets: Row, weights: Row) -> tuple[Row, float]:
    """Fit one logistic regression with an L2 penalty, both classes weighing the same: (384,) and the bias."""
    x = vectors.astype(np.float64)
    sign = 2 * targets - 1
    balance = weights / np.where(targets > 0, weights[targets > 0].sum(), weights[targets == 0].sum())

    def loss(theta: Row) -> tuple[float, Row]:
        margin = sign * (x @ theta[:-1] + theta[-1])
        pull = -balance * sign / (1 + np.exp(np.clip(margin, -50, 50)))
        value = balance @ np.logaddexp(0, -margin) + RIDGE * theta[:-1] @ theta[:-1]
        return float(value), np.append(pull @ x + 2 * RIDGE * theta[:-1], pull.sum())

    theta = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return theta[:-1], float(theta[-1])


def train(examples: Sequence[Example], encoder: Encoder) -> Heads:
    """Fit and calibrate all heads."""
    chosen = [example for example in examples if example.part == "train"]
    vectors = encoder.encode([example.text for example in chosen])
    weights = np.array([example.weight for example in chosen])
    columns = [
        fitted(vectors, np.array([float(name in example.categories) for example in chosen]), weights)
        for name in HEADS
    ]
    weight = np.stack([column for column, _ in columns], axis=1).astype(np.float32)
    bias = np.array([bias for _, bias in columns], np.float32)
    flat = Heads(HEADS, weight, bias, np.ones((len(REGISTERS), len(HEADS), 2), np.float32))
    registers = (ordinary_video(examples, "calibrate"), _ordinary_sound(examples))
    scale = [calibrated_scale(highest(flat, encoder, texts)) for texts in registers]
    return Heads(HEADS, weight, bias, np.stack(scale))


def highest(heads: Heads, encoder: Encoder, texts: Sequence[str]) -> Logits:
    """Give the highest logit of each head over the windows of each text, as a prompt is scored."""
    tops = [heads.logits(encoder.encode(windows(text))).max(axis=0) for text in texts]
    return np.stack(tops)


def ordinary_video(examples: Sequence[Example], part: Part) -> list[str]:
    """List ordinary prompts for video: captions and benchmark prompts, and our own film register."""
    sources = {"vbench", "chronomagic", "own"}
    return [e.text for e in examples if e.part == part and e.source in sources and not e.categories]


def _ordinary_sound(examples: Sequence[Example]) -> list[str]:
    return [
        e.text for e in examples if e.part == "calibrate" and e.source == "own_sound" and not e.categories
    ]


def report(heads: Heads, encoder: Encoder, examples: Sequence[Example]) -> str:
    """Tell, on the test part, the recall at 1 % and 5 % false alarms on ordinary video prompts, as Markdown."""
    ordinary = highest(heads, encoder, ordinary_video(examples, "test"))
    harmful = [example for example in examples if example.part == "test" and example.categories]
    scored = highest(heads, encoder, [example.text for example in harmful])
    slope, centre = heads.scale[0].T
    rows = ["| category | prompts | recall at 1 % | at 5 % |", "|---|---|---|---|"]
    for index, name in enumerate(heads.names):
        mine = np.array([name in example.categories for example in harmful])
        rows.append(_row(name, ordinary[:, index], scored[mine, index]))
    any_ordinary, any_scored = (((part - centre) * slope).max(axis=1) for part in (ordinary, scored))
    rows.append(_row("any, highest score", any_ordinary, any_scored))
    for source in ("nibbler", "own", "ailuminate"):
        mine = np.array([example.source == source for example in harmful])
        rows.append(_row(f"any, source {source}", any_ordinary, any_scored[mine]))
    return "\n".join([*rows, "", f"{len(ordinary)} ordinary video prompts."])


def check(heads: Heads, encoder: Encoder, folder: Path) -> str:
    """Tell what share of two sets that are never trained on has a score at which the default pack holds."""
    with (folder / "simple_safety_tests.csv").open(newline="") as file:
        harmful = [row["prompts_final"] for row in csv.DictReader(file)]
    ordinary = (folder / "moviegen_video_half.txt").read_text().splitlines()
    slope, centre = heads.scale[0].T
    held = [
        float((((highest(heads, encoder, texts) - centre) * slope).max(axis=1) >= np.log(4)).mean())
        for texts in (harmful, ordinary)
    ]
    return f"Score 0.8 and more: {held[0]:.2f} of SimpleSafetyTests, {held[1]:.3f} of MovieGen video prompts."


def _row(name: str, ordinary: Logits, harmful: Logits) -> str:
    recalls = [float((harmful > np.quantile(ordinary, 1 - rate)).mean()) for rate in (0.01, 0.05)]
    return f"| {name} | {len(harmful)} | {recalls[0]:.2f} | {recalls[1]:.2f} |"


def main(shared_data: Path, models_dir: Path) -> None:
    """Train, write heads.npz beside the code, and print the report for heads.md."""
    encoder = Encoder.load(models_dir)
    examples = corpus.examples(shared_data)
    shipped().write_bytes(to_bytes(train(examples, encoder)))
    heads, _ = load(shipped())
    told = report(heads, encoder, examples), check(heads, encoder, shared_data / "prompts" / "check")
    sys.stdout.write("\n\n".join(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
