"""Long sounds, a span at a time: memory depends on the span, not on the sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from core.errors import BadMedia
from core.media.clip import Sound
from provenance.marks import MarkKey, MarkReading, Segment
from provenance.marks.audio import tiles
from provenance.marks.audio.whole import detect, embed, unmarked

SPAN_SECONDS = 9 * tiles.PERIOD * tiles.FRAMES * tiles.HOP / tiles.RATE
"""Nine periods, about 45 s: where one span ends, the next goes on with the pattern."""
_LEAST_SECONDS = 10.0
_KNOWN = 4  # payloads of earlier spans that a span is asked for


def embed_long(blocks: Iterable[Sound], rate: int, key: MarkKey, payload: int) -> Iterator[Sound]:
    """Give the marked sound span by span; a span that cannot carry a mark is given as it is.

    Raises BadMedia where a sound of one span cannot carry a mark, and at the end where no span could.
    """
    marked, why = 0, None
    for span in spans(blocks, rate):
        try:
            yield embed(span, rate, key, payload)
            marked += 1
        except BadMedia as error:
            why = error
            yield span
    if not marked:
        raise why or BadMedia("too short to carry a mark: there is no sound")


def detect_long(blocks: Iterable[Sound], rate: int, keys: Sequence[MarkKey]) -> MarkReading:
    """Read the mark of a sound of any length, given in blocks of any size.

    The payload is the one of most spans; `segments` say where it is. `p_false` counts the spans.
    """
    readings: list[tuple[float, float, MarkReading]] = []
    start = 0.0
    for span in spans(blocks, rate):
        seconds = len(span) / rate
        known = {one.payload for _, _, one in readings if one.payload is not None}
        readings.append((start, seconds, detect(span, rate, keys, expected=[*known][:_KNOWN])))
        start += seconds
    found = [reading for _, _, reading in readings if reading.found]
    if not found:
        return unmarked()
    best = max(found, key=lambda one: (sum(other.payload == one.payload for other in found), -one.p_false))
    segments = _joined(part for one in readings for part in _placed(*one, best.payload))
    return replace(best, segments=segments, p_false=min(1.0, best.p_false * len(readings)))


def spans(blocks: Iterable[Sound], rate: int) -> Iterator[Sound]:
    """Cut blocks anew into spans of SPAN_SECONDS; the last one takes up a short rest."""
    held: list[Sound] = []
    size, least = round(SPAN_SECONDS * rate), round(_LEAST_SECONDS * rate)
    for block in blocks:
        held.append(block)
        while sum(map(len, held)) >= size + least:
            whole = np.concatenate(held)
            yield whole[:size]
            held = [whole[size:]]
    if held:
        yield np.concatenate(held)


def _placed(start: float, seconds: float, reading: MarkReading, payload: int | None) -> Iterator[Segment]:
    """Move a span's segments to its place; another payload is not this one, and what was not read says nothing."""
    if reading.found and reading.payload == payload:
        for part in reading.segments:
            yield replace(part, start=start + part.start, end=start + part.end)
        return
    yield Segment(start, start + seconds, found=False, readable=reading.found)


def _joined(parts: Iterable[Segment]) -> tuple[Segment, ...]:
    """Join neighbours that say the same."""
    joined: list[Segment] = []
    for part in parts:
        last = joined[-1] if joined else None
        if last and (last.found, last.readable) == (part.found, part.readable):
            joined[-1] = replace(last, end=part.end)
        else:
            joined.append(part)
    return tuple(joined)
