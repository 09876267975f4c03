"""Portraits of invented people: ellipsoids, light and paint; no photograph is involved.

The head is a smooth union of ellipsoids. Paint (eyes, brows, lips, beard) is laid on in the head's own
coordinates and therefore turns with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.media.clip import Picture
from generation.engines.persona.paint import Expression, bump, mix, noise, paint, relief, skin_colour, step
from generation.engines.persona.solids import (
    FAR,
    Plane,
    Solid,
    View,
    crevices,
    normals,
    outline,
    shadow,
    union,
    view,
)
from generation.engines.persona.traits import Face, Persona

_SPAN = 2.9


def portrait(
    persona: Persona,
    *,
    size: int = 256,
    yaw: float = 0.0,
    light: tuple[float, float, float] = (-0.45, -0.55, 0.75),
    expression: Expression = "neutral",
) -> Picture:
    """Render head and shoulders, (size, size, 3) uint8.

    `yaw` is in degrees, positive to the viewer's right, within about 45; `light` points at the key light in
    picture coordinates (x right, y down, z to the viewer).
    """
    face = persona.face
    seen = view(size * 2, _SPAN, float(np.radians(yaw)))
    rng = np.random.default_rng([persona.seed, 4])
    key = np.asarray(light, np.float32) / np.float32(np.linalg.norm(light))
    linear = _scene(face, seen, key, rng, expression)
    soft = cv2.GaussianBlur(linear, (0, 0), 0.8)
    linear = np.asarray(cv2.resize(soft, (size, size), interpolation=cv2.INTER_AREA), np.float32)
    grain = rng.normal(0, 0.007, (size, size, 1)).astype(np.float32)
    shown = np.clip(linear / (1 + 0.25 * linear) * 1.2, 0, 1) ** np.float32(1 / 2.2) + grain
    return np.asarray(np.clip(shown, 0, 1) * 255 + 0.5, np.uint8)


def _head(f: Face) -> tuple[Solid, ...]:
    w, low, nl, nw = f.width, f.length, f.nose_length, f.nose_width
    tip = 0.60 + 0.09 * f.nose_height
    return (
        Solid((0, -0.28, -0.28), (0.72 * w, 0.76, 0.84)),
        Solid((0, 0.12 * low, -0.05), (0.64 * w, 0.80 * low, 0.62), 0.2),
        Solid((0, 0.50 * low, 0.02), (0.53 * w * f.jaw, 0.46 * low, 0.47), 0.2),
        Solid((0, 0.85 * low, 0.33), (0.20 * f.chin, 0.16, 0.17), 0.2),
        *(Solid((s * 0.72 * w, 0.10, -0.20), (0.07, 0.21, 0.12), 0.03) for s in (-1, 1)),
        Solid((0, 0.10, 0.46), (0.12 * nw, 0.36 * nl / 0.4, 0.14), 0.22, 0.30 * f.nose_height),
        Solid((f.bend * 0.6, nl - 0.07, tip), (0.115 * nw, 0.095, 0.125), 0.14),
        *(
            Solid((s * 0.105 * nw + f.bend * 0.6, nl - 0.05, tip - 0.10), (0.075 * nw, 0.065, 0.10), 0.08)
            for s in (-1, 1)
        ),
    )


def _neck(f: Face) -> tuple[Solid, ...]:
    girth = 0.33 + 0.08 * f.jaw * f.width
    return (Solid((0, 1.05, -0.30), (girth, 0.90, 0.38)), Solid((0, 1.78, -0.45), (0.80, 0.46, 0.42), 0.5))


def _cloth(f: Face) -> tuple[Solid, ...]:
    broad = 1.45 * (0.75 + 0.25 * f.jaw)
    return (Solid((0, 2.25, -0.42), (broad, 0.86, 0.70)), Solid((0, 1.80, -0.45), (0.90, 0.50, 0.44), 0.5))


def _hair_cap(f: Face) -> tuple[Solid, ...]:
    v = f.hair_volume
    return (Solid((0, -0.30 - 0.5 * v, -0.27), (0.745 * f.width + 0.7 * v, 0.79 + 0.5 * v, 0.88 + 0.4 * v)),)


def _hair_back(f: Face) -> tuple[Solid, ...]:
    fall, v = f.hair_length, f.hair_volume
    return (Solid((0, -0.15 + 0.6 * fall, -0.52), (0.78 * f.width + v, 0.75 + 0.75 * fall, 0.40)),)


def _hair_locks(f: Face) -> tuple[Solid, ...]:
    fall, v = f.hair_length, f.hair_volume
    wide = 0.68 * f.width + 0.45 * v
    return tuple(Solid((s * wide, 0.1 + 0.5 * fall, -0.25), (0.21, 0.30 + 0.75 * fall, 0.3)) for s in (-1, 1))


def _strands(f: Face, x: Plane, y: Plane, rng: np.random.Generator) -> Plane:
    """Colour the hair, linear light."""
    bend = 0.10 * f.hair_curl * np.sin(y * (6 + 16 * f.hair_curl))
    around = np.arctan2(x + bend, -(y - 1.2))
    fine = noise(rng, around * 3, y, (30, 2.2 + 8 * f.hair_curl))
    coarse = noise(rng, around * 3, y, (9, 1.5 + 4 * f.hair_curl))
    gain = np.clip(1 + 0.28 * fine + 0.22 * coarse, 0.2, 2.2)
    return np.asarray(np.asarray(f.hair, np.float32) * gain[..., None], np.float32)


def _hair_shown(f: Face, x: Plane, y: Plane, z: Plane, rng: np.random.Generator) -> Plane:
    """Tell where the cap of hair is seen, 0-1: above the hairline, in front of the ears, and behind them."""
    u = np.abs(x) / (0.66 * f.width)
    line = f.hair_line + 0.10 * np.clip(u, 0, 1) ** 2 + 0.75 * step(u, 0.80, 1.08)
    line += 0.05 * np.clip(np.abs(x - 0.12) / 0.4, 0, 1) + 0.9 * f.hair_length * step(-z, -0.1, 0.3)
    ragged = 0.030 * noise(rng, x, y, (45, 16)) + 0.018 * noise(rng, x, y, (12, 12))
    return step(line + ragged - y, -0.05, 0.05)


def _lit(layer: _Layer, n: Plane, blocked: Plane, dark: Plane, key: Plane) -> Plane:
    """Light a surface: wrapped key light, sky and bounce, a fill from the other side."""
    facing = (n @ key)[..., None]
    soft = np.asarray(layer.wrap, np.float32)
    direct = np.clip((facing + soft) / (1 + soft), 0, 1) ** 1.2
    direct = direct * (1 - blocked[..., None] * (1 - 0.5 * soft))
    sky = 0.5 - 0.5 * n[..., 1:2]
    ambient = np.array([0.20, 0.21, 0.23], np.float32) * (0.45 + 0.55 * sky) + 0.05
    fill = 0.22 * np.clip(n @ np.array([-key[0], 0.0, 0.7], np.float32), 0, 1)[..., None]
    occlusion = 1 - 0.75 * dark[..., None]
    warm = np.array([1.02, 0.97, 0.90], np.float32)
    return np.asarray(layer.colour * (1.25 * warm * direct + (ambient + fill) * occlusion), np.float32)


def _gloss(n: Plane, key: Plane, sharp: float) -> Plane:
    half = key + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    return np.asarray(np.clip(n @ half, 0, 1) ** sharp, np.float32)


def _wall(f: Face, seen: View, rng: np.random.Generator) -> Plane:
    glow = 0.75 + 0.5 * bump(seen.x, seen.y, (-0.6, -0.4), (1.6, 1.8))
    shade = noise(rng, seen.x + 5, seen.y + 5, (0.9, 0.9)) * 0.10
    return np.asarray(np.asarray(f.wall, np.float32) * (glow + shade)[..., None] * 0.8, np.float32)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One thing in the picture: depth, coverage 0-1, colour, and how it takes light."""

    z: Plane
    cover: Plane
    colour: Plane
    wrap: tuple[float, float, float]
    shine: tuple[float, float]


