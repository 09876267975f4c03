"""Paint for invented faces: skin, eyes, brows, lips, beard and spectacles over head coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from generation.engines.persona.solids import Plane
from generation.engines.persona.traits import Face

Expression = Literal["neutral", "smile", "talk"]


def bump(x: Plane, y: Plane, at: tuple[float, float], radii: tuple[float, float]) -> Plane:
    """Raise a Gaussian bell of height 1 at a point."""
    dx, dy = (x - at[0]) / radii[0], (y - at[1]) / radii[1]
    return np.asarray(np.exp(-(dx * dx + dy * dy)), np.float32)


def step(x: Plane, low: float, high: float) -> Plane:
    """Rise smoothly from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


@dataclass(frozen=True, slots=True)
class _Mouth:
    """Edges of the lips over head coordinates: y grows downwards."""

    inside: Plane
    top: Plane
    line_up: Plane
    line_low: Plane
    bottom: Plane


def _mouth(f: Face, x: Plane, expression: Expression) -> _Mouth:
    width = f.mouth_width * (1.18 if expression == "smile" else 0.93 if expression == "talk" else 1.0)
    centre = f.nose_length + f.mouth_drop
    u = np.clip(np.abs(x) / width, 0, 1)
    arc = np.sqrt(1 - u * u)
    lift = {"neutral": 0.0, "smile": -0.075, "talk": 0.0}[expression] * u * u
    gap = {"neutral": 0.0, "smile": 0.012, "talk": 0.085}[expression] * arc
    bow = 1 - 0.28 * np.exp(-np.square(u / 0.16)) + 0.10 * np.exp(-np.square((u - 0.3) / 0.2))
    line = centre + lift - 0.030 * u * u + 0.010 * np.exp(-np.square(u / 0.18))
    return _Mouth(
        inside=np.asarray(np.abs(x) < width, np.float32),
        top=line - gap * 0.4 - 0.078 * f.lip * bow * (1 - u * u),
        line_up=line - gap * 0.4,
        line_low=line + gap,
        bottom=line + gap + 0.105 * f.lip * arc**1.3,
    )


def relief(f: Face, x: Plane, y: Plane) -> Plane:
    """Raise and sink the surface: sockets, eyeballs, lips, folds of age, in head units."""
    centre = f.nose_length + f.mouth_drop
    side = np.abs(x)
    rise = -f.socket * bump(side, y, (f.eye_gap, -0.005), (0.19, 0.11))
    rise += (0.02 + f.brow_ridge) * bump(side, y, (f.eye_gap - 0.03, -f.brow_height), (0.26, 0.09))
    rise += (0.02 + f.cheek) * bump(side, y, (0.38 * f.width, 0.24), (0.20, 0.16))
    rise -= f.gaunt * bump(side, y, (0.40 * f.width, 0.55), (0.13, 0.20))
    rise += 0.060 * bump(side, y, (f.eye_gap, 0.005), (0.12 * f.eye_size, 0.075))
    rise += 0.045 * f.lip * bump(x, y, (0, centre - 0.04), (f.mouth_width * 0.8, 0.045))
    rise += 0.060 * f.lip * bump(x, y, (0, centre + 0.06), (f.mouth_width * 0.6, 0.05))
    rise -= 0.030 * bump(x, y, (0, centre + 0.16), (0.16, 0.05))
    rise -= 0.012 * bump(x, y, (0, (f.nose_length + centre) / 2 - 0.03), (0.025, 0.06))
    fold = np.abs(side - (0.15 + 0.55 * (y - f.nose_length + 0.05))) / 0.022
    furrows = np.sin((y + 0.02 * np.cos(5 * x)) * 62) * bump(x, y, (0, -0.42), (0.34, 0.13))
    rise += 0.005 * max(0.0, f.age - 0.45) * furrows
    length = step(y, f.nose_length - 0.08, f.nose_length + 0.04) * (1 - step(y, centre - 0.06, centre + 0.05))
    rise -= 0.014 * (0.15 + f.age) * np.exp(-fold * fold) * length
    bag = bump(side, y, (f.eye_gap - 0.02, 0.125), (0.12, 0.022))
    return np.asarray(rise - 0.012 * f.age * bag, np.float32)


def noise(rng: np.random.Generator, x: Plane, y: Plane, cells: tuple[float, float]) -> Plane:
    """Sample smooth noise of unit variance at head coordinates; `cells` per head unit in x and y."""
    grid = rng.normal(0, 1, (128, 128)).astype(np.float32)
    at_x, at_y = (x * cells[0]) % 127, (y * cells[1]) % 127
    sampled = cv2.remap(grid, at_x.astype(np.float32), at_y.astype(np.float32), cv2.INTER_LINEAR)
    return np.asarray(sampled, np.float32)


