"""What somebody may do to a released clip as a whole: exchange, cut, join, copy the mark, sign it anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from audits.preemptive import scenes
from audits.preemptive.anatomy import dissect
from audits.preemptive.releases import PRESET, SECONDS, Release, release
from core.media.clip import Clip, Picture, Sound
from core.media.export import remux
from core.media.probe import probe
from core.media.read import frames, whole_sound
from core.media.write import Delivery
from provenance.keys import SigningKeys
from provenance.labels import NO_LABELS
from provenance.manifest import sign
from provenance.mark import mark
from provenance.marks import MarkKey
from provenance.readings import Record


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where files are made, with our keys and a stranger's, and two releases of ours."""

    folder: Path
    keys: SigningKeys
    stranger: SigningKeys
    key: MarkKey
    first: Release
    second: Release


@dataclass(frozen=True, slots=True)
class Attack:
    """A changed file, the verdicts that are right for it, and the records of its world."""

    name: str
    path: Path
    right: frozenset[str]
    records: tuple[Record, ...]


def attacks(shop: Workshop, seed: int, *, each: int, cuts: int, exchanges: bool = True) -> Iterator[Attack]:
    """Make `each` files of every kind, and `cuts` cut off; a file is gone when the next one is asked for.

    Without `exchanges` those are left out in which no mark is found, which takes long to be sure of.
    """
    ours = (shop.first.record, shop.second.record)
    for number in range(each):
        other = scenes.scene(shop.folder / "other.mkv", seed + 100 + number, SECONDS)
        exchanged = _exchanges(shop, other, number) if exchanges else ()
        for name, path, right in chain(exchanged, _copies(shop, other), _manifests(shop, other)):
            yield Attack(name, path, frozenset(right.split()), ours)
        yield from _histories(shop, other, number)
    for name, path, right in _cuts(shop, cuts):
        yield Attack(name, path, frozenset(right.split()), ours)


_Made = tuple[str, Path, str]


def _exchanges(shop: Workshop, other: Clip, number: int) -> Iterator[_Made]:
    """Exchange picture and sound for others, or parts of them, without any manifest."""
    ours, theirs = probe(shop.first.bare), probe(shop.second.bare)
    out = shop.folder / "changed.mp4"
    seconds = 2.0 + number % 3
    _join(out, _pictures(ours), whole_sound(other.path))
    yield "foreign sound", out, "tampered"
    _join(out, _pictures(other), whole_sound(ours.path))
    yield "foreign picture", out, "tampered"
    _join(out, _pictures(ours), np.zeros((0, 1), np.float32))
    yield "sound taken away", out, "recovered"
    _join(out, _spliced(ours, other, seconds), whole_sound(ours.path))
    yield "picture spliced", out, "tampered"
    _join(out, _pictures(ours), _spliced_sound(ours, other, seconds))
    yield "sound spliced", out, "tampered"
    _join(out, _spliced(ours, other, seconds), _spliced_sound(ours, other, seconds))
    yield "clip spliced", out, "tampered"
    _join(out, _spliced(ours, theirs, seconds), whole_sound(ours.path))
    yield "picture spliced with another release", out, "tampered conflict"
    _join(out, _blacked(ours, seconds), whole_sound(ours.path))
    yield "picture made black", out, "tampered"
    _join(out, _pictures(ours), _silenced(ours, 1.5 + seconds))
    yield "sound made silent", out, "tampered conflict"


def _copies(shop: Workshop, other: Clip) -> Iterator[_Made]:
    """Encode and pack the release in other ways, mix it with another, copy its mark."""
    ours, theirs = probe(shop.first.bare), probe(shop.second.bare)
    out = shop.folder / "changed.mp4"
    remux(shop.first.path, out)
    yield "remuxed", out, "recovered"
    _join(out, _pictures(ours), whole_sound(ours.path))
    yield "encoded again", out, "recovered"
    _join(out, _pictures(ours), whole_sound(theirs.path))
    yield "sound of another release", out, "conflict"
    yield "mark copied to a foreign clip", _forged(shop, other, out), "conflict"
    _join(out, _pictures(ours), _marked_sound(shop, other))
    yield "mark copied to a foreign sound", out, "conflict"


def _manifests(shop: Workshop, other: Clip) -> Iterator[_Made]:
    """Exchange, double, forge and take away manifests."""
    out, first, second = shop.folder / "changed.mp4", shop.first, shop.second
    ours, theirs = first.path.read_bytes(), second.path.read_bytes()
    out.write_bytes(_hidden(ours))
    yield "manifest hidden", out, "recovered"
    out.write_bytes(_hidden(ours) + _manifest(theirs))
    yield "manifest of another release", out, "conflict"
    out.write_bytes(ours + _manifest(theirs))
    yield "two manifests", out, "tampered recovered"
    out.write_bytes(ours + _manifest(ours))
    yield "the same manifest twice", out, "tampered recovered"
    out.write_bytes(_delivered(other, shop) + _manifest(ours))
    yield "manifest on a foreign clip", out, "tampered"
    sign(first.bare, out, first.claim, shop.stranger)
    yield "signed by a stranger", out, "conflict"
    sign(first.bare, out, replace(first.claim, record="x"), shop.keys)
    yield "signed by us, never released", out, "conflict"
    sign(shop.folder / "foreign.mp4", out, replace(first.claim, video=False, audio=False), shop.stranger)
    yield "a stranger's own", out, "foreign"


