"""What our way of signing and reading costs over the C2PA library alone: `python -m provenance.manifest.bench`.

Each round signs a 12 MB film and reads it back, once through `sign` and `read` and once with a bare builder
and reader of the library, in alternating order. Ratios travel between machines; seconds do not.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from c2pa import Builder, C2paSigningAlg, Context, Reader, Signer

from core.clock import SystemClock
from core.media.write import Delivery
from provenance.keys import SigningKeys, dev_keys
from provenance.manifest import Claim, read, sign
from provenance.manifest._settings import settings

_BYTES = 12_000_000
_ROUNDS = 40
_MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_BARE = {
    "claim_version": 2,
    "format": "video/mp4",
    "claim_generator_info": [{"name": "bare", "version": "1"}],
    "assertions": [
        {
            "label": "c2pa.actions.v2",
            "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": _MADE}]},
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Cost:
    """The median of one thing over all rounds: seconds on the wall, seconds of CPU."""

    wall: float
    cpu: float


def film(path: Path, size: int) -> Path:
    """Write an MP4 of noise, of at least `size` bytes."""
    rng = np.random.default_rng(12)
    frames = max(1, round(size / 1_000_000))
    while not path.exists() or path.stat().st_size < size:
        with Delivery(path, width=960, height=540, fps=24, crf=8, preset="ultrafast") as out:
            for _ in range(frames):
                out.frame(rng.integers(0, 256, (540, 960, 3), np.uint8))
        frames += max(1, frames // 4)
    return path


def ours(source: Path, target: Path, keys: SigningKeys) -> None:
    """Sign and read as the gate does."""
    claim = Claim(
        title="film.mp4",
        mime="video/mp4",
        engine="bench",
        engine_version="1",
        source="created",
        payload=1,
        duration_ms=1000,
        record="bench",
        when="2026-01-01T00:00:00Z",
        generator_version="1",
        video=True,
        audio=True,
        picture="generated",
    )
    sign(source, target, claim, keys)
    if read(target, keys.claim_roots_pem).state != "trusted":
        raise SystemExit("what was signed is not trusted")


def bare(source: Path, target: Path, keys: SigningKeys) -> None:
    """Sign and read with the library alone."""
    with Context.from_dict({"trust": settings(keys.claim_roots_pem)["trust"]}) as context:
        with (
            Signer.from_callback(keys.sign, C2paSigningAlg.ES256, keys.chain_pem, None) as signer,
            Builder(_BARE, context=context) as builder,
            source.open("rb") as read_from,
            target.open("w+b") as into,
        ):
            builder.sign(signer, "video/mp4", read_from, into)
        with target.open("rb") as file, Reader("video/mp4", file, context=context) as reader:
            if reader.get_validation_state() != "Trusted":
                raise SystemExit("what the library signed is not trusted")
            reader.json()


def run(folder: Path, *, size: int = _BYTES, rounds: int = _ROUNDS) -> tuple[Cost, Cost]:
    """Measure our way and the library's, in turn; the one that goes first changes with every round."""
    source, keys = film(folder / "film.mp4", size), dev_keys(folder / "keys", SystemClock())
    ways: tuple[Callable[[Path, Path, SigningKeys], None], ...] = (ours, bare)
    spent: dict[str, list[Cost]] = {"ours": [], "bare": []}
    for number in range(rounds + 1):
        for way in ways if number % 2 else ways[::-1]:
            cpu, wall = time.process_time(), time.perf_counter()
            way(source, folder / f"{way.__name__}.mp4", keys)
            spent[way.__name__].append(Cost(time.perf_counter() - wall, time.process_time() - cpu))
    return _median(spent["ours"][1:]), _median(spent["bare"][1:])  # the first round warms up


def _median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


def report(gate: Cost, library: Cost) -> str:
    """Write the ratios, and what they are ratios of."""
    return (
        f"sign and read, against the library alone: {gate.wall / library.wall:.2f} on the wall, "
        f"{gate.cpu / library.cpu:.2f} in CPU (the library: {library.wall * 1000:.0f} ms, "
        f"{library.cpu * 1000:.0f} ms)"
    )


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        print(report(*run(Path(name))))  # noqa: T201  its output


if __name__ == "__main__":
    main()
