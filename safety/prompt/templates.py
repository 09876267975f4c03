"""Our own training prompts: templates with slots, filled by a seed, and the film-work phrases around them."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from safety.prompt import namelists

Part = Literal["train", "calibrate", "test"]
Register = Literal["video", "audio", "edit", "chat"]
Slots = Mapping[str, Sequence[str]]

_FOLDER = Path(__file__).with_name("training")
_SLOT = re.compile(r"\{(\w+)\}")
_NEWEST = ("deeds_harm", "deeds_ordinary", "films", "heard", "scripts_harm", "scripts_ordinary")
"""The files of the last round."""
_NAMED = {"figure": "public_figure", "character": "franchise", "artist": "living_artist"}


@dataclass(frozen=True, slots=True)
class Line:
    """A filled template; `about` are its categories."""

    text: str
    about: tuple[str, ...]
    register: Register
    template: str


def part_of(key: str) -> Part:
    """Draw the part of a text, a template or a name, by itself alone: eight tenths train, a tenth each the others."""
    draw = hashlib.sha256(" ".join(key.lower().split()).encode()).digest()[0] % 10
    return "test" if draw == 0 else "calibrate" if draw == 1 else "train"


def written(seed: int) -> Iterator[Line]:
    """Fill every template as often as its group says."""
    rng = random.Random(seed)
    for path in sorted(_FOLDER.glob("*.txt")):
        if path.stem not in {"slots", "wrappers"}:
            yield from _file(path, rng)


def newest() -> frozenset[str]:
    """Give the templates of the last round."""
    return frozenset(line for name in _NEWEST for line in (_FOLDER / f"{name}.txt").read_text().splitlines())


def calibration(seed: int = 1) -> Iterator[Line]:
    """Fill the ordinary prompts that only calibrate: for sound, for edits, and such as show what a video model can do."""
    rng = random.Random(seed)
    for path in sorted(Path(__file__).with_name("calibration").glob("*.txt")):
        yield from _file(path, rng)


def _file(path: Path, rng: random.Random) -> Iterator[Line]:
    about: tuple[str, ...] = ()
    register: Register = "video"
    each = 1
    for line in path.read_text().splitlines():
        if head := re.fullmatch(r"# about: ?(.*); register: (video|audio|edit|chat); each: (\d+)", line):
            about = tuple(name.strip() for name in head[1].split(",") if name.strip())
            register, each = head[2], int(head[3])  # type: ignore[assignment]
        elif line and not line.startswith("#"):
            slots = _slots(part_of(line))
            for _ in range(each):
                yield Line(_wrapped(filled(line, slots, rng), register, rng), about, register, line)


def filled(template: str, slots: Slots, rng: random.Random) -> str:
    """Put a value in every slot, a new one each time it stands there."""
    text = _SLOT.sub(lambda slot: rng.choice(slots[slot[1]]), template)
    return _SLOT.sub(lambda slot: rng.choice(slots[slot[1]]), text)


def _wrapped(text: str, register: Register, rng: random.Random) -> str:
    """Put film-work words around a scene two times out of three, and the like of them around a sound or an edit."""
    if register == "chat":
        return text
    around = wrappers()
    kind = "" if register == "video" else f"{register} "
    draw = rng.random()
    if draw < 0.2:
        text = f"{rng.choice(around[f'{kind}before'])} {text}"
    elif draw < 0.4:
        text += rng.choice(around[f"{kind}after"])
    elif draw < 0.55:
        text = f"{rng.choice(around[f'{kind}before'])} {text}{rng.choice(around[f'{kind}after'])}"
    elif draw < 0.67 and register == "video":
        text = f"{text[:1].upper()}{text[1:]}. {rng.choice(around['sentences'])}"
    return text


@cache
def wrappers() -> Slots:
    """Read wrappers.txt: before, after and sentences of scenes, before and after of sounds and edits."""
    read: dict[str, list[str]] = {}
    for line in (_FOLDER / "wrappers.txt").read_text().splitlines():
        if line.startswith("## "):
            read[line[3:]] = []
        elif line and not line.startswith("#"):
            read[list(read)[-1]].append(line)
    return read


@cache
def _slots(part: Part) -> Slots:
    """Read slots.txt; names of people and works come from the packs, only those of the same part."""
    read: dict[str, list[str]] = {}
    for line in (_FOLDER / "slots.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, values = line.split(" = ", 1)
            read[name] = values.split(" | ")
    read["invented"] = [f"{first} {last}" for first in read["first"] for last in read["last"]]
    for slot, kind in _NAMED.items():
        read[slot] = [name for name in namelists.names(kind) if part_of(name) == part]
    return read
