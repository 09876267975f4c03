"""Mark picture and sound, and make the one lossy encode: after this only the manifest is added."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

import numpy as np

from core.ahead import ahead
from core.errors import BadMedia
from core.media.clip import Clip, Picture, Sound
from core.media.probe import probe
from core.media.read import frames, whole_sound
from core.media.write import Delivery
from provenance.fingerprint import audio as heard
from provenance.fingerprint import video as seen
from provenance.labels import NO_LABELS, Plan, stamped, with_notices
from provenance.marks import MarkKey, audio, video


@dataclass(frozen=True, slots=True)
class Marked:
    """The delivery file and which of its tracks carry the mark; `notes` say why one does not.

    `prints` are the fingerprints of its tracks, encoded, by the name of their algorithm.
    """

    clip: Clip
    video: bool
    audio: bool
    notes: tuple[str, ...]
    prints: Mapping[str, bytes] = field(default_factory=dict)


def mark(
    mezzanine: Clip,
    into: Path,
    payload: int,
    key: MarkKey,
    labels: Plan = NO_LABELS,
    *,
    crf: int = 18,
    preset: str = "medium",
    sound: bool = True,
) -> Marked:
    """Write the marked delivery file: H.264 and AAC in MP4, or AAC alone in M4A.

    `payload` is the 64-bit id; `labels` are put in before the mark, so that the mark covers them too; `crf`
    and `preset` are x264's. Decoding, marking and encoding of the
    picture run beside each other, a few frames deep; the sound (at most 45 s) is held whole. Sound that
    cannot carry a mark is delivered without, as is all sound where `sound` is False. The
    file appears whole or not at all. Raises `BadMedia`.
    """
    delivered, marked, notes = _marked_sound(mezzanine, payload, key, labels, wanted=sound)
    printer = seen.Printer()
    with (
        Delivery.like(into, mezzanine, crf=crf, preset=preset, tags=labels.tags) as out,
        closing(_marked_pictures(mezzanine, payload, key, labels)) as pictures,
    ):
        for index, (rgb, samples) in enumerate(zip_longest(pictures, _blocks(mezzanine, delivered))):
            if samples is not None:
                out.sound(samples)
            if rgb is not None and mezzanine.video is not None:
                out.frame(rgb)
                printer.add(rgb, float(index / mezzanine.video.fps))
    prints = _prints(mezzanine, printer, delivered)
    notes += tuple(_unfindable(mezzanine, prints))
    return Marked(probe(into), mezzanine.video is not None, marked, notes, prints)


def prints_of(clip: Clip) -> dict[str, bytes]:
    """Take the fingerprints of a delivered clip, encoded, by algorithm, as `mark` gives them; raises `BadMedia`."""
    printer = seen.Printer()
    for frame in frames(clip.path) if clip.video else ():
        printer.add(frame.rgb, frame.time)
    return _prints(clip, printer, whole_sound(clip.path) if clip.audio else np.zeros((0, 1), np.float32))


def _prints(mezzanine: Clip, printer: seen.Printer, sound: Sound) -> dict[str, bytes]:
    """Encode the fingerprints of the tracks that have anything in them to be recognised by."""
    prints = {}
    if (picture := printer.finish().stored()).speaks:
        prints[seen.ALG] = seen.encode(picture)
    if mezzanine.audio is not None:
        listener = heard.Printer(mezzanine.audio.rate)
        listener.add(sound)
        if (recording := listener.finish()).speaks:
            prints[heard.ALG] = heard.encode(recording)
    return prints


def _unfindable(mezzanine: Clip, prints: Mapping[str, bytes]) -> Iterator[str]:
    if mezzanine.video is not None and seen.ALG not in prints:
        yield "The picture is too flat to be found again by how it looks."
    if mezzanine.audio is not None and heard.ALG not in prints:
        yield "The sound is too short or too quiet to be found again by how it sounds."


def _marked_sound(
    mezzanine: Clip, payload: int, key: MarkKey, labels: Plan, *, wanted: bool
) -> tuple[Sound, bool, tuple[str, ...]]:
    if mezzanine.audio is None:
        return np.zeros((0, 1), np.float32), False, ()
    sound = with_notices(labels, whole_sound(mezzanine.path), mezzanine.audio.rate)
    if not wanted:
        return sound, False, ("The sound was not to be marked.",)
    try:
        return audio.embed(sound, mezzanine.audio.rate, key, payload), True, ()
    except BadMedia as error:
        return sound, False, (f"The sound carries no mark: {error.message}",)


def _blocks(mezzanine: Clip, sound: Sound) -> Iterator[Sound]:
    """Cut the sound into pieces as long as a frame, so that the file interleaves them; or a second long."""
    if mezzanine.audio is None:
        return
    per_second = mezzanine.video.fps if mezzanine.video else 1
    size = max(1, math.ceil(mezzanine.audio.rate / per_second))
    for start in range(0, len(sound), size):
        yield sound[start : start + size]


def _marked_pictures(
    mezzanine: Clip, payload: int, key: MarkKey, labels: Plan
) -> Generator[Picture, None, None]:
    if mezzanine.video is None:
        return
    size = mezzanine.video
    embed = video.embedder(key, payload, width=size.width, height=size.height, fps=float(size.fps))
    stamp = stamped(labels, size.width, size.height)
    with (
        closing(ahead(stamp(frame.rgb, frame.time) for frame in frames(mezzanine.path))) as decoded,
        closing(ahead(embed(rgb) for rgb in decoded)) as marked,
    ):
        yield from marked
