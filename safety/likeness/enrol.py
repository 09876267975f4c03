"""What a picture must be to stand for a person: one face, large, sharp, seen from the front, photographed."""

from __future__ import annotations

from pathlib import Path

from core.errors import BadEnrolment, BadMedia
from core.media.clip import Frame, Picture
from safety.likeness.eye import Eye
from safety.likeness.geometry import reduced
from safety.likeness.quality import flatness
from safety.likeness.recogniser import Vectors
from safety.likeness.tracks import View

_SIZE = 64.0
_SHARPNESS = 0.18
_TURN = 0.35
_FLAT = 0.5
_BYSTANDER = 0.3
_MOST_PIXELS = 50_000_000
_MOST_SIDE = 2560


def enrolled(path: Path, eye: Eye) -> Vectors:
    """Make the vector of one picture, (1, d); raises `BadEnrolment` or `BadMedia` with the reason."""
    from core.media import read, still

    width, height = still.size_of(path)
    if width * height > _MOST_PIXELS:
        raise BadMedia(f"The picture has {width}x{height} pixels; at most {_MOST_PIXELS} are accepted.")
    picture = read.picture(path)
    scale = min(1.0, _MOST_SIDE / max(picture.shape))
    small = reduced(picture, round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    view = _only(small, eye)
    why = _unfit(view)
    if why is not None:
        raise BadEnrolment(why)
    return view.vector


def _only(picture: Picture, eye: Eye) -> View:
    faces = eye.still(picture)
    if not faces:
        raise BadEnrolment("no face was found")
    face = max(faces, key=lambda found: found.size)
    if sum(other.size > _BYSTANDER * face.size for other in faces) > 1:
        raise BadEnrolment("more than one person is in the picture")
    return eye.view(eye.sight(Frame(0, 0.0, picture), face))


def _unfit(view: View) -> str | None:
    seen = view.quality
    if seen.size < _SIZE:
        return f"the face is {seen.size:.0f} px wide, less than {_SIZE:.0f}"
    if seen.sharpness < _SHARPNESS:
        return "the face is too blurred"
    if seen.turn > _TURN:
        return "the face is turned away"
    if view.hidden:
        return "the face is partly hidden, or it is no face"
    flat = flatness(view.sighting.part, view.sighting.face)
    return "this is a drawing" if flat > _FLAT else None
