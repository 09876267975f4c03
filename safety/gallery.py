"""What the detectors of faces and of voices share: who is looked for, and what an enrolment took.

A detector is given a sequence of `Template`, one for each person. In a screening worker that sequence is a
`Gallery`, which keeps its numbers in a few large matrices and is the same object from clip to clip until somebody
is enrolled or erased; `gathered` makes one of any other sequence. A gallery grows by segments: a change adds a
small one and marks who is gone from the older ones as dead, so that what a detector derived from the large
segments (`Segment.derived`) stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from core.errors import Unavailable
from core.finding import Model

Vectors = npt.NDArray[np.float32]
Parts = npt.NDArray[np.uint8]
_MOST_SEGMENTS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A protected person in the clear: `vectors` as `Enrolment` gave them, (n, d) float32, n at least 1.

    `parts` (n,) and `threshold` are as in `Enrolment`; None means all 0, and the detector's own threshold.
    """

    identity: str
    vectors: Vectors
    parts: Parts | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Enrolment:
    """What enrolment took: rows of `vectors`, (n, d) float32, at least one for each accepted reference.

    `accepted` names files, `refused` pairs a file with the reason. `parts` (n,) numbers the sub-model (0-255) that
    a row belongs to, in the detector's own counting. `threshold` is the least score that counts for this person, in
    the detector's own scale.
    """

    vectors: Vectors
    accepted: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    models: tuple[Model, ...] = ()
    parts: Parts | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Some people of a gallery: person p has the rows `offsets[p]` to `offsets[p + 1]` of `vectors`.

    `vectors` (n, d) float32, `parts` (n,) uint8, `offsets` (people + 1,) int64, `thresholds` (people,) float32
    with NaN for the detector's own, `alive` (people,) bool. The rows of the dead are zero and must not match.
    """

    identities: tuple[str, ...]
    vectors: Vectors
    parts: Parts
    offsets: npt.NDArray[np.int64]
    thresholds: npt.NDArray[np.float32]
    alive: npt.NDArray[np.bool_]
    _derived: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.identities)

    def template(self, person: int) -> Template:
        """Give one person's template; its arrays are views."""
        rows = slice(*self.offsets[person : person + 2].tolist())
        own = float(self.thresholds[person])
        threshold = None if np.isnan(own) else own
        return Template(self.identities[person], self.vectors[rows], self.parts[rows], threshold)

    def derived(self, name: str, make: Callable[[Segment], Any]) -> Any:
        """Give what `make` makes of this segment, made once for as long as nobody of it is gone."""
        if name not in self._derived:
            self._derived[name] = make(self)
        return self._derived[name]

    def without(self, gone: frozenset[str] | set[str]) -> Segment:
        """Mark people as dead and overwrite their rows with zeros."""
        dead = [number for number, name in enumerate(self.identities) if name in gone and self.alive[number]]
        if not dead:
            return self
        alive = self.alive.copy()
        alive[dead] = False
        for person in dead:
            self.vectors[self.offsets[person] : self.offsets[person + 1]] = 0
        self._derived.clear()
        return Segment(self.identities, self.vectors, self.parts, self.offsets, self.thresholds, alive)


@dataclass(frozen=True, slots=True, eq=False)
class Gallery(Sequence[Template]):
    """Everybody who is looked for. As a sequence it holds the living, one template each, in no meaningful order."""

    segments: tuple[Segment, ...] = ()

    def __len__(self) -> int:
        return int(sum(np.count_nonzero(segment.alive) for segment in self.segments))

    def __iter__(self) -> Iterator[Template]:
        for segment in self.segments:
            for person in np.flatnonzero(segment.alive).tolist():
                yield segment.template(person)

    @overload
    def __getitem__(self, index: int) -> Template: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Template]: ...
    def __getitem__(self, index: int | slice) -> Template | Sequence[Template]:
        if isinstance(index, slice):
            return list(self)[index]
        left = index + len(self) if index < 0 else index
        for segment in self.segments:
            living = np.flatnonzero(segment.alive)
            if 0 <= left < len(living):
                return segment.template(int(living[left]))
            left -= len(living)
        raise IndexError(index)

    def changed(self, gone: Iterable[str], come: Segment) -> Gallery:
        """Take people out and put others in; the old gallery must not be used any more.

        Whoever is in `come` replaces their older self. Raises `Unavailable` when their numbers do not fit the rest.
        """
        out = {*gone, *come.identities}
        segments = [segment for old in self.segments if (segment := old.without(out)).alive.any()]
        segments += [come] if len(come) else []
        if len({segment.vectors.shape[1] for segment in segments}) > 1:
            raise Unavailable(f"The template of {come.identities[0]} cannot be used.")
        return _tidied(Gallery(tuple(segments)))


