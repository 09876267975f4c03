from __future__ import annotations

import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

from core.media.read import whole_sound
from provenance.fingerprint import chroma

TOLD = (
    "318f3b8b 118c3b8b 11cc799b 114cf5bb 314cf1ab 214cf1ab 214dd1ab 314dd1aa 3149fdaa 1159f9ae 1169e97e "
    "0169e936 05e9e936 05e9e936 0dadb936 09a5a934 19a1a934 19a1a934 39a1a934 39a1aa34 29d19a34 29418a24 "
    "29018a25 2901ba66 2b05ba66 2a0ddb66 2a093866"
)


def tune() -> np.ndarray:
    t = np.arange(6 * chroma.RATE) / chroma.RATE
    low = 0.3 * np.sin(2 * np.pi * 220 * t * (1 + 0.05 * np.floor(t)))
    return low + 0.2 * np.sin(2 * np.pi * (330 + 40 * np.floor(2 * t)) * t)


def test_the_words_are_those_of_the_reference_implementation() -> None:
    """Told by fpcalc 1.5.1."""
    samples = np.round(tune() * 32767).astype(np.int16)
    found = chroma.words(samples.astype(np.float32) / 32767)
    assert " ".join(f"{word:08x}" for word in found) == TOLD


def test_and_of_the_installed_one_on_recordings(shared_data: Path, tmp_path: Path) -> None:
    fpcalc = shutil.which("fpcalc")
    if fpcalc is None:
        pytest.skip("fpcalc (Debian: libchromaprint-tools) is not installed")
    for path in sorted((shared_data / "audio").rglob("*.wav"))[:4] + sorted(
        (shared_data / "audio" / "music").glob("*.ogg")
    ):
        sound = whole_sound(path, rate=chroma.RATE, mono=True)[: 20 * chroma.RATE, 0]
        samples = np.clip(np.round(sound * 32767), -32768, 32767).astype("<i2")
        with wave.open(str(tmp_path / "sound.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(chroma.RATE)
            out.writeframes(samples.tobytes())
        command = [fpcalc, "-raw", "-length", "0", str(tmp_path / "sound.wav")]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        if "FINGERPRINT=" in told:
            wanted = [int(word) & 0xFFFFFFFF for word in told.split("FINGERPRINT=")[1].split(",")]
            assert chroma.words(samples.astype(np.float32) / 32767).tolist() == wanted, path.name


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, chroma.REACH - 1, chroma.REACH])
def test_a_word_needs_its_reach(length: int) -> None:
    assert len(chroma.words(tune()[:length].astype(np.float32))) == int(length >= chroma.REACH)


def test_silence_has_one_word() -> None:
    assert set(chroma.words(np.zeros(2 * chroma.REACH, np.float32)).tolist()) == {chroma.SILENT}
