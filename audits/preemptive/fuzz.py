"""Show the verifier broken files by the thousand: it must answer each of them, quickly, in little memory, and
look at nothing but the file.

Files are read in child processes. A child that dies or is too slow costs its batch, which is then read file by
file to find the one that did it; that file is kept for whoever mends the reader.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path

from pebble import ProcessExpired, ProcessPool

from audits.preemptive.anatomy import dissect
from audits.preemptive.mutate import Lure, mutated
from audits.preemptive.result import Row, counted
from audits.preemptive.specimens import Shelf, Specimen, proven, tiny
from provenance.manifest import ManifestReading
from provenance.marks import MarkKey
from provenance.verify import conclude, examine

_BATCH = 50
_SLOW_SECONDS = 10.0
"""Of CPU: what else runs on the machine must not decide."""
_HANGING_SECONDS = 60.0
"""On the wall: a reader may also wait for something that never comes."""
_ASK_MARKS = 400
"""Of so many files one is also searched for a mark, which takes a hundred times as long as the rest."""
_ADDRESS_SPACE = 4 << 30
_MOST_MIB = 1024


_KEY = MarkKey("suite", bytes(range(32)))


@dataclass(slots=True)
class Tally:
    """What became of some files: verdicts, how many were falsely `verified`, the slowest, the peak memory.

    `first` names a file for each error; `slowest` are seconds of CPU, `longest` seconds on the wall; each with the number of its file.
    """

    verdicts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)
    false: int = 0
    slowest: tuple[float, int] = (0.0, 0)
    longest: tuple[float, int] = (0.0, 0)
    peak_mib: tuple[int, int] = (0, 0)

    def add(self, other: Tally) -> None:
        """Add what became of other files."""
        self.verdicts.update(other.verdicts)
        self.errors.update(other.errors)
        self.first = other.first | self.first
        self.false += other.false
        self.slowest = max(self.slowest, other.slowest)
        self.longest = max(self.longest, other.longest)
        self.peak_mib = max(self.peak_mib, other.peak_mib)


@dataclass(frozen=True, slots=True)
class Task:
    """Everything a child needs to make and read the files from number `first` on."""

    folder: Path
    specimens: tuple[Specimen, ...]
    roots_pem: str
    lure: Lure
    seed: int
    first: int
    count: int


Read = Callable[[Task], Tally]


def fuzz(seed: int, *, quick: bool, data: Path | None) -> tuple[Row, ...]:
    """Read 100,000 broken files (quick: 300); `data` is not used."""
    del data
    total = 300 if quick else 100_000
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as server:
        folder = Path(name)
        specimens, keys = tiny(folder, seed)
        canary = _canary(folder)
        lure = Lure(str(canary), f"http://127.0.0.1:{server.getsockname()[1]}/manifest")
        whole = Task(folder, tuple(specimens), keys.claim_roots_pem, lure, seed, 0, total)
        tally, dead, slow = run(read, whole)
        escapes = int(_was_read(canary)) + int(_was_called(server))
    return (
        counted("files with a verdict", sum(tally.verdicts.values()), total, reach=1.0),
        counted("files that killed their reader", dead, total, reach=0.0, better="low"),
        counted("files that kept their reader for a minute", slow, total, reach=0.0, better="low"),
        counted("files verified though they say something else", tally.false, total, reach=0.0, better="low"),
        counted("readers that followed a reference", escapes, total, reach=0.0, better="low"),
        _bounded("peak memory of a reader, MiB", *tally.peak_mib, _MOST_MIB),
        _bounded("slowest file, s of CPU", *tally.slowest, _SLOW_SECONDS),
        _bounded("slowest file, s on the wall", *tally.longest, _HANGING_SECONDS),
        *(_told_apart("verdict", name, files) for name, files in sorted(tally.verdicts.items())),
        *(
            {**_told_apart("error", name, files), "file": tally.first[name]}
            for name, files in sorted(tally.errors.items())
        ),
    )


def _told_apart(kind: str, name: str, files: int) -> Row:
    return {kind: name, "files": files, "passed": kind == "verdict"}


def _bounded(case: str, measured: float, number: int, limit: float) -> Row:
    return {
        "case": case,
        "measured": round(measured, 1),
        "file": number,
        "limit": limit,
        "passed": measured <= limit,
    }


def run(read_batch: Read, whole: Task, *, workers: int = 2) -> tuple[Tally, int, int]:
    """Read every file of a task in children; give the tally and how many files killed or kept their reader."""
    tally, dead, slow = Tally(), 0, 0
    with ProcessPool(workers, context=multiprocessing.get_context("spawn"), initializer=_limited) as pool:
        for task, outcome in _outcomes(pool, read_batch, _cut(whole, _BATCH)):
            if isinstance(outcome, Tally):
                tally.add(outcome)
                continue
            for single, alone in _outcomes(pool, read_batch, _cut(task, 1)):
                if isinstance(alone, Tally):
                    tally.add(alone)
                    continue
                dead, slow = dead + (alone == "dead"), slow + (alone == "slow")
                _keep(single)
    return tally, dead, slow


def _cut(task: Task, size: int) -> Iterator[Task]:
    for first in range(task.first, task.first + task.count, size):
        count = min(size, task.first + task.count - first)
        yield Task(task.folder, task.specimens, task.roots_pem, task.lure, task.seed, first, count)


def _outcomes(
    pool: ProcessPool, read_batch: Read, tasks: Iterator[Task]
) -> Iterator[tuple[Task, Tally | str]]:
    waiting: list[tuple[Task, Future[Tally]]] = [
        (task, pool.schedule(read_batch, args=(task,), timeout=_HANGING_SECONDS + task.count))
        for task in tasks
    ]
    for task, future in waiting:
        try:
            yield task, future.result()
        except FutureTimeout:
            yield task, "slow"
        except ProcessExpired:
            yield task, "dead"


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders complain at length


def read(task: Task) -> Tally:
    """Make and read a batch of files, in a child."""
    seeds = [specimen.path.read_bytes() for specimen in task.specimens]
    anatomies = [dissect(content) for content in seeds]
    shelf = Shelf(tuple(specimen.record() for specimen in task.specimens))
    told = [
        _told(examine(one.path, roots_pem=task.roots_pem, mark_keys=()).manifest) for one in task.specimens
    ]
    tally = Tally()
    for number in range(task.first, task.first + task.count):
        dice = random.Random(f"{task.seed} {number}")
        kind = dice.randrange(len(seeds))
        path = task.folder / f"{os.getpid()}.bin"
        path.write_bytes(mutated(dice, seeds[kind], anatomies[kind], seeds, task.lure))
        _forget_peak()
        start, before = time.perf_counter(), time.process_time()
        try:
            keys = () if number % _ASK_MARKS else (_KEY,)
            examination = examine(path, roots_pem=task.roots_pem, mark_keys=keys)
            verdict = conclude(examination, shelf, proven).verdict
            tally.verdicts[verdict] += 1
            tally.false += verdict == "verified" and _told(examination.manifest) not in told
        except Exception as error:  # noqa: BLE001  # whatever leaks out is a finding
            what = f"{type(error).__name__}: {error}"[:120]
            tally.errors[what] += 1
            tally.first.setdefault(what, number)
        tally.slowest = max(tally.slowest, (time.process_time() - before, number))
        tally.longest = max(tally.longest, (time.perf_counter() - start, number))
        tally.peak_mib = max(tally.peak_mib, (_peak_mib(), number))
    return tally


def _forget_peak() -> None:
    """Begin to measure the peak memory anew, so that it is that of one file (Linux, proc(5))."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_mib() -> int:
    """Read the most memory this process has held; `getrusage` would tell the parent's, when that was more."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


def _told(manifest: ManifestReading) -> tuple[object, ...]:
    return manifest.label, manifest.soft_bindings, manifest.generator, manifest.actions, manifest.ingredients


def _keep(task: Task) -> None:
    """Keep a file that killed its reader where the next person finds it."""
    seeds = [specimen.path.read_bytes() for specimen in task.specimens]
    dice = random.Random(f"{task.seed} {task.first}")
    kind = dice.randrange(len(seeds))
    content = mutated(dice, seeds[kind], dissect(seeds[kind]), seeds, task.lure)
    suffix = task.specimens[kind].path.suffix
    handle, _ = tempfile.mkstemp(prefix=f"greenlight-fuzz-{task.seed}-{task.first}-", suffix=suffix)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def _canary(folder: Path) -> Path:
    """Lay out a file whose time of access tells when somebody has read it."""
    path = folder / "canary.txt"
    path.write_text("nobody reads this")
    now = time.time()
    os.utime(path, (now - 7200, now))
    return path


def _was_read(canary: Path) -> bool:
    return canary.stat().st_atime > canary.stat().st_mtime - 3600


def _was_called(server: socket.socket) -> bool:
    server.setblocking(False)
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True
