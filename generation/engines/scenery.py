"""Procedural moving scenes for the sandbox engine: sky, water, ridges and towns in parallax, without people.

Everything expensive is painted once into textures; a frame is a few affine warps, blends and a layer of grain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from core.media.clip import Picture

Kind = Literal["sea", "hills", "city", "sky", "abstract"]
Plane = npt.NDArray[np.floating[Any]]
_WORDS: dict[Kind, str] = {
    "sea": "sea ocean wave waves ship boat harbour harbor beach coast water lake river rain storm island",
    "hills": "hill hills mountain mountains forest valley landscape desert field meadow garden farm tree trees snow",
    "city": "city street skyline car cars neon building buildings town traffic road bridge train house",
    "sky": "sky cloud clouds space star stars sun moon bird birds sunrise sunset dawn planet balloon",
    "abstract": "abstract pattern colour color shapes dream paint light geometry texture",
}
_OVERSCAN = 1.10
_TRAVEL = 0.40


def kind_of(prompt: str, seed: int) -> Kind:
    """Choose the scene whose words the prompt uses most; without any, the seed chooses."""
    words = prompt.lower().replace(",", " ").replace(".", " ").split()
    counts = {kind: sum(word in known.split() for word in words) for kind, known in _WORDS.items()}
    best = max(counts, key=lambda kind: counts[kind])
    return best if counts[best] else list(_WORDS)[seed % len(_WORDS)]


@dataclass(frozen=True, slots=True)
class _Layer:
    """A textured strip: premultiplied colour and what of the background it lets through, both uint8.

    `top` is its first row, `travel` how many pixels it drifts during the clip, `bob` how much it sways.
    """

    colour: Picture
    through: Picture
    top: int
    travel: float
    bob: float


def scene(prompt: str, seed: int, width: int, height: int, frames: int, fps: int) -> Iterator[Picture]:
    """Render the frames of a scene one after the other, (height, width, 3) uint8."""
    kind = kind_of(prompt, seed)
    rng = np.random.default_rng([seed, list(_WORDS).index(kind), sum(prompt.encode())])
    w, h = int(width * _OVERSCAN) // 2 * 2, int(height * _OVERSCAN) // 2 * 2
    stage = _Stage.build(kind, rng, w, h)
    grain = _grain(rng, width, height)
    for index in range(frames):
        through = index / max(1, frames - 1)
        canvas = stage.frame(index / fps, through)
        framed = _camera(canvas, index / fps, through, width, height)
        dy, dx = np.random.default_rng([seed, 7, index]).integers(0, 64, 2)
        yield np.asarray(cv2.add(framed, grain[dy : dy + height, dx : dx + width], dtype=cv2.CV_8U), np.uint8)


@dataclass(frozen=True, slots=True)
class _Stage:
    """All that is painted before the first frame."""

    kind: Kind
    sky: Picture
    layers: tuple[_Layer, ...]
    water: _Water | None
    movers: Plane
    paint: tuple[float, float, float]

    @classmethod
    def build(cls, kind: Kind, rng: np.random.Generator, width: int, height: int) -> _Stage:
        hue = float(rng.choice([0.55, 0.60, 0.66, 0.06, 0.95]) + rng.uniform(-0.03, 0.03))
        night = bool(rng.random() < 0.3)
        sky = _sky(rng, width, height, hue, night=night)
        horizon = int(height * rng.uniform(0.45, 0.6))
        layers: tuple[_Layer, ...] = ()
        if kind in {"hills", "city"}:
            steps = enumerate(np.linspace(horizon * 0.85, height * 0.80, 3))
            build = _hill if kind == "hills" else _town
            layers = tuple(build(rng, width, height, int(top), near, hue) for near, top in steps)
        water = _Water.build(rng, width, height, horizon, hue) if kind == "sea" else None
        if kind == "abstract":
            layers = tuple(_ribbon(rng, width, height, near) for near in range(3))
        movers = rng.uniform(0, 1, ({"sky": 9, "abstract": 7}.get(kind, 4), 6))
        return cls(kind, sky, layers, water, movers, _rgb(hue + 0.5, 0.5, 0.25 if not night else 0.8))

    def frame(self, time: float, through: float) -> Picture:
        """Compose one canvas, with room around it for the camera."""
        height, width = self.sky.shape[0], int(self.sky.shape[1] / (1 + _TRAVEL))
        canvas = _pan(self.sky, through * width * 0.12 + time * 2.0, 0.0, width, height)
        if self.water is not None:
            canvas[self.water.top :] = self.water.rows(time, canvas)
        for layer in self.layers:
            _lay(canvas, layer, time, through)
        _move(canvas, self.movers, self.kind, time, self.paint)
        return canvas


@dataclass(frozen=True, slots=True)
class _Water:
    """A surface of crossing ripples in perspective, computed at half size."""

    tile: Plane
    map_x: Plane
    map_y: Plane
    colour: Plane
    top: int

    @classmethod
    def build(cls, rng: np.random.Generator, width: int, height: int, top: int, hue: float) -> _Water:
        rows, columns = (height - top + 1) // 2, width // 2
        near = (np.arange(rows, dtype=np.float32) + 1)[:, None] / rows
        scale = 1 / (near + 0.08)
        x = (np.arange(columns, dtype=np.float32)[None] - columns / 2) * scale * 0.6
        y = np.broadcast_to(900 * np.log(near + 0.08), (rows, columns))
        blue = np.asarray(_rgb(hue, 0.55, 0.45), np.float32) * (0.65 + 0.35 * near[..., None])
        tile = _fractal(rng, 512, 512, 5, 16, wrap=True)
        return cls(tile, x.astype(np.float32), y.astype(np.float32), blue, top)

    def rows(self, time: float, canvas: Picture) -> Picture:
        """Paint the rows below the horizon: water colour, mirrored sky, glints."""
        one = cv2.remap(
            self.tile, self.map_x + 22 * time, self.map_y - 30 * time, 1, borderMode=cv2.BORDER_WRAP
        )
        two = cv2.remap(
            self.tile, self.map_x * 1.7 - 31 * time, self.map_y * 1.6 - 18 * time, 1, borderMode=3
        )
        swell = one + two
        height = canvas.shape[0] - self.top
        mirrored = cv2.resize(canvas[max(0, self.top - height) : self.top][::-1], one.shape[::-1])
        light = 0.62 * mirrored + self.colour * (80 + 26 * swell[..., None])
        glint = np.clip(swell - 1.55, 0, 1) * 230
        half = np.clip(light + glint[..., None], 0, 255).astype(np.uint8)
        return np.asarray(
            cv2.resize(half, (canvas.shape[1], height), interpolation=cv2.INTER_LINEAR), np.uint8
        )


def _fractal(
    rng: np.random.Generator, height: int, width: int, octaves: int, cells: int, *, wrap: bool = False
) -> Plane:
    """Sum octaves of smooth noise to about unit variance; `cells` across the height in the first octave."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        rows = max(2, cells << octave)
        columns = max(2, rows * width // height)
        coarse = rng.normal(0, 1, (rows, columns)).astype(np.float32)
        coarse = np.pad(coarse, 2, mode="wrap") if wrap else coarse
        size = (width * (columns + 4) // columns, height * (rows + 4) // rows) if wrap else (width, height)
        fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        y, x = (fine.shape[0] - height) // 2, (fine.shape[1] - width) // 2
        total += fine[y : y + height, x : x + width] * np.float32(0.55**octave)
    return total / np.float32(total.std() + 1e-6)


def _rgb(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """Turn a colour wheel position into red, green, blue, 0-1."""
    wheel = np.clip(np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    r, g, b = (value * (1 - saturation + saturation * wheel)).tolist()
    return r, g, b


def _sky(rng: np.random.Generator, width: int, height: int, hue: float, *, night: bool) -> Picture:
    wide = int(width * (1 + _TRAVEL))
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    bright = 0.30 if night else 0.85
    top, low = np.asarray(_rgb(hue, 0.6, bright * 0.75)), np.asarray(_rgb(hue + 0.08, 0.35, bright * 1.1))
    base = (top + (low - top) * down).astype(np.float32)
    cover = _fractal(rng, height, wide, 6, 3)
    cloud = np.clip(cover * 0.45 + 0.1, 0, 1)[..., None] * (1 - 0.5 * down)
    sky = base + (np.float32(bright * 1.15) - base) * cloud * np.float32(0.8)
    y, x = np.mgrid[:height, :wide].astype(np.float32)
    away = np.hypot(x - wide * rng.uniform(0.25, 0.6), y - height * rng.uniform(0.15, 0.3)) / height
    sun = np.clip((0.07 - away) * 60, 0, 1) + 0.35 * np.exp(-away * 5)
    sky = sky + sun[..., None] * np.array([0.9, 0.8, 0.55], np.float32) * np.float32(0.6 if night else 1.0)
    if night:
        stars = (rng.random((height, wide)) > 0.9985).astype(np.float32)
        sky += cv2.GaussianBlur(stars, (0, 0), 0.8)[..., None] * 2
    sky += 0.012 * _fractal(rng, height, wide, 3, 48)[..., None]
    return np.asarray(np.clip(sky, 0, 1) * 255, np.uint8)


def _layer(colour: Plane, alpha: Plane, top: int, travel: float, bob: float) -> _Layer:
    solid = np.clip(alpha, 0, 1)[..., None].astype(np.float32)
    premultiplied = np.clip(colour, 0, 1) * solid * 255
    through = np.repeat((1 - solid) * 255, 3, axis=2)
    return _Layer(premultiplied.astype(np.uint8), through.astype(np.uint8), top, travel, bob)


def _hill(rng: np.random.Generator, width: int, height: int, top: int, near: int, hue: float) -> _Layer:
    wide, tall = int(width * (1 + _TRAVEL)), height - top
    ridge = tall * (0.20 + 0.11 * np.clip(_skyline(rng, wide, 3 + 2 * near), -1.7, 3))
    y = np.arange(tall, dtype=np.float32)[:, None]
    grass = 0.5 + 0.14 * _fractal(rng, tall, wide, 6, 6)
    depth = np.clip((y - ridge) / tall, 0, 1)
    tint = np.asarray(_rgb(0.22 + 0.12 * hue, 0.45 - 0.1 * (2 - near), 0.75 - 0.13 * near), np.float32)
    colour = tint * (grass * (1.1 - 0.5 * depth))[..., None]
    return _layer(colour, (y - ridge) / 1.5, top, width * 0.09 * (near + 1), 0.0)


def _skyline(rng: np.random.Generator, width: int, cells: int) -> Plane:
    """Make a rough line of about unit variance, (width,), with `cells` hills in it."""
    line = np.zeros(width, np.float32)
    for octave in range(6):
        coarse = rng.normal(0, 1, (1, (cells << octave) + 1)).astype(np.float32)
        line += cv2.resize(coarse, (width, 1), interpolation=cv2.INTER_CUBIC)[0] * np.float32(0.5**octave)
    return line / np.float32(line.std() + 1e-6)


def _town(rng: np.random.Generator, width: int, height: int, top: int, near: int, hue: float) -> _Layer:
    wide, tall = int(width * (1 + _TRAVEL)), height - top
    roof = np.zeros(wide, np.float32)
    x = 0
    while x < wide:
        breadth = int(rng.uniform(0.03, 0.09) * width * (0.7 + 0.4 * near)) + 2
        roof[x : x + breadth] = tall * rng.uniform(0.02, 0.6) * (0.5 + 0.25 * (2 - near))
        x += breadth
    y = np.arange(tall, dtype=np.float32)[:, None]
    wall = np.asarray(_rgb(hue + 0.05 * near, 0.25, 0.55 - 0.14 * near), np.float32)
    brick = 1 + 0.10 * _fractal(rng, tall, wide, 4, 24)
    pane = max(4, int(height * 0.012) * (near + 1))
    lit = rng.random((tall // pane + 1, wide // pane + 1)) < 0.35
    panes = cv2.resize(lit.astype(np.float32), (wide, tall), interpolation=cv2.INTER_NEAREST)
    grid = (np.arange(wide)[None] % pane > pane * 0.35) * (np.arange(tall)[:, None] % pane > pane * 0.3)
    glow = (panes * grid)[..., None] * np.array([0.85, 0.70, 0.35], np.float32)
    return _layer(wall * brick[..., None] + glow * 0.7, y - roof, top, width * 0.09 * (near + 1), 0.0)


def _ribbon(rng: np.random.Generator, width: int, height: int, near: int) -> _Layer:
    wide = int(width * (1 + _TRAVEL))
    field = _fractal(rng, height, wide, 4, 2 + near)
    alpha = np.clip((np.sin(field * 3 + near * 2) - 0.1) * 3, 0, 0.85)
    tint = np.asarray(_rgb(float(rng.random()), 0.7, 0.9), np.float32)
    shade = 0.75 + 0.2 * _fractal(rng, height, wide, 5, 8)
    return _layer(tint * shade[..., None], alpha, 0, width * 0.12 * (near + 1), height * 0.05)


def _pan(texture: Picture, dx: float, dy: float, width: int, height: int) -> Picture:
    move = np.array([[1, 0, -dx], [0, 1, -dy]], np.float32)
    return np.asarray(cv2.warpAffine(texture, move, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def _lay(canvas: Picture, layer: _Layer, time: float, through: float) -> None:
    """Blend a layer over the canvas, in place."""
    height, width = canvas.shape[0] - layer.top, canvas.shape[1]
    dx, dy = through * layer.travel, layer.bob * float(np.sin(0.7 * time + layer.travel))
    colour = _pan(layer.colour, dx, dy, width, height)
    shown = cv2.multiply(canvas[layer.top :], _pan(layer.through, dx, dy, width, height), scale=1 / 255)
    canvas[layer.top :] = cv2.add(shown, colour)


def _move(canvas: Picture, movers: Plane, kind: Kind, time: float, paint: tuple[float, float, float]) -> None:
    """Draw birds, boats, cars or discs that cross the picture, in place."""
    height, width = canvas.shape[:2]
    colour = tuple(255 * c for c in paint)
    for a, b, c, d, e, f in movers.tolist():
        x = (a + time * (0.03 + 0.06 * b) * (1 if c > 0.5 else -1)) % 1.2 - 0.1
        size = height * (0.02 + 0.03 * d)
        if kind == "abstract":
            centre = (x * width, height * (0.5 + 0.4 * np.sin(time * (0.3 + e) + 6 * f)))
            _blob(canvas, centre, size * 2.5, colour)
        elif kind in {"sky", "hills"}:
            flap = 0.5 * np.sin(time * (6 + 4 * e) + 6 * f)
            _bird(canvas, (x * width, height * (0.12 + 0.28 * e)), size, flap, colour)
        else:
            low = 0.66 + 0.2 * e if kind == "sea" else 0.93 + 0.03 * e
            bob = np.sin(time * 1.5 + 6 * f) * size * 0.15
            _hull(canvas, (x * width, height * low + bob), size * 1.4, colour, mast=kind == "sea")


def _polygon(canvas: Picture, points: list[tuple[float, float]], colour: tuple[float, ...]) -> None:
    corners = np.round(np.asarray(points) * 16).astype(np.int32)
    cv2.fillPoly(canvas, [corners], colour, cv2.LINE_AA, 4)


def _blob(canvas: Picture, at: tuple[float, float], size: float, colour: tuple[float, ...]) -> None:
    centre = (round(at[0] * 16), round(at[1] * 16))
    cv2.circle(canvas, centre, round(size * 16), colour, -1, cv2.LINE_AA, 4)


def _bird(
    canvas: Picture, at: tuple[float, float], size: float, flap: float, colour: tuple[float, ...]
) -> None:
    x, y = at
    tip = y - size * (0.35 + flap)
    for side in (-1, 1):
        _polygon(canvas, [(x, y), (x + side * size, tip), (x + side * size * 0.45, y + size * 0.18)], colour)


def _hull(
    canvas: Picture, at: tuple[float, float], size: float, colour: tuple[float, ...], *, mast: bool
) -> None:
    x, y = at
    _polygon(
        canvas,
        [(x - size, y), (x + size, y), (x + size * 0.7, y + size * 0.4), (x - size * 0.7, y + size * 0.4)],
        colour,
    )
    sail = [(x, y - size * 0.1), (x, y - size * 1.6), (x + size * 0.8, y - size * 0.2)]
    cabin = [
        (x - size * 0.5, y),
        (x - size * 0.3, y - size * 0.4),
        (x + size * 0.4, y - size * 0.4),
        (x + size * 0.6, y),
    ]
    _polygon(canvas, sail if mast else cabin, (235.0, 230.0, 220.0) if mast else colour)


def _camera(canvas: Picture, time: float, through: float, width: int, height: int) -> Picture:
    """Crop the canvas as a hand-held camera would: slow push, slight sway and roll."""
    zoom = width / canvas.shape[1] * (1.02 + 0.05 * through)
    roll = 0.004 * np.sin(0.6 * time)
    c, s = zoom * np.cos(roll), zoom * np.sin(roll)
    x, y = canvas.shape[1] / 2, canvas.shape[0] / 2
    sway = (width * 0.006 * np.sin(0.9 * time), height * 0.006 * np.sin(1.3 * time + 1))
    move = np.array(
        [[c, -s, width / 2 - c * x + s * y + sway[0]], [s, c, height / 2 - s * x - c * y + sway[1]]]
    )
    framed = cv2.warpAffine(canvas, move.astype(np.float32), (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(framed, np.uint8)


def _grain(rng: np.random.Generator, width: int, height: int) -> npt.NDArray[np.int16]:
    """Make film grain: correlated noise, mostly in lightness, about 2.5 steps RMS."""
    shape = (height + 64, width + 64)
    soft = np.asarray(cv2.GaussianBlur(rng.normal(0, 1, shape).astype(np.float32), (0, 0), 0.7), np.float32)
    light = soft * np.float32(2.4 / soft.std())
    colour = rng.normal(0, 0.8, (*shape, 3)).astype(np.float32)
    return np.asarray(np.round(light[..., None] + colour), np.int16)