def _histories(shop: Workshop, other: Clip, number: int) -> Iterator[Attack]:
    """Give releases that were made from a broken input, and from a whole one."""
    payload = 0xE000 + number
    made = mark(other, shop.folder / "edited.mp4", payload, shop.key, NO_LABELS, preset=PRESET).clip
    broken = shop.folder / "broken.mp4"
    content = bytearray(shop.second.path.read_bytes())
    content[-200 - number] ^= 1
    broken.write_bytes(content)
    for name, parent, right in (
        ("input tampered with", broken, "tampered"),
        ("input whole", shop.second.path, "verified"),
    ):
        edited = release(shop.folder, made, "mp4", payload, shop.keys, shop.key, parent=parent)
        yield Attack(name, edited.path, frozenset({right}), (edited.record, shop.second.record))


def _cuts(shop: Workshop, cuts: int) -> Iterator[_Made]:
    """Cut off the end, and put something there."""
    out, data = shop.folder / "changed.mp4", shop.first.path.read_bytes()
    for number in range(1, cuts + 1):
        out.write_bytes(data[: len(data) * number // (cuts + 1)])
        yield "cut off", out, "tampered malformed"
    tails = (
        b"junk",
        bytes(4096),
        b"\0\0\0\x10free" + bytes(8),
        b"\0\0\0\x10wide" + bytes(8),
        data,
        data[:500],
    )
    for tail in tails:
        out.write_bytes(data + tail)
        yield "something appended", out, "tampered recovered"


def _pictures(clip: Clip) -> Iterator[Picture]:
    return (frame.rgb for frame in frames(clip.path))


def _delivered(other: Clip, shop: Workshop) -> bytes:
    """Give a foreign clip as a file that could be anybody's."""
    path = shop.folder / "foreign.mp4"
    _join(path, _pictures(other), whole_sound(other.path))
    return path.read_bytes()


def _join(into: Path, pictures: Iterator[Picture], sound: Sound) -> None:
    """Encode pictures and sound of wherever into one clip."""
    rate = scenes.RATE if len(sound) else None
    with Delivery(
        into,
        width=scenes.WIDTH,
        height=scenes.HEIGHT,
        fps=scenes.FPS,
        rate=rate,
        channels=1,
        crf=23,
        preset=PRESET,
    ) as out:
        if rate:
            out.sound(sound)
        for rgb in pictures:
            out.frame(rgb)


def _spliced(ours: Clip, other: Clip, seconds: float) -> Iterator[Picture]:
    for number, (mine, foreign) in enumerate(zip(_pictures(ours), _pictures(other), strict=False)):
        yield foreign if 1.0 <= number / scenes.FPS < 1.0 + seconds else mine


def _spliced_sound(ours: Clip, other: Clip, seconds: float) -> Sound:
    sound, foreign = whole_sound(ours.path).copy(), whole_sound(other.path)
    start, stop = scenes.RATE, round((1.0 + seconds) * scenes.RATE)
    sound[start:stop] = foreign[start:stop]
    return sound


def _blacked(ours: Clip, seconds: float) -> Iterator[Picture]:
    for number, mine in enumerate(_pictures(ours)):
        yield np.zeros_like(mine) if 1.0 <= number / scenes.FPS < 1.0 + seconds else mine


def _silenced(ours: Clip, seconds: float) -> Sound:
    sound = whole_sound(ours.path).copy()
    sound[: round(seconds * scenes.RATE)] = 0
    return sound


def _forged(shop: Workshop, other: Clip, out: Path) -> Path:
    return mark(other, out, shop.first.record.payload, shop.key, NO_LABELS, preset=PRESET).clip.path


def _marked_sound(shop: Workshop, other: Clip) -> Sound:
    return whole_sound(_forged(shop, other, shop.folder / "forged.mp4"))


def _manifest(data: bytes) -> bytes:
    """Give the box that carries the manifest."""
    inside = [part for part in dissect(data) if part.name.startswith(("uuid", "manifest"))]
    return data[inside[0].start : inside[-1].end]


def _hidden(data: bytes) -> bytes:
    """Call the box something that readers skip; nothing moves."""
    return data.replace(b"uuid" + _manifest(data)[8:24], b"free" + _manifest(data)[8:24])
