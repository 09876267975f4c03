"""Make the cohort that scores of faces are normalised on: `python -m pipeline.face_cohort`.

A hundred people of the sandbox engine, each drawn once; nobody real. The same code and models give the same file.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from core.media.clip import Frame
from core.models import registry
from generation.engines.persona import Persona, portrait
from safety.likeness import build, tiers
from safety.likeness.cohort import FILE
from safety.likeness.eye import Eye

_FIRST, _COUNT, _SIDE = 1000, 100, 200


def main() -> None:
    """Draw, embed and write."""
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        detector, recogniser = tiers.networks(Path(folder), "embedded", threads=1)
        eye = Eye(detector, recogniser)
        vectors = []
        for number in range(_COUNT):
            picture = portrait(Persona(_FIRST + number), size=_SIDE, yaw=float(number * 37 % 30 - 15))
            faces = eye.still(picture)
            if faces:
                vectors.append(eye.view(eye.sight(Frame(0, 0.0, picture), faces[0])).vector)
        kept = np.concatenate(vectors).astype(np.float16)
        np.savez_compressed(FILE, vectors=kept, recogniser=np.array(registry()["dlib-face-resnet"].sha256))


if __name__ == "__main__":
    main()
