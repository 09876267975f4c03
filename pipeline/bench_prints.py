"""How far fingerprints tell clips apart: `python -m pipeline.bench_prints [FOLDER of clips]`.

Every clip is changed in the ways that happen to clips, and each result is compared with every original. The
hard strangers are scenes of one kind under different seeds; their sounds may share chords. Clips alternate
between a half that thresholds were chosen on and a half that they were not; the table gives both.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from core.media.clip import Picture, Sound
from core.media.probe import probe
from core.media.read import frames, whole_sound
from core.media.write import Delivery
from core.shot import Shot
from generation.engines import open_engine
from generation.grid import snap
from provenance.fingerprint import audio, video
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import VideoPrint
from provenance.perceive import perceive

SCENES = (
    "waves on a beach",
    "green hills under clouds",
    "a city street at night",
    "birds in the open sky",
    "abstract shapes dancing",
)
_SECONDS = 8
_SIZE = (480, 272)
_CUT = (2.1, 6.2)


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to a clip: every frame goes through `picture`, then everything through an encoder."""

    picture: Callable[[Picture], Picture]
    crf: int = 28
    audio_bitrate: int = 96_000
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip in memory: its frames, its sound, and the prints that would be kept of it."""

    name: str
    pictures: list[Picture]
    fps: Fraction
    sound: Sound
    rate: int


@dataclass(frozen=True, slots=True)
class Row:
    """Of one change and one half of the clips: the least own score, the greatest of a stranger, how many found."""

    change: str
    track: str
    half: str
    own: float
    stranger: float
    found: int
    of: int
    mistaken: int


def _halved(rgb: Picture) -> Picture:
    return np.asarray(cv2.resize(rgb, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)


def _letterboxed(rgb: Picture) -> Picture:
    bar = rgb.shape[0] // 6
    return np.asarray(cv2.copyMakeBorder(rgb, bar, bar, 0, 0, cv2.BORDER_CONSTANT), np.uint8)


def _cropped(share: float) -> Callable[[Picture], Picture]:
    def crop(rgb: Picture) -> Picture:
        top, left = (round(share * side) for side in rgb.shape[:2])
        return rgb[top : rgb.shape[0] - top, left : rgb.shape[1] - left]

    return crop


def _captioned(rgb: Picture) -> Picture:
    height, width = rgb.shape[:2]
    out = rgb.copy()
    cv2.rectangle(out, (width - width // 6, 0), (width, height // 8), (200, 0, 0), -1)
    at = (width // 10, round(height * 0.93))
    cv2.putText(out, "late news", at, cv2.FONT_HERSHEY_SIMPLEX, height / 300, (255, 255, 255), 2)
    return out


def _mirrored(rgb: Picture) -> Picture:
    return rgb[:, ::-1]


CHANGES = {
    "CRF 28, AAC 96k": Change(lambda rgb: rgb),
    "and half size": Change(_halved),
    "CRF 38, half size, AAC 64k": Change(_halved, crf=38, audio_bitrate=64_000),
    "letterboxed": Change(_letterboxed),
    "mirrored": Change(_mirrored),
    "3 % cut off every side": Change(_cropped(0.03)),
    "8 % cut off every side": Change(_cropped(0.08)),
    "12 % cut off every side": Change(_cropped(0.12)),
    "5 % cut off the left": Change(lambda rgb: rgb[:, round(rgb.shape[1] * 0.05) :]),
    "8 % cut off the bottom, 5 % off the right": Change(
        lambda rgb: rgb[: round(rgb.shape[0] * 0.92), : round(rgb.shape[1] * 0.95)]
    ),
    "caption and logo": Change(_captioned),
    "four seconds cut out": Change(lambda rgb: rgb, cut=True),
}


def run(
    folder: Path,
    *,
    clips: Path | None,
    seeds: int,
    scenes: Sequence[str] = SCENES,
    changes: Mapping[str, Change] = CHANGES,
) -> list[Row]:
    """Compare every change of every clip with every original."""
    originals = list(_rendered(folder, seeds, scenes))
    originals += [_filmed(path) for path in sorted(clips.glob("*.mp4"))] if clips else []
    kept = [_stored(_printed(clip, CHANGES["CRF 28, AAC 96k"], folder, crf=18)) for clip in originals]
    rows = []
    for name, change in changes.items():
        queries = [_printed(clip, change, folder) for clip in originals]
        rows += [row for half in (0, 1) for row in _rows(name, half, queries, kept)]
    return rows


Prints = tuple[VideoPrint, AudioPrint]


def _rows(change: str, half: int, queries: list[Prints], kept: list[Prints]) -> Iterator[Row]:
    asked = range(half, len(queries), 2)
    for track, of in (("picture", 0), ("sound", 1)):
        similar = video.similarity if of == 0 else audio.similarity
        able = [n for n in range(len(kept)) if kept[n][of].speaks]
        matches = {
            (n, m): similar(queries[n][of], kept[m][of])  # type: ignore[arg-type]  # both of one track
            for n in asked
            for m in able
            if n in able
        }
        own = [match for (n, m), match in matches.items() if n == m]
        strangers = [match for (n, m), match in matches.items() if n != m]
        yield Row(
            change=change,
            track=track,
            half="test" if half else "tuning",
            own=min(match.score for match in own),
            stranger=max(match.score for match in strangers),
            found=sum(match.found for match in own),
            of=len(own),
            mistaken=sum(match.found for match in strangers),
        )


def _rendered(folder: Path, seeds: int, scenes: Sequence[str]) -> Iterator[Clip]:
    engine = open_engine("sandbox", folder)
    for seed in range(seeds):
        for prompt in scenes:
            width, height = _SIZE
            shot = Shot(prompt=prompt, seconds=_SECONDS, width=width, height=height, fps=24, seed=seed)
            path = engine.render(snap(shot, engine.limits), folder / "scene.mkv", lambda _fraction: None).path
            yield _filmed(path, f"{prompt} {seed}")


def _filmed(path: Path, name: str = "") -> Clip:
    """Take at most eight seconds of a clip, at a size that is quick to work with."""
    tracks = probe(path)
    assert tracks.video is not None
    pictures = []
    for frame in frames(path):
        if frame.time >= _SECONDS:
            break
        pictures.append(np.asarray(cv2.resize(frame.rgb, _SIZE, interpolation=cv2.INTER_AREA), np.uint8))
    rate = tracks.audio.rate if tracks.audio else 48_000
    sound = whole_sound(path)[: _SECONDS * rate]
    if not len(sound):
        sound = np.zeros((_SECONDS * rate, 1), np.float32)
    return Clip(name or path.stem, pictures, tracks.video.fps, sound, rate)


def _printed(clip: Clip, change: Change, folder: Path, *, crf: int | None = None) -> Prints:
    first, last = _CUT if change.cut else (0.0, float(_SECONDS))
    shown = [change.picture(rgb) for rgb in clip.pictures[round(first * clip.fps) : round(last * clip.fps)]]
    height, width = shown[0].shape[:2]
    path = folder / "changed.mp4"
    with Delivery(
        path,
        width=width,
        height=height,
        fps=clip.fps,
        rate=clip.rate,
        channels=clip.sound.shape[1],
        crf=crf or change.crf,
        preset="veryfast",
        audio_bitrate=change.audio_bitrate,
    ) as out:
        out.sound(clip.sound[round(first * clip.rate) : round(last * clip.rate)])
        for rgb in shown:
            out.frame(np.ascontiguousarray(rgb))
    seen = perceive(path, ())
    return video.decode(bytes.fromhex(seen.video_print)), audio.decode(bytes.fromhex(seen.audio_print))


def _stored(prints: Prints) -> Prints:
    return prints[0].stored(), prints[1]


def report(rows: list[Row]) -> str:
    """Write what was measured as a table."""
    lines = [
        "| change | track | half | least own score | greatest stranger's | found | mistaken |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.change} | {row.track} | {row.half} | {row.own:.2f} | {row.stranger:.2f} "
        f"| {row.found}/{row.of} | {row.mistaken} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure at full size, on the folder's clips too if one is named, and print the table."""
    clips = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as name:
        rows = run(Path(name), clips=clips, seeds=4)
    sys.stdout.write(report(rows) + "\n")


if __name__ == "__main__":
    main()
