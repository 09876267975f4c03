"""Train the network of `enhance`: `python -m safety.voice.train RECORDINGS` writes enhance.npz (6 CPU minutes).

The speakers that `cohort.reporting` names are left out; noise and music are invented, so recorded ones stay unseen.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.media.read import whole_sound
from safety.voice.cohort import reporting, speaker
from safety.voice.degrade import Random, banded, mixed, music, noise, resampled
from safety.voice.enhance import UNITS, WEIGHTS
from safety.voice.mel import BANDS, RATE, Floats, mel_power

if TYPE_CHECKING:
    from collections.abc import Sequence

SECONDS = 3
BATCH = 16
STEPS = 900


def train(waves: Sequence[Floats], steps: int = STEPS, pieces: int = 60) -> dict[str, Floats]:
    """Learn ideal shares of power, and the compressed spectrum they leave: the weights by torch's names."""
    import torch

    torch.manual_seed(0)
    random = np.random.default_rng(0)
    backgrounds = (
        [music(random, 20 * RATE) for _ in range(pieces)],
        [noise(random, 10 * RATE) for _ in range(pieces)],
    )
    layers = torch.nn.ModuleDict(
        {
            "inp": torch.nn.Linear(BANDS, UNITS),
            "g": torch.nn.GRU(UNITS, UNITS, 2, batch_first=True),
            "out": torch.nn.Linear(UNITS, BANDS),
        }
    )
    learner = torch.optim.Adam(layers.parameters(), 3e-3)
    pace = torch.optim.lr_scheduler.OneCycleLR(learner, 3e-3, total_steps=steps)
    for _ in range(steps):
        pairs = [_example(waves, backgrounds, random) for _ in range(BATCH)]
        clean, heard = (torch.tensor(np.stack(part)) for part in zip(*pairs, strict=True))
        hidden, _ = layers["g"](torch.tanh(layers["inp"]((torch.log10(heard + 1e-10) + 4) / 2)))
        shares = torch.sigmoid(layers["out"](hidden))
        level = heard.mean((1, 2), keepdim=True) + 1e-9
        left, wanted = (shares * heard / level + 1e-4) ** 0.3, (clean / level + 1e-4) ** 0.3
        ideal = torch.clamp(clean / (heard + 1e-10), 0, 1)
        loss = (left - wanted).pow(2).mean() + 0.3 * (shares - ideal).pow(2).mean()
        learner.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(layers.parameters(), 1.0)
        learner.step()
        pace.step()
    return {name: tensor.numpy() for name, tensor in layers.state_dict().items()}


def _example(
    waves: Sequence[Floats], backgrounds: tuple[Sequence[Floats], Sequence[Floats]], random: Random
) -> tuple[Floats, Floats]:
    """Mix three seconds: the mel powers of the speech alone and of the mixture."""
    count = SECONDS * RATE
    said = _cut(waves[int(random.integers(len(waves)))], count, random)
    if random.random() < 0.3:
        said = np.resize(resampled(said, random.uniform(0.88, 1.12)), count)
    kind = backgrounds[0] if random.random() < 0.6 else backgrounds[1]
    other = _cut(kind[int(random.integers(len(kind)))], count, random)
    if random.random() < 0.3:
        other = banded(other, random.uniform(30, 300), random.uniform(2500, 8000))
    heard = mixed(said, other, random.uniform(-3, 18) if random.random() < 0.95 else 40)
    if random.random() < 0.15:
        low, high = random.uniform(30, 300), random.uniform(3000, 7000)
        said, heard = banded(said, low, high), banded(heard, low, high)
    level = np.float32(10 ** (random.uniform(-18, 12) / 20))
    return mel_power(said * level), mel_power(heard * level)


def _cut(wave: Floats, count: int, random: Random) -> Floats:
    return np.resize(np.roll(wave, -int(random.integers(len(wave)))), count)


def main() -> None:
    """Write enhance.npz, its weights rounded to half precision."""
    paths = [path for path in sorted(Path(sys.argv[1]).glob("*.flac")) if not reporting(speaker(path))]
    state = train([whole_sound(path, rate=RATE, mono=True)[:, 0] for path in paths])
    halves = {name: tensor.astype(np.float16) for name, tensor in state.items()}
    np.savez_compressed(WEIGHTS, **halves)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
