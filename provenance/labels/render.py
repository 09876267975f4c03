"""Make the pictures of text and the spoken notices that labels are put together from.

Run once by us: `python -m provenance.labels.render LATIN.ttf CJK.ttc`, with espeak-ng installed. What it makes is
shipped, so that no installation needs fonts or a voice.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from core.media.write import Delivery

HOME = Path(__file__).parent
_INK = 96
_RATE_WORDS = "140"
_BITRATE = 64_000


def main(latin: str, cjk: str) -> None:
    """Render every text and speech of `assets.yaml` into `assets/`."""
    listed: dict[str, Any] = yaml.safe_load((HOME / "assets.yaml").read_text())
    fonts = {"latin": ImageFont.truetype(latin, _INK), "cjk": ImageFont.truetype(cjk, _INK)}
    for name, text in listed["texts"].items():
        cv2.imwrite(str(HOME / "assets" / f"{name}.png"), _ink(text["words"], fonts[text["font"]]))
    for name, speech in listed["speeches"].items():
        _speak(speech["words"], speech["voice"], HOME / "assets" / f"{name}.m4a")


def _ink(words: str, font: ImageFont.FreeTypeFont) -> NDArray[np.uint8]:
    """Draw white on black, cut to the ink and scaled to `_INK` pixels high."""
    left, top, right, bottom = (int(edge) for edge in font.getbbox(words))
    picture = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(picture).text((-left, -top), words, fill=255, font=font)
    drawn = np.asarray(picture)
    rows, columns = np.nonzero(drawn.max(axis=1))[0], np.nonzero(drawn.max(axis=0))[0]
    ink = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    width = round(ink.shape[1] * _INK / ink.shape[0])
    return np.asarray(cv2.resize(ink, (width, _INK), interpolation=cv2.INTER_CUBIC), np.uint8)


def _speak(words: str, voice: str, into: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        spoken = Path(scratch) / "spoken.wav"
        subprocess.run(  # noqa: S603  # our own words
            ["espeak-ng", "-v", voice, "-s", _RATE_WORDS, "-w", str(spoken), words],  # noqa: S607
            check=True,
        )
        with wave.open(str(spoken)) as file:
            rate, raw = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(raw, "<i2").astype(np.float32)[:, None]
    with Delivery(into, rate=rate, channels=1, audio_bitrate=_BITRATE) as writer:
        writer.sound(samples / np.abs(samples).max() * 0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
