"""What a big log costs an auditor: the full check, an inclusion proof from the tiles, its offline check.

Its checkpoint has the two signatures of a log (Ed25519 and ML-DSA-44) and a witness's ML-DSA-44 cosignature;
all three are checked, each time.

`python -m audits.bench_proofs [ENTRIES [WORKERS]]` builds a log of 10,000,000 deterministic entries of 150 to
500 bytes in a temporary folder (4 GB), then measures. Times are this machine's; memory is not.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from audits.log.check import check
from audits.log.format import (
    ML_DSA_44,
    TILE_WIDTH,
    Checkpoint,
    Tile,
    read_tile,
    render_bundle,
    render_hashes,
)
from audits.log.proof import prove, verify_proof
from audits.log.signing import LogKey, SigningKey
from audits.log.tree import leaf_hash, over_tiles, root, tile_at
from audits.log.trust import Policy
from core.errors import LogCorrupt

ENTRIES = 10_000_000
PROOFS = 2_000
_ORIGIN = "bench.invalid/log"
_KEY = LogKey(SigningKey(_ORIGIN, bytes(32)), SigningKey(_ORIGIN, bytes(32), ML_DSA_44))
_WITNESS = SigningKey("bench.invalid/witness", bytes(range(32)), ML_DSA_44)
_TRUST = Policy(_KEY.vkeys, (_WITNESS.vkey,), 1)
_NOW_S = 1_700_000_000
_PART = TILE_WIDTH * TILE_WIDTH


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds; on a busy machine the CPU time tells what the wall clock cannot."""

    median: float
    p99: float
    cpu_p99: float

    def __str__(self) -> str:
        return f"median {self.median:.2f} ms, p99 {self.p99:.2f} ms (CPU p99 {self.cpu_p99:.2f} ms)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds on the wall, CPU seconds and MiB of the check with all its processes, and of single proofs."""

    entries: int
    megabytes: int
    check_s: float
    check_cpu_s: float
    check_mib: int
    prove: Spread
    """With the tiles in the page cache of the system and not in ours."""
    verify: Spread


def build(folder: Path, size: int, workers: int) -> None:
    """Write the public files of a log of `size` entries; they are the same every time."""
    starts = range(0, size, _PART)
    with ProcessPoolExecutor(workers) as pool:
        rows = list(pool.map(partial(_write_part, folder, size), starts))
    level, row = 1, [hashed for part in rows for hashed in part]
    while row:
        # From here on a row of full tiles' roots is to its level what leaf hashes are to level 0.
        tiles = [row[at : at + TILE_WIDTH] for at in range(0, len(row), TILE_WIDTH)]
        for index, hashes in enumerate(tiles):
            _put(folder, Tile(level, index, len(hashes)), render_hashes(hashes))
        row = [root(hashes) for hashes in tiles if len(hashes) == TILE_WIDTH]
        level += 1
    top = over_tiles(size, partial(read_tile, folder))(0, size)
    text = Checkpoint(_ORIGIN, size, top).text
    note = _KEY.sign(text, _NOW_S) + _WITNESS.signature(text, _NOW_S).line
    (folder / "checkpoint").write_text(note, encoding="utf-8")


def entry(index: int) -> bytes:
    """Make an entry like an event's leaf: JSON of about 150 to 500 bytes."""
    digest = f"{index * 0x9E3779B97F4A7C15 % 2**256:064x}"
    padding = (digest * 6)[: index * 7919 % 330]
    return (
        f'{{"actor":"worker:bench","at_ms":{1_700_000_000_000 + index},"facts":{{"file":"{digest}"}},'
        f'"padding":"{padding}","tag":"clip:released","v":1}}'
    ).encode()


