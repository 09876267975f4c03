"""Small signed files of every format, made on the spot: what the suites about provenance attack."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from core.clock import SystemClock
from core.media.clip import Sound
from core.media.export import export
from core.media.write import Delivery
from core.models import file_sha256
from provenance.fingerprint import audio, video
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import VideoPrint
from provenance.keys import SigningKeys, dev_keys
from provenance.manifest import Claim, sign
from provenance.readings import LogProof, Record

FORMATS = {
    "mp4": "video/mp4",
    "m4a": "audio/mp4",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "png": "image/png",
    "jpg": "image/jpeg",
}
_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Specimen:
    """A signed file, the claim that was made about it and the label of its manifest."""

    path: Path
    claim: Claim
    label: str

    def record(self) -> Record:
        """Write it down as a release."""
        return Record(
            id=self.claim.record,
            payload=self.claim.payload,
            manifest_label=self.label,
            released_at=self.claim.when,
            withdrawn=False,
            seconds=self.claim.duration_ms / 1000,
            video=self.claim.video,
            audio=self.claim.audio,
            log_index=0,
            digest=file_sha256(self.path),
        )


@dataclass(frozen=True, slots=True)
class Shelf:
    """Our memory of releases, held in memory."""

    records: tuple[Record, ...]

    def by_payload(self, payload: int) -> Record | None:
        """Find a release by the id in its marks."""
        return next((one for one in self.records if one.payload == payload), None)

    def by_label(self, label: str) -> Record | None:
        """Find a release by its manifest."""
        return next((one for one in self.records if one.manifest_label == label), None)

    def by_content(self, seen: VideoPrint | None, heard: AudioPrint | None) -> Record | None:
        """Find the first release whose picture or sound is like these."""
        for one in self.records:
            if seen and one.video_print and video.similarity(seen, one.video_print).found:
                return one
            if heard and one.audio_print and audio.similarity(heard, one.audio_print).found:
                return one
        return None


def proven(index: int) -> LogProof:
    """Stand for a log that has everything."""
    return LogProof(included=True, index=index, size=index + 1, checkpoint="")


def tiny(folder: Path, seed: int) -> tuple[list[Specimen], SigningKeys]:
    """Make the smallest useful file of every format, and the keys that they were signed with."""
    dice = np.random.default_rng(seed)
    keys = dev_keys(folder / "keys", SystemClock())
    return [_signed(folder, suffix, dice, keys) for suffix in FORMATS], keys


def _signed(folder: Path, suffix: str, dice: np.random.Generator, keys: SigningKeys) -> Specimen:
    plain, path = folder / f"plain.{suffix}", folder / f"signed.{suffix}"
    noise = (0.1 * dice.standard_normal((_RATE // 4, 1))).astype(np.float32)
    _write(plain, noise, dice)
    claim = replace(CLAIM, mime=FORMATS[suffix], record=suffix)
    return Specimen(path, claim, sign(plain, path, claim, keys).label)


def _write(path: Path, noise: Sound, dice: np.random.Generator) -> None:
    picture = dice.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    if path.suffix in (".png", ".jpg"):
        cv2.imwrite(str(path), picture)
    elif path.suffix == ".mp4":
        with Delivery(path, width=64, height=48, fps=12, rate=_RATE, channels=1) as out:
            out.sound(noise)
            for shift in range(3):
                out.frame(np.roll(picture, 8 * shift, axis=1))
    elif path.suffix == ".m4a":
        with Delivery(path, rate=_RATE, channels=1) as out:
            out.sound(noise)
    else:
        export(path, noise, _RATE)


CLAIM = Claim(
    title="specimen",
    mime="",
    engine="sandbox",
    engine_version="1",
    source="created",
    payload=0x0123456789ABCDEF,
    duration_ms=250,
    record="",
    when="2026-11-24T12:00:00Z",
    generator_version="0.1.0",
    video=False,
    audio=False,
)
