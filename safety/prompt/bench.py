"""What reading a prompt costs: `python -m safety.prompt.bench [NAMES]`, in CPU time of one thread.

Names: a pack of NAMES (1,000,000) invented names made of the words of the pack that ships, with its size on disk, the
memory that a fresh process gets for itself by opening and searching it (Private_Dirty), the time to look a prompt
through, and the time to take up a new pack. Each prompt counts with the best of three, since other work on the machine
is no part of what it costs; p99 is over prompts.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from safety.prompt import gazetteer, lexicon, packbuild, packs, templates, views
from safety.prompt.namelists import Spelling

_REPEATS = 400
_KEY = bytes(range(32))
Timed = tuple[float, float]
"""p50 and p99, microseconds of CPU."""


def timed(call: Callable[[str], object], texts: Sequence[str]) -> Timed:
    """Time a call on each text, the best of three, after one round to warm up."""
    for text in texts[:20]:
        call(text)
    spent = [min(_microseconds(call, text) for _ in range(3)) for text in texts]
    return float(np.quantile(spent, 0.5)), float(np.quantile(spent, 0.99))


def _microseconds(call: Callable[[str], object], text: str) -> float:
    began = time.process_time_ns()
    call(text)
    return (time.process_time_ns() - began) / 1000


def invented(count: int, rng: random.Random) -> Iterator[Spelling]:
    """Invent names of two words."""
    words = [word for word in packs.Pack.load(packs.shipped(), (_own_key(),)).words if word.isascii()]
    for index in range(count):
        name = f"{rng.choice(words).title()} {rng.choice(words).title()}"
        yield Spelling(name, "public_figure", name, "local" if index % 2 else "performer", "us")


def _own_key() -> str:
    return (packs.shipped() / "key.txt").read_text().strip()


def private_mib() -> float:
    """Give the memory that this process has written to and shares with nobody, in MiB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024


def opened_in_private(folder: Path) -> float:
    """Give what opening and searching a pack adds to `private_mib` of this process; a fresh one tells the truth."""
    texts = [*prompts(random.Random(1)), "Ilmari Kantellan waves"]
    known = {word for text in texts for word in text.lower().split()}
    warm = packs.Pack.load(packs.shipped(), (_own_key(),))
    for text in texts:
        _search(warm, text, known.__contains__)
    key = (folder / "key.txt").read_text().strip()
    before = private_mib()
    pack = packs.Pack.load(folder, (key,))
    for text in texts:
        _search(pack, text, known.__contains__)
    return private_mib() - before


def _in_a_fresh_process(folder: Path) -> float:
    command = [sys.executable, "-m", "safety.prompt.bench", "--private", str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own interpreter
    return float(done.stdout)


def prompts(rng: random.Random) -> list[str]:
    """List ordinary prompts from our own templates."""
    written = [line.text for line in templates.written(0) if not line.about and line.register == "video"]
    return rng.sample(written, _REPEATS)


def names(count: int, texts: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Build, open and search a large pack."""
    with tempfile.TemporaryDirectory() as folder:
        packbuild.build(Path(folder, "many"), "many", "1", invented(count, rng), _KEY)
        size = sum(path.stat().st_size for path in Path(folder, "many").iterdir()) / 1e6
        key = Path(folder, "many", "key.txt").read_text().strip()
        began = time.process_time()
        pack = packs.Pack.load(Path(folder, "many"), (key,))
        opened = time.process_time() - began
        some = [pack.names.restore_key(rng.randrange(len(pack.names))) for _ in texts]
        named = [f"{text} with {name.title()}" for text, name in zip(texts, some, strict=True)]
        wrong = [f"{text} with {_typo(name, rng).title()}" for text, name in zip(texts, some, strict=True)]
        known = {word for text in texts for word in text.lower().split()}
        exact = timed(lambda text: _search(pack, text, lambda _: True), named)
        fuzzy = timed(lambda text: _search(pack, text, known.__contains__), wrong)
        yield f"{len(pack.names):,} spellings: {size:.0f} MB on disk, "
        yield f"{_in_a_fresh_process(Path(folder, 'many')):.1f} MiB private, "
        yield f"opened in {opened:.2f} s CPU; exact p50 {exact[0]:.0f} µs, p99 {exact[1]:.0f} µs; "
        yield f"with typing errors p50 {fuzzy[0]:.0f} µs, p99 {fuzzy[1]:.0f} µs\n"


def _typo(name: str, rng: random.Random) -> str:
    at = rng.randrange(1, max(2, len(name) - 2))
    return name[:at] + name[at + 1 :]


def _search(pack: packs.Pack, text: str, is_word: Callable[[str], bool]) -> object:
    raw = views.View("text", text, tuple(range(len(text))), tuple(range(1, len(text) + 1)))
    return gazetteer.entities(views.Reading((raw,), (), raw, obfuscated=False), text, [pack], is_word)


def rules(texts: Sequence[str]) -> Iterator[str]:
    """Time the rules alone: views, words and frames, and the names that ship."""
    pack = packs.Pack.load(packs.shipped(), (_own_key(),))
    common = {word for text in texts for word in text.lower().split()}

    def read(text: str) -> object:
        reading = views.read(text)
        return lexicon.hits(reading), gazetteer.entities(reading, text, [pack], common.__contains__)

    for name, call in (("views", views.read), ("rules alone (views, lexicon, names)", read)):
        p50, p99 = timed(call, texts)
        yield f"{name}: p50 {p50:.0f} µs, p99 {p99:.0f} µs\n"


def main(count: int) -> None:
    """Print the report."""
    rng = random.Random(0)
    texts = prompts(rng)
    for part in (rules(texts), names(count, texts, rng)):
        for line in part:
            sys.stdout.write(line)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--private"]:
        sys.stdout.write(f"{opened_in_private(Path(sys.argv[2])):.3f}\n")
        sys.exit()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
