"""Read the labels back from the finished file: what cannot be seen, heard or read there was not delivered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from core.media.clip import Clip
from core.media.probe import tags
from core.media.read import frames, whole_sound
from provenance.labels._badge import INK, PLATE, Plate, plates
from provenance.labels._notice import PAUSE_SECONDS, spoken
from provenance.labels._packs import Duty
from provenance.labels._plan import Entry, Plan

_ALIKE = 0.85
"""Least correlation with what was drawn or spoken."""
_CONTRAST = 4.5
"""Least ratio of luminances of letters and plate (WCAG 2.1, 1.4.3)."""
_DELAY_SECONDS = 0.05
"""How late a codec may make the sound."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the sheet: a duty, whether it is met, and how.

    `deferred` is a draft's; `release` is met by manifest and watermark, which the verifier judges at release.
    """

    pack: str
    duty: str
    result: Literal["pass", "fail", "not_applicable", "deferred", "release"]
    how: str
    about: str
    source: str


def check(plan: Plan, clip: Clip) -> tuple[Row, ...]:
    """Fill in the sheet of a delivered file, from what is found in it."""
    seen = _seen(plan, clip)
    heard = _heard(plan, clip)
    written = tags(clip.path) if plan.tags else {}
    return tuple(_row(entry, seen, heard, written, clip) for entry in plan.entries)


@dataclass(frozen=True, slots=True)
class _Sight:
    plate: Plate
    alike: float
    contrast: float
    seconds: float


def _row(
    entry: Entry, seen: dict[str, _Sight], heard: dict[str, float], written: dict[str, str], clip: Clip
) -> Row:
    duty = entry.duty
    if entry.status != "due":
        return Row(entry.pack, duty.id, entry.status, entry.why, duty.about, duty.source)
    if duty.kind == "latent":
        how = "Manifest and watermark; the release is verified with both."
        return Row(entry.pack, duty.id, "release", how, duty.about, duty.source)
    if duty.kind == "badge":
        met, how = _badge_met(duty, seen, clip)
    elif duty.kind == "notice":
        met, how = _notice_met(heard)
    else:
        met, how = _tag_met(duty, written)
    return Row(entry.pack, duty.id, "pass" if met else "fail", how, duty.about, duty.source)


def _badge_met(duty: Duty, seen: dict[str, _Sight], clip: Clip) -> tuple[bool, str]:
    sight = next((seen[text] for text in duty.text.values() if text in seen), None)
    if sight is None or clip.video is None:
        return False, "The label was not found in the picture."
    share = sight.plate.ink / min(clip.video.width, clip.video.height)
    whole = min(duty.seconds or clip.seconds, clip.seconds)
    wanted = min(duty.seconds_at_least or whole, clip.seconds) - 1.5 / float(clip.video.fps)
    met = sight.alike >= _ALIKE and sight.contrast >= _CONTRAST
    met = met and share >= (duty.height_at_least or duty.height) - 0.005 and sight.seconds >= wanted
    how = f"{sight.plate.ink} px letters ({share:.1%} of the shorter side), contrast {sight.contrast:.1f}:1, "
    return met, how + f"read back at {sight.alike:.2f} for {sight.seconds:.1f} s."


def _notice_met(heard: dict[str, float]) -> tuple[bool, str]:
    worst = min(heard.values(), default=0.0)
    return worst >= _ALIKE, f"Heard at the start, read back at {worst:.2f}."


def _tag_met(duty: Duty, written: dict[str, str]) -> tuple[bool, str]:
    try:
        fields = json.loads(written.get(duty.key, ""))
    except ValueError:
        return False, f"The file has no key {duty.key}."
    return bool(fields.get("ProduceID")), f"The file's key {duty.key} names {fields.get('ProduceID')}."


def _seen(plan: Plan, clip: Clip) -> dict[str, _Sight]:
    if clip.video is None or not plan.badges:
        return {}
    step = max(1, round(float(clip.video.fps) / 4))
    laid = plates(plan, clip.video.width, clip.video.height)
    looks: dict[str, list[tuple[float, float, float]]] = {plate.badge.text: [] for plate in laid}
    for frame in frames(clip.path, lambda index: index % step == 0 or index < 2):
        grey = frame.rgb.mean(axis=2)
        for plate in laid:
            rows, columns = plate.grey.shape
            found = grey[plate.y : plate.y + rows, plate.x : plate.x + columns]
            looks[plate.badge.text].append(
                (frame.time, _alike(found, plate.grey), _contrast(found, plate.grey))
            )
    return {plate.badge.text: _sight(plate, looks[plate.badge.text], clip) for plate in laid}


def _sight(plate: Plate, looks: list[tuple[float, float, float]], clip: Clip) -> _Sight:
    """Sum up the looks while it had to be there; its time ends with the first look at which it is not."""
    gone = next((time for time, alike, _ in looks if alike < _ALIKE), clip.seconds)
    due = [look for look in looks if look[0] < gone] or looks[:1]
    return _Sight(plate, min(look[1] for look in due), min(look[2] for look in due), gone)


def _alike(found: NDArray[np.floating], drawn: NDArray[np.uint8]) -> float:
    if found.shape != drawn.shape or found.std() < 1:
        return 0.0
    return float(np.corrcoef(found.ravel(), drawn.ravel())[0, 1])


def _contrast(found: NDArray[np.floating], drawn: NDArray[np.uint8]) -> float:
    if found.shape != drawn.shape:
        return 0.0
    ink, plate = (float(np.median(found[part])) for part in (drawn >= INK - 10, drawn <= PLATE + 10))
    return (_luminance(ink) + 0.05) / (_luminance(plate) + 0.05)


def _luminance(level: float) -> float:
    """Give the relative luminance of a grey level of sRGB (WCAG 2.1)."""
    share = level / 255
    return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)


def _heard(plan: Plan, clip: Clip) -> dict[str, float]:
    if clip.audio is None or not plan.notices:
        return {}
    rate = clip.audio.rate
    sound = whole_sound(clip.path, mono=True)[:, 0]
    found, start = {}, 0
    for notice in plan.notices:
        said = spoken(notice, rate)
        found[notice] = _best(sound[start : start + len(said) + round(_DELAY_SECONDS * rate)], said)
        start += len(said) + round(PAUSE_SECONDS * rate)
    return found


def _best(heard: NDArray[np.float32], said: NDArray[np.float32]) -> float:
    """Correlate with what was said, at the best of the few starts that a codec's delay allows."""
    if len(heard) < len(said):
        return 0.0
    size = 1 << (len(heard) + len(said)).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    products = np.fft.irfft(spectrum, size)[: len(heard) - len(said) + 1]
    sums = np.concatenate([[0.0], np.cumsum(heard.astype(np.float64) ** 2)])
    energies = (sums[len(said) :] - sums[: -len(said)]) * float((said.astype(np.float64) ** 2).sum())
    return float((products / np.sqrt(np.maximum(energies, 1e-9))).max())
