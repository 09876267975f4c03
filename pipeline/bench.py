"""What the gate costs: every step after generation, as a ratio to one x264 `medium` encode of the same frames.

`python -m pipeline.bench` renders a 16 s 1280x720 24 fps clip with sound, a face and a voice in the sandbox
engine, takes it through the gate with warm models, then encodes the same frames once, from memory, in the
same run. Ratios travel between machines; seconds do not.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import psutil

from core.clock import milliseconds
from core.media.read import frames
from core.media.write import Delivery, Mezzanine
from core.settings import Settings
from core.state import FINAL, State
from core.store import job as find_job
from core.tables import Job, Partner
from generation.engines.persona import Persona, portrait, speak
from pipeline.assemble import assemble
from pipeline.intake import Ask, submit, upload
from pipeline.run import advance
from pipeline.tools import Tools

_PARTNER = "bench"
_GATE = (State.GENERATED, State.CLEARED, State.MARKED, State.SIGNED, State.RECORDED)
_NAMES = {
    State.GENERATED: "screen",
    State.CLEARED: "mark and deliver",
    State.MARKED: "sign",
    State.SIGNED: "record",
    State.RECORDED: "verify and release",
}
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the wall, CPU seconds of this process and its children, and their peak memory in MiB.

    Memory is the proportional set size: a page that two processes share is counted once.
    """

    wall: float
    cpu: float
    peak_mib: float


@contextmanager
def _measured(into: dict[str, Cost], name: str) -> Iterator[None]:
    tree = _Tree()
    start, before = time.perf_counter(), tree.cpu()
    with tree.watched():
        yield
    into[name] = Cost(time.perf_counter() - start, tree.cpu() - before, tree.peak / _MIB)


class _Tree:
    """This process and its children, watched from a thread."""

    def __init__(self) -> None:
        self.me = psutil.Process()
        self.peak = 0

    def _all(self) -> list[psutil.Process]:
        return [self.me, *self.me.children(recursive=True)]

    def cpu(self) -> float:
        """Sum the CPU seconds of the processes alive now and the children that ended."""
        times = [process.cpu_times() for process in self._all()]
        ended = times[0].children_user + times[0].children_system
        return float(sum(spent.user + spent.system for spent in times) + ended)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note the largest sum of memory."""
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(0.1):
            try:
                self.peak = max(self.peak, sum(process.memory_full_info().pss for process in self._all()))
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue


def run(folder: Path, *, seconds: float = 16.0, width: int = 1280, height: int = 720) -> dict[str, Cost]:
    """Measure each step of the gate and the peer encode."""
    tools = _opened(folder)
    references = _references(tools, folder)
    _through(
        tools,
        Ask(prompt="Waves at dawn", seconds=5.5, width=320, height=240, seed=1, references=references),
        {},
    )
    costs: dict[str, Cost] = {}
    ask = Ask(
        prompt="A harbour at dusk", seconds=seconds, width=width, height=height, seed=2, references=references
    )
    job = _through(tools, ask, costs)
    if job.state != State.RELEASED:
        raise SystemExit(f"the clip was not released: {job.state} {job.problem or ''}")
    costs["x264 medium"] = _peer(tools, job, folder)
    tools.store.close()
    return costs


def _opened(folder: Path) -> Tools:
    tools = assemble(Settings(data_dir=folder / "data"))
    with tools.store.session() as session:
        session.add(Partner(id=_PARTNER, name=_PARTNER, created_ms=milliseconds(tools.clock.now())))
        session.commit()
    return tools


def _references(tools: Tools, folder: Path) -> tuple[str, ...]:
    person = Persona(11)
    face, voice = folder / "face.png", folder / "voice.mkv"
    cv2.imwrite(str(face), cv2.cvtColor(portrait(person, size=512), cv2.COLOR_RGB2BGR))
    with Mezzanine(voice, rate=16_000, channels=1) as writer:
        writer.sound(speak(person, 1, 6.0))
    rows = [
        upload(tools, _PARTNER, "picture", face, "image/png"),
        upload(tools, _PARTNER, "voice", voice, "audio/x-matroska"),
    ]
    names = tuple(row.id for row in rows)
    with tools.store.session() as session:
        session.add_all(rows)
        session.commit()
    return names


def _through(tools: Tools, ask: Ask, costs: dict[str, Cost]) -> Job:
    with tools.store.session() as session:
        job, _ = submit(session, tools, _PARTNER, ask)
        session.commit()
    while True:
        with tools.store.reading() as session:
            job = find_job(session, job.id)
        state = State(job.state)
        if state in FINAL or state is State.HELD or job.problem:
            return job
        with _measured(costs, _NAMES.get(state, str(state))):
            advance(tools, "bench", job.id)


def _peer(tools: Tools, job: Job, folder: Path) -> Cost:
    """Encode the same frames once with x264 `medium`, from memory: no decoding, no marking, no sound."""
    pictures = [frame.rgb for frame in frames(tools.blobs.path("private", str(job.mezzanine)))]
    height, width = pictures[0].shape[:2]
    costs: dict[str, Cost] = {}
    with (
        _measured(costs, "peer"),
        Delivery(
            folder / "peer.mp4", width=width, height=height, fps=24, crf=tools.settings.delivery_crf
        ) as writer,
    ):
        for rgb in pictures:
            writer.frame(rgb)
    return costs["peer"]


def report(costs: dict[str, Cost]) -> str:
    """Write the table that stands in the README."""
    peer = costs["x264 medium"]
    gate = [costs[_NAMES[state]] for state in _GATE]
    whole = Cost(sum(c.wall for c in gate), sum(c.cpu for c in gate), max(c.peak_mib for c in gate))
    rows = [(_NAMES[state], costs[_NAMES[state]]) for state in _GATE] + [("**the whole gate**", whole)]
    lines = ["| step | wall | CPU | peak memory |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {cost.wall / peer.wall:.2f} | {cost.cpu / peer.cpu:.2f} | {cost.peak_mib / 1024:.2f} GiB |"
        for name, cost in rows
    ]
    lines.append(f"\none x264 medium encode here: {peer.wall:.1f} s on the wall, {peer.cpu:.1f} s of CPU")
    return "\n".join(lines)


def main() -> None:
    """Run the bench and print its table."""
    with tempfile.TemporaryDirectory() as name:
        costs = run(Path(name))
    sys.stdout.write(report(costs) + "\n")


if __name__ == "__main__":
    main()
