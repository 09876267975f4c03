"""Clips that suites make for themselves: soft shapes that glide by, under notes that change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from core.media.clip import Clip, Picture, Sound
from core.media.probe import probe
from core.media.write import Mezzanine

WIDTH, HEIGHT, FPS, RATE = 320, 240, 12, 16_000
_NOTE_SECONDS = 0.5


def pictures(seed: int, seconds: float) -> Iterator[Picture]:
    """Draw a moving picture, (240, 320, 3); every seed is another scene."""
    dice = np.random.default_rng(seed)
    cells = int(dice.integers(5, 12))
    far, near = (dice.integers(0, 256, (cells, 3 * cells, 3), dtype=np.uint8) for _ in range(2))
    grain = dice.integers(0, 24, (HEIGHT, 2 * WIDTH, 3), dtype=np.uint8)
    walls = [cv2.resize(one, (3 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) for one in (far, near)]
    walls[1] = cv2.add(walls[1][:, : 2 * WIDTH], grain)
    for index in range(round(seconds * FPS)):
        left, right = 2 * index % (2 * WIDTH), 3 * index % WIDTH
        mixed = cv2.addWeighted(
            walls[0][:, left : left + WIDTH], 0.6, walls[1][:, right : right + WIDTH], 0.4, 0
        )
        yield np.asarray(mixed, np.uint8)


def tune(seed: int, seconds: float, rate: int = RATE) -> Sound:
    """Play notes of a few overtones over a little noise, (n, 1) float32."""
    dice = np.random.default_rng(seed + 1)
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.02 * dice.standard_normal(len(time))
    for start in np.arange(0, seconds, _NOTE_SECONDS):
        here = (time >= start) & (time < start + _NOTE_SECONDS)
        fade = np.sin(np.pi * (time[here] - start) / _NOTE_SECONDS)
        for pitch in 220 * 2 ** (dice.choice(24, 3, replace=False) / 12):
            for overtone in (1, 2, 3):
                sound[here] += 0.1 / overtone * fade * np.sin(2 * np.pi * pitch * overtone * time[here])
    return np.asarray(0.6 * sound[:, None], np.float32)


def scene(path: Path, seed: int, seconds: float) -> Clip:
    """Write a scene with sound, lossless."""
    with Mezzanine(path, width=WIDTH, height=HEIGHT, fps=FPS, rate=RATE, channels=1) as out:
        out.sound(tune(seed, seconds))
        for rgb in pictures(seed, seconds):
            out.frame(rgb)
    return probe(path)
