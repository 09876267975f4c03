"""What was asked for, and what an engine can give: lengths, sizes and frame rates snapped in one place."""

from __future__ import annotations

from dataclasses import replace

from core.errors import BadInput
from core.shot import Limits, Shot

MAX_PICTURE_SECONDS = 16.0
"""The longest clip with a generated picture, whatever the engine could do."""
_MIN_SIDE = 32


def frame_count(shot: Shot) -> int:
    """Count the frames of a shot; at least one."""
    return max(1, round(shot.seconds * shot.fps))


def snap(shot: Shot, limits: Limits) -> Shot:
    """Move a shot to the nearest one the engine can render; raise `BadInput` when none is near.

    Frames become a multiple of `frame_step` plus one (when the step is over 1), sides multiples of
    `size_step`, shrunk to `max_pixels` with their proportion kept. Snapping twice changes nothing more. The
    picture of a `source` is never touched.
    """
    _refuse(shot, limits)
    if not shot.picture or shot.source is not None:
        return shot
    fps = min(limits.fps, key=lambda offered: (abs(offered - shot.fps), offered))
    frames = _frames(shot.seconds * fps, limits.frame_step)
    width, height = _size(shot.width, shot.height, limits)
    return replace(shot, seconds=frames / fps, fps=fps, width=width, height=height)


def _refuse(shot: Shot, limits: Limits) -> None:
    makes_picture = shot.picture and shot.source is None
    longest = min(limits.max_seconds, MAX_PICTURE_SECONDS) if makes_picture else limits.max_seconds
    # A snapped length may lie up to one frame step past the longest that may be asked for.
    slack = limits.frame_step / min(limits.fps) if makes_picture else 0.0
    if not 0 < shot.seconds <= longest + slack:
        raise BadInput(
            f"{shot.seconds:g} s cannot be rendered; ask for more than 0 and at most {longest:g} s."
        )
    if makes_picture and not limits.picture:
        raise BadInput("This engine makes sound only.")
    if shot.sound and not limits.sound:
        raise BadInput("This engine makes no sound.")
    if not shot.sound and not makes_picture:
        raise BadInput("Nothing is asked for: neither picture nor sound.")
    if makes_picture and (min(shot.width, shot.height) < _MIN_SIDE or shot.fps < 1):
        raise BadInput(
            f"A picture needs sides of at least {_MIN_SIDE} pixels and at least 1 frame per second."
        )


def _frames(wanted: float, step: int) -> int:
    if step == 1:
        return max(1, round(wanted))
    return max(1, round((wanted - 1) / step)) * step + 1


def _size(width: int, height: int, limits: Limits) -> tuple[int, int]:
    step = limits.size_step
    shrink = min(1.0, (limits.max_pixels / (width * height)) ** 0.5)
    sides = [max(step, round(side * shrink / step) * step) for side in (width, height)]
    while sides[0] * sides[1] > limits.max_pixels and max(sides) > step:
        sides[sides.index(max(sides))] -= step
    return sides[0], sides[1]