def _tidied(gallery: Gallery) -> Gallery:
    """Write all anew when there are many segments, or more than half of the people are gone."""
    people = sum(len(segment) for segment in gallery.segments)
    if len(gallery.segments) <= _MOST_SEGMENTS and 2 * len(gallery) >= people:
        return gallery
    return Gallery((_segment(gallery),))


def gathered(templates: Sequence[Template]) -> Gallery:
    """Put templates into a gallery; one that is a gallery stays the object that it is.

    Raises `Unavailable` when a template cannot be used: not finite, empty, or of another length than the rest.
    """
    if isinstance(templates, Gallery):
        return templates
    return Gallery((_segment(merged(templates)),) if templates else ())


def merged(templates: Iterable[Template]) -> list[Template]:
    """Join the templates of each person, as when somebody was enrolled twice; the later threshold counts."""
    known: dict[str, list[Template]] = {}
    for template in templates:
        known.setdefault(template.identity, []).append(template)
    return [_joined(same) for same in known.values()]


def _joined(same: Sequence[Template]) -> Template:
    if len(same) == 1:
        return same[0]
    own = [template.threshold for template in same if template.threshold is not None]
    vectors = np.concatenate([template.vectors for template in same])
    parts = np.concatenate([_parts(template) for template in same])
    return Template(same[0].identity, vectors, parts, own[-1] if own else None)


class Stack:
    """Builds a segment row by row, without a second copy of its numbers."""

    def __init__(self) -> None:
        self._identities: list[str] = []
        self._rows: list[int] = []
        self._thresholds: list[float] = []
        self._vectors, self._parts = bytearray(), bytearray()
        self._width = 0

    def __len__(self) -> int:
        return len(self._identities)

    def add(self, identity: str, vectors: Vectors, parts: Parts | None, threshold: float | None) -> None:
        """Put somebody on; rows of the person who came last are added to theirs. Raises `Unavailable`."""
        count = len(vectors)
        shaped = vectors.ndim == 2 and count and vectors.shape[1] == (self._width or vectors.shape[1])
        if not shaped or (parts is not None and len(parts) != count):
            raise Unavailable(f"The template of {identity} cannot be used.")
        self._width = vectors.shape[1]
        if not (self._identities and self._identities[-1] == identity):
            self._identities.append(identity)
            self._rows.append(0)
            self._thresholds.append(np.nan)
        self._rows[-1] += count
        if threshold is not None:
            self._thresholds[-1] = threshold
        self._vectors += np.ascontiguousarray(vectors, np.float32).tobytes()
        self._parts += bytes(count) if parts is None else parts.astype(np.uint8).tobytes()

    def segment(self) -> Segment:
        """Give what was put on; raises `Unavailable` for numbers that are not finite."""
        vectors = np.frombuffer(self._vectors, np.float32).reshape(-1, self._width or 1)
        offsets = np.cumsum([0, *self._rows], dtype=np.int64)
        if not np.isfinite(vectors).all():
            row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
            person = int(np.searchsorted(offsets, row, side="right")) - 1
            raise Unavailable(f"The template of {self._identities[person]} cannot be used.")
        return Segment(
            identities=tuple(self._identities),
            vectors=vectors,
            parts=np.frombuffer(self._parts, np.uint8),
            offsets=offsets,
            thresholds=np.array(self._thresholds, np.float32),
            alive=np.ones(len(self._identities), np.bool_),
        )


def _segment(templates: Iterable[Template]) -> Segment:
    stack = Stack()
    for template in templates:
        stack.add(template.identity, template.vectors, template.parts, template.threshold)
    return stack.segment()


def _parts(template: Template) -> Parts:
    return np.zeros(len(template.vectors), np.uint8) if template.parts is None else template.parts