_SKIN = ((0.38, 0.20, 0.14), (0.045, 22.0))
_HAIR = ((0.15, 0.15, 0.15), (0.05, 9.0))
_CLOTH = ((0.15, 0.15, 0.15), (0.0, 1.0))


def _scene(f: Face, seen: View, key: Plane, rng: np.random.Generator, expression: Expression) -> Plane:
    """Compose wall, hair, neck, cloth and head, nearest last; linear light."""
    head = _head_layer(f, seen, rng, expression)
    neck, cloth, back, locks, cap = _neck(f), _cloth(f), _hair_back(f), _hair_locks(f), _hair_cap(f)
    skin = skin_colour(f, seen.x + 3, seen.y, rng) * np.float32(0.92)
    collar = step(np.hypot(seen.x, (seen.y - 1.18) * 1.25), 0.42, 0.44)
    weave = np.asarray(f.cloth, np.float32) * (1 + 0.06 * noise(rng, seen.x, seen.y, (60, 60)))[..., None]
    strands = _strands(f, seen.x, seen.y, rng)
    long_hair = float(f.hair_length > 0.2)
    z_cap = union(seen, cap)
    x, y, z = seen.local(z_cap)
    over = outline(seen, cap) * _hair_shown(f, x, y, z, rng) * step(z_cap - head.z, -0.03, 0.0)
    layers = (
        _Layer(union(seen, back), outline(seen, back) * long_hair, strands * 0.7, *_HAIR),
        _Layer(union(seen, neck), outline(seen, neck), skin, *_SKIN),
        _Layer(union(seen, cloth), outline(seen, cloth) * collar, weave, *_CLOTH),
        _Layer(union(seen, locks), outline(seen, locks) * long_hair, strands, *_HAIR),
        head,
        _Layer(z_cap, over, _strands(f, x, y, rng), *_HAIR),
    )
    return _composed(layers, seen, key, _wall(f, seen, rng))


def _head_layer(f: Face, seen: View, rng: np.random.Generator, expression: Expression) -> _Layer:
    solids = _head(f)
    z = union(seen, solids)
    x, y, _ = seen.local(z)
    z = z + relief(f, x, y)
    x, y, _ = seen.local(z)
    return _Layer(z, outline(seen, solids), paint(f, x, y, expression, rng), *_SKIN)


def _composed(layers: tuple[_Layer, ...], seen: View, key: Plane, wall: Plane) -> Plane:
    front = np.full_like(seen.x, FAR)
    for layer in layers:
        front = np.where(layer.cover > 0.5, layer.z, front)
    blocked, dark = shadow(front, key, seen.pitch), crevices(front, seen.pitch)
    image = wall
    for layer in layers:
        n = normals(layer.z, seen.pitch)
        lit = _lit(layer, n, blocked, dark, key)
        lit += layer.shine[0] * (_gloss(n, key, layer.shine[1]) * (1 - blocked))[..., None]
        image = mix(image, lit, np.asarray(cv2.GaussianBlur(layer.cover, (0, 0), 0.7), np.float32))
    return image
