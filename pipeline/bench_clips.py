"""Lay out clips for suites that take a folder: `python -m pipeline.bench_clips INTO [FOLDER of filmed clips]`.

INTO/engine gets scenes of the sandbox engine with their sounds, every one under another seed, and INTO/filmed
copies of the clips of the folder: suites may not ask an engine themselves.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from core.media.clip import Clip
from core.media.read import frames, whole_sound
from core.media.write import Delivery
from core.shot import Shot
from generation.engines import open_engine
from generation.grid import snap
from pipeline.bench_prints import SCENES

_COUNT, _SECONDS, _SIZE, _FPS, _CRF = 70, 6.0, (480, 360), 12, 12


def lay_out(into: Path, filmed: Path | None, count: int = _COUNT) -> None:
    """Render `count` scenes of 6 s, 480x360, nearly lossless, and copy the MP4 files of `filmed`."""
    for name in ("engine", "filmed"):
        (into / name).mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        _render(seed, into / "engine" / f"{seed:03d}.mp4")
    for path in sorted(filmed.rglob("*.mp4")) if filmed else ():
        shutil.copyfile(path, into / "filmed" / path.name)


def _render(seed: int, into: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        engine = open_engine("sandbox", Path(name))
        width, height = _SIZE
        shot = Shot(
            prompt=SCENES[seed % len(SCENES)],
            seconds=_SECONDS,
            width=width,
            height=height,
            fps=_FPS,
            seed=seed,
        )
        _deliver(engine.render(snap(shot, engine.limits), Path(name) / "clip.mkv", lambda _done: None), into)


def _deliver(clip: Clip, into: Path) -> None:
    with Delivery.like(into, clip, crf=_CRF, preset="veryfast") as out:
        out.sound(whole_sound(clip.path))
        for frame in frames(clip.path):
            out.frame(frame.rgb)


def main() -> None:
    """Lay out what the command line names."""
    if len(sys.argv) not in (2, 3):
        raise SystemExit("usage: python -m pipeline.bench_clips INTO [FOLDER]")
    lay_out(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)


if __name__ == "__main__":
    main()
