"""Put two rounds of training half and half together: `python -m safety.prompt.blend ADAPTER ADAPTER OUT`.

What lies between the weights before and after a round is often better than either, most of all on prompts of another
manner than the trained ones (Wortsman et al., Robust fine-tuning of zero-shot models, 2022).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from safety.prompt import adapter
from safety.prompt.adapter import RANK, Weights


def blended(one: Weights, other: Weights) -> dict[str, npt.NDArray[np.float32]]:
    """Give the mean of two adapters; of each product of thin matrices the `RANK` largest parts are kept."""
    mean: dict[str, npt.NDArray[np.float32]] = {}
    for name, value in one.items():
        layer, _, part = name.rpartition(".")
        if part == "up":
            mean[name], mean[f"{layer}.down"] = _thin((_change(one, layer) + _change(other, layer)) / 2)
        elif part != "down":
            mean[name] = ((value.astype(np.float64) + other[name]) / 2).astype(np.float32)
    return mean


def _change(tuned: Weights, layer: str) -> npt.NDArray[np.float64]:
    change: npt.NDArray[np.float64] = tuned[f"{layer}.up"].astype(np.float64) @ tuned[f"{layer}.down"]
    return change


def _thin(
    change: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Factor a matrix into two thin ones of like size (Eckart and Young, 1936)."""
    left, sizes, right = np.linalg.svd(change, full_matrices=False)
    root = np.sqrt(sizes[:RANK])
    return (left[:, :RANK] * root).astype(np.float32), (root[:, None] * right[:RANK]).astype(np.float32)


def main(one: Path, other: Path, out: Path) -> None:
    """Blend two adapter files into a third."""
    out.write_bytes(
        adapter.to_bytes(blended(adapter.load(one.read_bytes()), adapter.load(other.read_bytes())))
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
