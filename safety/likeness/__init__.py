"""Likeness: protected people in the picture.

`build` makes the models once, `Likeness.load` opens them, `screen` looks through a clip for a gallery of
`Template`s, `enrol` turns pictures of a person into the vectors of a template.
"""

from safety.gallery import Enrolment, Template
from safety.likeness.convert import build
from safety.likeness.likeness import Likeness

__all__ = ["Enrolment", "Likeness", "Template", "build"]
