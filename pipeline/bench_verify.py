"""What verifying costs, as a ratio to decoding the same file once: `python -m pipeline.bench_verify`.

A 16 s 1280x720 clip of the sandbox engine, marked and signed, is decoded whole and verified with all layers in
turn, in the same process and run. Ratios travel between machines; seconds do not.
"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from audits.preemptive.specimens import CLAIM, Shelf, proven
from core.clock import SystemClock
from core.media.read import greys, sound
from core.models import file_sha256
from core.shot import Shot
from generation.engines import open_engine
from generation.grid import snap
from provenance.fingerprint import audio, video
from provenance.keys import SigningKeys, dev_keys
from provenance.labels import NO_LABELS
from provenance.manifest import sign
from provenance.mark import mark
from provenance.marks import MarkKey
from provenance.readings import Record
from provenance.verify import verify

_ROUNDS = 7
_ALL_FRAMES = 1e6


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the wall and of CPU, the median of the rounds."""

    wall: float
    cpu: float


def run(folder: Path, *, seconds: float = 16.0, width: int = 1280, height: int = 720) -> tuple[Cost, Cost]:
    """Give what decoding and what verifying costs, measured in turn."""
    keys, key = dev_keys(folder / "keys", SystemClock()), MarkKey("bench", bytes(range(32)))
    path, record = _released(folder, keys, key, (seconds, width, height))

    def verified() -> None:
        report = verify(
            path,
            roots_pem=keys.claim_roots_pem,
            mark_keys=(key,),
            records=Shelf((record,)),
            prove=proven,
        )
        if report.verdict != "verified":
            raise SystemExit(f"the clip is not verified: {' '.join(report.reasons)}")

    def decoded() -> None:
        for _ in greys(path, per_second=_ALL_FRAMES):
            pass
        for _ in sound(path):
            pass

    decoded()
    verified()
    rounds = [(_measured(decoded), _measured(verified)) for _ in range(_ROUNDS)]
    return _median([one for one, _ in rounds]), _median([one for _, one in rounds])


def _released(
    folder: Path, keys: SigningKeys, key: MarkKey, measures: tuple[float, int, int]
) -> tuple[Path, Record]:
    seconds, width, height = measures
    engine = open_engine("sandbox", folder)
    shot = Shot(prompt="A harbour at dusk", seconds=seconds, width=width, height=height, fps=24, seed=2)
    made = engine.render(snap(shot, engine.limits), folder / "clip.mkv", lambda _done: None)
    marked = mark(made, folder / "marked.mp4", CLAIM.payload, key, NO_LABELS)
    path = folder / "signed.mp4"
    claim = replace(CLAIM, mime="video/mp4", record="bench", video=marked.video, audio=marked.audio)
    label = sign(marked.clip.path, path, claim, keys).label
    return path, Record(
        id="bench",
        payload=claim.payload,
        manifest_label=label,
        released_at=claim.when,
        withdrawn=False,
        seconds=marked.clip.seconds,
        video=marked.video,
        audio=marked.audio,
        log_index=0,
        digest=file_sha256(path),
        video_print=video.decode(marked.prints[video.ALG]),
        audio_print=audio.decode(marked.prints[audio.ALG]),
    )


def _measured(work: Callable[[], None]) -> Cost:
    start, before = time.perf_counter(), _cpu()
    work()
    return Cost(time.perf_counter() - start, _cpu() - before)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(one.wall for one in costs), statistics.median(one.cpu for one in costs))


def report(decoding: Cost, verifying: Cost) -> str:
    """Write the line that stands in the README."""
    wall, cpu = verifying.wall / decoding.wall, verifying.cpu / decoding.cpu
    return (
        f"verify, all layers: {wall:.2f} of decoding on the wall, {cpu:.2f} in CPU\n"
        f"decoding once here: {decoding.wall:.2f} s on the wall, {decoding.cpu:.2f} s of CPU; {_ROUNDS} rounds in turn"
    )


def main() -> None:
    """Run the bench and print its result."""
    with tempfile.TemporaryDirectory() as name:
        sys.stdout.write(report(*run(Path(name))) + "\n")


if __name__ == "__main__":
    main()