def _write_part(folder: Path, size: int, start: int) -> list[bytes]:
    """Write the bundles and tiles of up to 65,536 entries and give the roots of the full tiles."""
    roots = []
    for first in range(start, min(start + _PART, size), TILE_WIDTH):
        leaves = [entry(index) for index in range(first, min(first + TILE_WIDTH, size))]
        hashes = [leaf_hash(leaf) for leaf in leaves]
        tile = tile_at(size, 0, first // TILE_WIDTH)
        _put(folder, tile, render_hashes(hashes))
        _put(folder, replace(tile, level=None), render_bundle(leaves))
        if len(hashes) == TILE_WIDTH:
            roots.append(root(hashes))
    return roots


def _put(folder: Path, tile: Tile, data: bytes) -> None:
    path = folder / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def measure(folder: Path, size: int, workers: int) -> Figures:
    """Build a log and measure what it costs to check and to prove."""
    build(folder, size, workers)
    wall, cpu, mib = _checked(folder, workers)
    proving, verifying = _proven(folder, size)
    return Figures(
        entries=size,
        megabytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 10**6,
        check_s=round(wall, 1),
        check_cpu_s=round(cpu, 1),
        check_mib=mib,
        prove=proving,
        verify=verifying,
    )


def _checked(folder: Path, workers: int) -> tuple[float, float, int]:
    """Check the log in a process of its own: wall seconds, CPU seconds, MiB."""
    command = [sys.executable, "-m", "audits.bench_proofs", "--check", str(folder), str(workers)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # ourselves
    cpu, mib = done.stdout.split()
    return time.perf_counter() - start, float(cpu), int(mib)


def _check(folder: Path, workers: int) -> None:
    report = check(folder, _TRUST, workers=workers)
    if not report.ok:
        raise LogCorrupt(report.problems[0])
    mine, child = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(usage.ru_utime + usage.ru_stime for usage in (mine, child))
    # The largest child stands for each of them, and what they share is counted for all: an upper bound.
    kib = _peak_kib() + (workers * child.ru_maxrss if workers > 1 else 0)
    print(cpu, kib // 1024)  # noqa: T201  # read by `_checked`


def _peak_kib() -> int:
    """Read the peak memory of this process; `ru_maxrss` would count what its parent had when it forked."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def _proven(folder: Path, size: int) -> tuple[Spread, Spread]:
    """Prove random entries one by one, each from the files anew, and check each as a stranger would."""
    dice = random.Random(0)
    proving, verifying = [], []
    for _ in range(PROOFS):
        index = dice.randrange(size)
        start, used = time.perf_counter(), time.process_time()
        text = prove(folder, _TRUST, index).render()
        proving.append((time.perf_counter() - start, time.process_time() - used))
        start, used = time.perf_counter(), time.process_time()
        verify_proof(text, None, _TRUST)
        verifying.append((time.perf_counter() - start, time.process_time() - used))
    return _spread(proving), _spread(verifying)


def _spread(times: Sequence[tuple[float, float]]) -> Spread:
    wall, cpu = (sorted(seconds) for seconds in zip(*times, strict=True))
    return Spread(
        *(row[int(len(row) * part)] * 1000 for row, part in ((wall, 0.5), (wall, 0.99), (cpu, 0.99)))
    )


def report(figures: Figures) -> str:
    """Write the figures as the lines of a table, each with its aim at 10,000,000 entries."""
    return "\n".join(
        (
            f"{figures.entries:,} entries, {figures.megabytes:,} MB of public files",
            "| what | measured | aim |",
            "|---|---|---|",
            f"| full check | {figures.check_s} s wall, {figures.check_cpu_s} s CPU | 60 s |",
            f"| memory of the check, all processes | {figures.check_mib} MiB at most | 256 MB |",
            f"| inclusion proof from the tiles | {figures.prove} | p99 5 ms |",
            f"| offline check of a proof | {figures.verify} | 1 ms |",
        )
    )


def main(arguments: Sequence[str]) -> None:
    """Measure, or be the process that is measured."""
    if arguments[:1] == ["--check"]:
        _check(Path(arguments[1]), int(arguments[2]))
        return
    size, workers = [*map(int, arguments), *(ENTRIES, 2)[len(arguments) :]]
    with tempfile.TemporaryDirectory() as folder:
        print(report(measure(Path(folder), size, workers)))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
