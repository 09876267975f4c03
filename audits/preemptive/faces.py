"""Face data that a suite is given: pictures in folders named after people, and a list of pairs.

The folder holds one folder of pictures, `NAME/NAME_0001.jpg`, and one list of tab-separated pairs, `fold, name, i, j`
for one person and `fold, name, i, name, j` for two, which is LFW's form. Thresholds and crops of the embedded tier
were chosen on folds 1 and 2 (`TUNED`); what is judged by a threshold is judged on the others.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from core.errors import BadInput
from core.media import read
from core.media.clip import Frame, Picture
from safety.likeness.calibration import Calibration
from safety.likeness.cohort import Cohort
from safety.likeness.eye import Eye
from safety.likeness.faces import Face
from safety.likeness.recogniser import Vectors, unit

TUNED = frozenset({"1", "2"})
FEWEST = 30
"""False matches that a rate must rest on to be told at all."""
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Photo:
    """A picture of a named person; `tuned` says that thresholds were chosen with its help."""

    person: str
    path: Path
    tuned: bool


def photos(folder: Path) -> list[Photo]:
    """List all pictures of the people whom the pair list names; raises `BadInput` when there are none."""
    lists, folders = sorted(folder.glob("*.tsv")), sorted(path for path in folder.iterdir() if path.is_dir())
    if len(lists) != 1 or len(folders) != 1:
        raise BadInput(f"{folder} must hold one folder of pictures and one list of pairs (.tsv).")
    folds = _folds(lists[0].read_text().splitlines())
    found = [
        Photo(path.parent.name, path, folds[path.parent.name] in TUNED)
        for path in sorted(folders[0].glob("*/*"))
        if path.parent.name in folds
    ]
    if not found:
        raise BadInput(f"{folder} has no pictures of the people in its list of pairs.")
    return found


def _folds(lines: Iterable[str]) -> dict[str, str]:
    folds: dict[str, str] = {}
    for line in lines:
        fold, *rest = line.split("\t")
        for name in rest[:1] if len(rest) == 3 else rest[:3:2]:  # name i j; name i name j
            folds[name] = fold
    return folds


def middle_face(picture: Picture, eye: Eye) -> Face | None:
    """Find the face nearest to the middle of a picture, whom such data means."""
    middle = np.array(picture.shape[1::-1]) / 2
    faces = eye.still(picture)
    return min(faces, key=lambda face: float(np.abs(face.points.mean(0) - middle).max()), default=None)


def vector(picture: Picture, eye: Eye) -> Vectors | None:
    """Embed the person of a picture as screening would, (1, d); None when no face is found."""
    face = middle_face(picture, eye)
    return None if face is None else eye.view(eye.sight(Frame(0, 0.0, picture), face)).vector


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """The photos in which a face was found, their vectors, (n, d), and the cohort that scores are normalised on."""

    photos: tuple[Photo, ...]
    vectors: Vectors
    cohort: Cohort

    def among(self, rows: Sequence[int]) -> Embedded:
        """Take some of them."""
        return Embedded(tuple(self.photos[row] for row in rows), self.vectors[list(rows)], self.cohort)

    @property
    def untuned(self) -> Embedded:
        """Those that no threshold was chosen on."""
        return self.among([row for row, photo in enumerate(self.photos) if not photo.tuned])

    def score(self, first: int, other: Vectors) -> float:
        """Score a photo against a vector, (d,) or (1, d), as screening would."""
        return float(scores(self.vectors[first : first + 1], other.reshape(1, -1), self.cohort)[0, 0])

    def by_person(self) -> dict[str, list[int]]:
        """Give the rows of each person."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, photo in enumerate(self.photos):
            rows[photo.person].append(row)
        return dict(rows)


def scores(queries: Vectors, people: Vectors, cohort: Cohort) -> Numbers:
    """Score every query with every person, (queries, people)."""
    cosines = queries.astype(np.float64) @ people.T.astype(np.float64)
    return cosines - cohort.shift(queries)[:, None] - cohort.shift(people)


def embedded(pictures: Sequence[Photo], eye: Eye, cohort: Cohort) -> Embedded:
    """Embed many pictures."""
    made = [(photo, vector(read.picture(photo.path), eye)) for photo in pictures]
    found = [(photo, one) for photo, one in made if one is not None]
    if not found:
        raise BadInput("No face was found in any of the pictures.")
    vectors = np.concatenate([one for _, one in found])
    return Embedded(tuple(photo for photo, _ in found), vectors, cohort)


def pair_scores(data: Embedded) -> tuple[Numbers, Numbers]:
    """Score all pairs: those of one person, those of two, rising."""
    first, second = np.triu_indices(len(data.photos), 1)
    names = np.array([photo.person for photo in data.photos])
    alike = scores(data.vectors, data.vectors, data.cohort)[first, second]
    same = names[first] == names[second]
    return np.sort(alike[same]), np.sort(alike[~same])


def at_rate(impostors: Numbers, rate: float) -> float:
    """Give the score that this share of impostors reaches."""
    return float(impostors[-max(1, int(rate * len(impostors)))])


def open_set(data: Embedded, references: int) -> tuple[Numbers, Numbers, Numbers, int]:
    """Enrol everybody with enough pictures and look for everybody else's and their other pictures.

    Give the best score of each mate where it is the right person's and minus infinity where not, the best score of
    each stranger, the right person's own score of each mate, and how many people were enrolled.
    """
    people = data.by_person()
    known = {name: rows for name, rows in people.items() if len(rows) >= references}
    if not known:
        nothing = np.zeros(0)
        return nothing, nothing, nothing, 0
    gallery = unit(np.stack([data.vectors[rows[:references]].sum(0) for rows in known.values()]))
    mates = [(number, row) for number, rows in enumerate(known.values()) for row in rows[references:]]
    strangers = [row for name, rows in people.items() if name not in known for row in rows]
    alike = scores(data.vectors[[row for _, row in mates]], gallery, data.cohort)
    right = alike[np.arange(len(mates)), [number for number, _ in mates]]
    top = np.where(alike.argmax(1) == [number for number, _ in mates], right, -np.inf)
    others = scores(data.vectors[strangers], gallery, data.cohort).max(1, initial=-np.inf)
    return top, np.sort(others), right, len(known)


def calibrated(data: Embedded, measured: str) -> Calibration:
    """Measure which score strangers reach how often, as far as the data can tell; raises `BadInput` for too few.

    A rate is told from thirty false matches on. How much more the mean of several pictures is like everybody is
    told from means of three.
    """
    _, strangers = pair_scores(data)
    rates = [rate for rate in (1e-6, 1e-5, 1e-4, 1e-3) if rate * len(strangers) >= FEWEST]
    if len(rates) < 2:  # a threshold is interpolated between rates
        raise BadInput(f"{len(strangers)} pairs of strangers are too few: 1e-4 takes {FEWEST * 10_000}.")
    singles = tuple((rate, at_rate(strangers, rate)) for rate in rates)
    return Calibration(impostors=singles, centroid=_raised(data, singles[-1]), measured=measured)


def _raised(data: Embedded, single: tuple[float, float]) -> float:
    groups = {name: rows[:3] for name, rows in data.by_person().items() if len(rows) > 2}
    if len(groups) < 2:
        return 0.02
    means = unit(np.stack([data.vectors[rows].sum(0) for rows in groups.values()]))
    names = np.array([photo.person for photo in data.photos])
    others = names[:, None] != np.array(list(groups))
    reached = np.sort(scores(data.vectors, means, data.cohort)[others])
    return max(0.0, (at_rate(reached, single[0]) - single[1]) / (1 - 1 / 3))
