"""What it costs to resolve a soft binding among many: `python -m pipeline.bench_binding`.

Fills a SQLite database in a temporary folder with a million released clips, a hundred thousand of them with
fingerprints, and asks it the way the web API does. The prints are those of rendered clips, each turned into
many by flipping the same random bits in all of its words: distances within a clip stay what they are.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from core.shot import Shot
from core.state import State
from core.store import Store, open_store
from core.tables import Fingerprint, Job, Manifest, Partner, SoftBinding
from generation.engines import open_engine
from generation.grid import snap
from pipeline.finder import Finder
from pipeline.matching import Binding, Found, Matcher
from provenance.fingerprint import audio, video
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import VideoPrint
from provenance.manifest import AUDIO_ALG, VIDEO_ALG, binding_value
from provenance.perceive import perceive
from provenance.readings import Perception

SCENES = ("waves on a beach", "a city street at night", "birds in the open sky")
_STORE = b"\0" * 14_000
_BATCH = 5000


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds for one question: the middle one, the slowest of a hundred, and how many found their clip.

    `cpu` is the middle one's on the processor: on a busy machine it is the truer figure.
    """

    median: float
    p99: float
    cpu: float
    cpu_p99: float
    found: float


def run(
    folder: Path, *, clips: int, manifests: int, questions: int = 2000, seconds: float = 16.0
) -> dict[str, Cost | float]:
    """Fill a database in `folder` and measure `byBinding` and `byContent`."""
    seen = [perceive(path, ()) for path in _rendered(folder, seconds)]
    store = open_store(f"sqlite:///{folder / 'bench.db'}")
    _fill(store, manifests, list(_prints(seen, clips)))
    matcher = Matcher(store, Finder(store), lambda path: seen[int(path.name)])
    rng = np.random.default_rng(2)
    costs: dict[str, Cost | float] = {}
    asked = [int(number) for number in rng.integers(0, manifests, questions)]
    costs["byBinding"] = _timed(
        asked,
        lambda n: matcher.by_binding(Binding(AUDIO_ALG, binding_value(n)), 10),
        lambda n: f"urn:{n}",
    )
    start = time.perf_counter()
    matcher.by_content(Path("0"), 10)
    costs["filling the index"] = time.perf_counter() - start
    # the rendered clips themselves are the first of the many
    costs["byContent"] = _timed(
        [number % len(seen) for number in range(12)],
        lambda n: matcher.by_content(Path(str(n)), 10),
        lambda n: f"urn:{n}",
    )
    store.close()
    return costs


def _rendered(folder: Path, seconds: float) -> Iterator[Path]:
    engine = open_engine("sandbox", folder)
    for seed, prompt in enumerate(SCENES):
        shot = snap(
            Shot(prompt=prompt, seconds=seconds, width=320, height=180, fps=24, seed=seed), engine.limits
        )
        yield engine.render(shot, folder / f"{seed}.mkv", lambda _fraction: None).path


def _prints(seen: list[Perception], count: int) -> Iterator[tuple[bytes, bytes]]:
    """Give the stored prints of `count` clips, the first ones as they were rendered."""
    pictures = [video.decode(bytes.fromhex(one.video_print)).stored() for one in seen]
    sounds = [audio.decode(bytes.fromhex(one.audio_print)) for one in seen]
    rng = np.random.default_rng(1)
    for number in range(count):
        picture, sound = pictures[number % len(seen)], sounds[number % len(seen)]
        if number >= len(seen):
            turned = picture.words ^ rng.integers(0, 2**64, 4, dtype=np.uint64)
            picture = VideoPrint(picture.times, turned, picture.quality)
            sound = AudioPrint(sound.words ^ np.uint32(rng.integers(0, 2**32)))
        yield video.encode(picture), audio.encode(sound)


def _fill(store: Store, count: int, prints: list[tuple[bytes, bytes]]) -> None:
    with store.session() as session:
        session.add(Partner(id="bench", name="bench", created_ms=0))
        session.commit()
        for first in range(0, count, _BATCH):
            numbers = range(first, min(first + _BATCH, count))
            session.execute(sa.insert(Job), [_job(n) for n in numbers])
            session.execute(
                sa.insert(Manifest),
                [
                    {"label": f"urn:{n}", "job": str(n), "store": _STORE[: 64 + n % 64], "at_ms": 0}
                    for n in numbers
                ],
            )
            session.execute(
                sa.insert(SoftBinding),
                [
                    {"alg": alg, "value": binding_value(n), "job": str(n)}
                    for n in numbers
                    for alg in (VIDEO_ALG, AUDIO_ALG)
                ],
            )
            kept = [
                {"job": str(n), "alg": alg, "data": data}
                for n in numbers
                if n < len(prints)
                for alg, data in zip((video.ALG, audio.ALG), prints[n], strict=True)
            ]
            if kept:
                session.execute(sa.insert(Fingerprint), kept)
            session.commit()


def _job(number: int) -> dict[str, object]:
    return {
        "id": str(number),
        "partner": "bench",
        "kind": "generation",
        "project": "",
        "territory": "",
        "prompt": "",
        "ask": {},
        "got": {},
        "state": str(State.RELEASED),
        "payload": f"{number:016x}",
        "created_ms": 0,
        "updated_ms": 0,
    }


def _timed(asked: list[int], ask: Callable[[int], list[Found]], label: Callable[[int], str]) -> Cost:
    times, hits = [], 0
    for one in asked:
        start, spent = time.perf_counter(), time.thread_time()
        found = ask(one)
        times.append((time.perf_counter() - start, time.thread_time() - spent))
        hits += bool(found) and found[0].label == label(one)
    (wall, cpu), (wall_p99, cpu_p99) = (np.quantile(times, share, axis=0).tolist() for share in (0.5, 0.99))
    return Cost(wall, wall_p99, cpu, cpu_p99, hits / len(asked))


def report(costs: dict[str, Cost | float], clips: int, manifests: int) -> str:
    """Write what was measured as a table."""
    lines = [
        "| question | among | median | p99 | CPU median | CPU p99 | found |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, among in (("byBinding", f"{manifests} manifests"), ("byContent", f"{clips} clips")):
        cost = costs[name]
        assert isinstance(cost, Cost)
        lines.append(
            f"| {name} | {among} | {1000 * cost.median:.1f} ms | {1000 * cost.p99:.1f} ms "
            f"| {1000 * cost.cpu:.1f} ms | {1000 * cost.cpu_p99:.1f} ms | {cost.found:.0%} |"
        )
    return "\n".join([*lines, "", f"filling the index in a new process: {costs['filling the index']:.1f} s"])


def main() -> None:
    """Measure at full size and print the table."""
    clips, manifests = 100_000, 1_000_000
    with tempfile.TemporaryDirectory() as name:
        costs = run(Path(name), clips=clips, manifests=manifests)
    sys.stdout.write(report(costs, clips, manifests) + "\n")


if __name__ == "__main__":
    main()