def mix(image: Plane, colour: Plane | tuple[float, ...], alpha: Plane) -> Plane:
    """Blend a colour over an image where `alpha` is 1."""
    return np.asarray(image + (np.asarray(colour, np.float32) - image) * alpha[..., None], np.float32)


def skin_colour(f: Face, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Colour bare skin: blush, shadows around the eyes, mottling, freckles; linear light."""
    base = np.asarray(f.skin, np.float32)
    side = np.abs(x)
    skin = np.broadcast_to(base, (*x.shape, 3)).copy()
    blush = 0.7 * bump(side, y, (0.38 * f.width, 0.27), (0.2, 0.17)) + 0.6 * bump(
        x, y, (0, f.nose_length - 0.05), (0.12, 0.1)
    )
    skin *= 1 + blush[..., None] * np.array([0.04, -0.16, -0.18], np.float32)
    tired = bump(side, y, (f.eye_gap, 0.09), (0.16, 0.07)) * (0.12 + 0.16 * f.age)
    lids = bump(side, y, (f.eye_gap, -0.08), (0.17, 0.06)) * 0.14
    skin *= 1 - (tired + lids)[..., None] * np.array([0.8, 1.0, 0.95], np.float32)
    mottle = 0.028 * noise(rng, x, y, (26, 26)) + 0.030 * noise(rng, x, y, (7, 7))
    skin *= 1 + mottle[..., None]
    spots = step(noise(rng, x, y, (40, 40)), 1.5, 2.2) * bump(x, y, (0, 0.2), (0.5, 0.2)) * f.freckles
    return mix(skin, base * np.array([0.55, 0.42, 0.35], np.float32), spots * 0.7)


def _beard(f: Face, x: Plane, y: Plane, mouth: _Mouth, rng: np.random.Generator) -> Plane:
    """Tell how much beard covers each point, 0-1."""
    side = np.abs(x)
    low = step(y, f.nose_length + 0.10, f.nose_length + 0.25) * step(y + 0.9 * side, 0.72, 0.95)
    cheeks = step(side, 0.48 * f.width, 0.58 * f.width) * step(y, 0.05, 0.3)
    lip = bump(x, y, (0, f.nose_length + 0.09), (0.22, 0.06))
    lips = (y > mouth.top) * (y < mouth.bottom) * mouth.inside
    cover = np.clip(np.maximum(np.maximum(low, cheeks), lip), 0, 1) * (1 - lips)
    strands = 0.75 + 0.25 * noise(rng, x, y, (60, 22))
    above = step(y, f.nose_length + 0.03, f.nose_length + 0.07) * (y < mouth.top + 0.02) * (side < 0.28)
    grown = np.maximum(cover * min(1.0, 1.3 * f.beard), above * (1 - lips) * min(1.0, 2 * f.moustache))
    return np.asarray(np.clip(grown * strands, 0, 1), np.float32)


def _brows(f: Face, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Tell how much eyebrow covers each point, 0-1."""
    t = (np.abs(x) - (f.eye_gap - 0.17)) / 0.37
    middle = -f.brow_height - f.brow_arch * np.sin(np.clip(t, 0, 1) * 2.6) + 0.06 * np.clip(t - 0.65, 0, 1)
    middle -= f.eye_tilt * (t - 0.4) * 0.15
    thick = 0.034 * f.brow_weight * (1.05 - 0.75 * np.clip(t, 0, 1))
    band = 1 - step(np.abs(y - middle) / thick, 0.55, 1.35)
    ends = step(t, -0.02, 0.10) * (1 - step(t, 0.85, 1.02))
    strands = 0.85 + 0.3 * noise(rng, x + 0.4 * y, y, (55, 30))
    return np.asarray(np.clip(band * ends * strands, 0, 1) * 0.92, np.float32)


def _eyes(f: Face, x: Plane, y: Plane, image: Plane) -> Plane:
    """Paint both eyes: white, iris, pupil, lids, lashes."""
    half = 0.158 * f.eye_size
    side = np.abs(x)
    u = (side - f.eye_gap) / half
    v = y / half + f.eye_tilt * u
    arc = np.clip(1 - u * u, 0, 1)
    upper = -1.15 * f.eye_open * arc ** (0.62 + 0.15 * u)
    lower = 0.62 * f.eye_open * arc**0.85
    inside = step(v - upper, -0.03, 0.05) * step(lower - v, -0.03, 0.05) * (np.abs(u) < 1)
    ball = 1.0 - 0.38 * u * u - 0.25 * v * v
    white = np.array([0.50, 0.46, 0.43], np.float32) * np.clip(ball, 0.2, 1)[..., None]
    from_iris = np.sqrt(u * u + np.square(v + 0.05)) / 0.41
    rays = 1 + 0.25 * np.sin(np.arctan2(v + 0.05, u) * 19)
    iris = np.asarray(f.iris, np.float32) * (rays * (0.7 + 0.6 * from_iris))[..., None]
    eye = mix(white, iris, 1 - step(from_iris, 0.93, 1.06))
    eye *= 1 - 0.55 * bump(from_iris, from_iris, (0.97, 0.97), (0.12, 0.12))[..., None]
    eye = mix(eye, (0.006, 0.005, 0.005), 1 - step(from_iris, 0.36, 0.46))
    eye *= 1 - 0.55 * (1 - step(v - upper, 0.0, 0.28))[..., None]
    eye = mix(eye, (0.40, 0.16, 0.13), bump(u, v, (-0.92, 0.03), (0.12, 0.14)))
    centre = np.sign(x) * f.eye_gap
    eye = mix(eye, (1.6, 1.6, 1.6), 1 - step(np.hypot((x - centre) / half + 0.15, v + 0.22) / 0.11, 0.6, 1.1))
    image = mix(image, eye, inside.astype(np.float32))
    near = (np.abs(u) < 1.12).astype(np.float32)
    lash = np.exp(-np.square((v - upper + 0.03) / (0.055 + 0.035 * np.clip(u, 0, 1) + 0.06 * f.liner))) * near
    crease = np.exp(-np.square((v - upper * 1.25 + f.lid) / 0.05)) * near * np.sqrt(arc)
    under = np.exp(-np.square((v - lower) / 0.04)) * near
    dark = np.asarray(f.skin, np.float32) * 0.18
    image = mix(image, dark * 0.4, np.asarray(lash * 0.9, np.float32))
    image = mix(image, dark * 1.6, np.asarray(crease * 0.5, np.float32))
    return mix(image, dark * 1.6, np.asarray(under * 0.45, np.float32))


def _lips(f: Face, y: Plane, mouth: _Mouth, image: Plane) -> Plane:
    skin = np.asarray(f.skin, np.float32)
    tint = np.array([0.80, 0.46, 0.50], np.float32) * np.asarray(f.lipstick, np.float32)
    red = skin * tint + np.array([0.03, 0.0, 0.004], np.float32)
    upper = step(y - mouth.top, -0.008, 0.010) * (y < mouth.line_up)
    lower = step(mouth.bottom - y, -0.010, 0.014) * (y >= mouth.line_low)
    image = mix(image, red * 0.80, np.asarray(upper * mouth.inside * 0.9, np.float32))
    image = mix(image, red, np.asarray(lower * mouth.inside * 0.9, np.float32))
    open_ = np.asarray((y >= mouth.line_up) * (y < mouth.line_low) * mouth.inside, np.float32)
    image = mix(image, (0.035, 0.010, 0.010), open_)
    teeth = open_ * (y < mouth.line_up + 0.045)
    image = mix(image, (0.55, 0.52, 0.46), np.asarray(teeth, np.float32))
    seam = np.exp(-np.square((y - mouth.line_up) / 0.010)) * mouth.inside
    return mix(image, skin * 0.12, np.asarray(seam * 0.75, np.float32))


def paint(f: Face, x: Plane, y: Plane, expression: Expression, rng: np.random.Generator) -> Plane:
    """Colour the skin and everything drawn on it, linear light."""
    mouth = _mouth(f, x, expression)
    image = skin_colour(f, x, y, rng)
    hair = np.asarray(f.hair, np.float32)
    image = mix(image, hair * 0.8, _beard(f, x, y, mouth, rng))
    painted = _brows(f, x, y, rng)
    image = mix(image, hair * 0.45, painted)
    image = _eyes(f, x, y, image)
    image = _lips(f, y, mouth, image)
    holes = bump(np.abs(x), y, (0.068 * f.nose_width, f.nose_length + 0.005), (0.035, 0.018))
    image = mix(image, np.asarray(f.skin, np.float32) * 0.07, holes * 0.85)
    return mix(image, (0.02, 0.02, 0.022), _frames(f, x, y))


def _frames(f: Face, x: Plane, y: Plane) -> Plane:
    """Tell where a pair of spectacles covers the face, 0-1."""
    if not f.glasses:
        return np.zeros_like(x)
    side = np.abs(x)
    wide, high, round_ = 0.235, 0.15 + 0.05 * f.glasses, 2.0 + 4.0 * f.glasses
    rim = (np.abs((side - f.eye_gap - 0.01) / wide) ** round_ + np.abs((y - 0.03) / high) ** round_) ** (
        1 / round_
    )
    line = np.exp(-(np.square((rim - 1) / 0.075) ** 2))
    bridge = (side < f.eye_gap - wide + 0.02) * np.exp(-(np.square((y + 0.03) / 0.022) ** 2))
    arm = (side > f.eye_gap + wide) * np.exp(-(np.square((y + 0.02) / 0.024) ** 2))
    return np.asarray(np.clip(line + bridge + arm, 0, 1), np.float32)
