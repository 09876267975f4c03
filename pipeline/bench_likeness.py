"""What looking for faces costs, as a ratio to decoding the clip once: `python -m pipeline.bench_likeness`.

A 16 s 1280x720 24 fps scene of the sandbox engine in which two people who are nobody move and turn their heads, one of
them protected, is screened against a gallery of a hundred, and decoded whole, in turn, in one process on one
thread. Screening reads the lossless frames; decoding is of the clip as it is delivered. Ratios travel between
machines; seconds do not.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from core.media.clip import Picture
from core.media.probe import probe
from core.media.read import frames, greys
from core.media.write import Delivery, Mezzanine
from core.settings import Settings
from generation.engines import scenery
from generation.engines.persona import Persona, portrait
from safety.gallery import Template
from safety.likeness import Likeness, build, sampling
from safety.likeness.recogniser import Vectors, unit

_ROUNDS = 5
_FPS = 24
_PEOPLE = (Persona(11), Persona(3))
_STRANGERS = 99
_CRF = 18
_ALL_FRAMES = 1e6


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds of decoding the delivered clip, of reading the sampled lossless frames, and of all screening."""

    decoding: float
    screening: float
    reading: float
    found: int


def run(folder: Path, *, seconds: int = 16, width: int = 1280, height: int = 720, poses: int = 8) -> Costs:
    """Film, screen and decode; the median of rounds in turn."""
    lossless, delivered = film(folder, seconds, (width, height), poses)
    models = Settings().models_dir
    build(models)
    likeness, clip = Likeness.load(models, threads=1), probe(lossless)
    gallery = _gallery(likeness, folder)
    screening, screened = likeness.screen(clip, gallery), _looked_at(lossless)
    rounds = [
        (
            _cpu(lambda: _decode(delivered)),
            _cpu(lambda: likeness.screen(clip, gallery)),
            _cpu(lambda: _read(lossless, screened)),
        )
        for _ in range(_ROUNDS)
    ]
    decoding, screened, reading = (statistics.median(column) for column in zip(*rounds, strict=True))
    return Costs(decoding, screened, reading, screening.tracks)


def film(folder: Path, seconds: int, size: tuple[int, int], poses: int) -> tuple[Path, Path]:
    """Make the lossless clip and its delivery encode, unless they are there."""
    lossless, delivered = folder / "clip.mkv", folder / "clip.mp4"
    if not delivered.is_file():
        width, height = size
        with (
            Mezzanine(lossless, width=width, height=height, fps=_FPS) as master,
            Delivery(delivered, width=width, height=height, fps=_FPS, crf=_CRF) as copy,
        ):
            for frame in _frames(seconds * _FPS, size, poses):
                master.frame(frame)
                copy.frame(frame)
    return lossless, delivered


def _frames(count: int, size: tuple[int, int], poses: int) -> Iterator[Picture]:
    width, height = size
    side = round(0.36 * height)
    turns = np.linspace(-18, 18, poses).tolist()
    looks = [[portrait(person, size=side, yaw=yaw) for yaw in turns] for person in _PEOPLE]
    for index, frame in enumerate(scenery.scene("A harbour at dusk", 2, width, height, count, _FPS)):
        for number, (person, place) in enumerate(zip(looks, (0.12, 0.62), strict=True)):
            swing = 0.5 + 0.5 * np.sin(index / _FPS * (0.7 + 0.2 * number))
            shown = person[round(swing * (poses - 1))]
            left, top = round(width * (place + 0.04 * swing)), round(height * (0.25 + 0.1 * swing))
            frame[top : top + side, left : left + side] = shown
        yield frame


def _gallery(likeness: Likeness, folder: Path) -> list[Template]:
    picture = folder / "face.png"
    cv2.imwrite(str(picture), cv2.cvtColor(portrait(_PEOPLE[0], size=256, yaw=5), cv2.COLOR_RGB2BGR))
    vectors = likeness.enrol([picture]).vectors
    crowd: Vectors = (
        np.random.default_rng(1).standard_normal((_STRANGERS, vectors.shape[1])).astype(np.float32)
    )
    people = chain([vectors], np.split(unit(crowd), _STRANGERS))
    return [Template(f"person-{number}", one) for number, one in enumerate(people)]


def _looked_at(lossless: Path) -> frozenset[int]:
    clip = probe(lossless)
    assert clip.video is not None
    return sampling.sampled(clip.video) | sampling.changes(sampling.packet_sizes(lossless), clip.seconds)


def _read(path: Path, wanted: frozenset[int]) -> None:
    for _ in frames(path, want=wanted.__contains__):
        pass


def _decode(path: Path) -> None:
    for _ in greys(path, per_second=_ALL_FRAMES):
        pass


def _cpu(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def report(costs: Costs) -> str:
    """Write the lines that stand in the README."""
    looking, read = (costs.screening - costs.reading) / costs.decoding, costs.reading / costs.decoding
    return (
        f"looking at two faces: {looking:.2f} of decoding the delivered clip once, in CPU, on one thread;"
        f" reading the lossless frames first: {read:.2f} more\n"
        f"decoding once here: {costs.decoding:.2f} s of CPU; {_ROUNDS} rounds in turn; {costs.found} tracks"
    )


def main() -> None:
    """Run the bench and print its result."""
    with tempfile.TemporaryDirectory() as name:
        sys.stdout.write(report(run(Path(name))) + "\n")


if __name__ == "__main__":
    main()
