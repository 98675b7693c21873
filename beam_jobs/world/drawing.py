"""Draws a scene: `Scene` and a length of the longer side in, an RGB array out.

Everything is laid out in units of the picture, from the scene's variant alone, so two sizes of one scene differ
only in sampling. Shapes are outlines filled at twice the size and averaged down, so edges are smooth.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from beam_jobs.world.scenes import BACKGROUNDS, COLOURS, Group, Scene, seed_of

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

BOXES = {
    "left": (0.03, 0.05, 0.46, 0.95),
    "right": (0.54, 0.05, 0.97, 0.95),
    "top": (0.05, 0.03, 0.95, 0.46),
    "bottom": (0.05, 0.54, 0.95, 0.97),
    "middle": (0.2, 0.2, 0.8, 0.8),
    "scattered": (0.04, 0.04, 0.96, 0.96),
}
RADII = {"small": 0.075, "medium": 0.115, "large": 0.18}  # of the shorter side
TINT = 10  # largest change of a colour's channels
OVERSAMPLING = 2


def size_of(scene: Scene, longer: int) -> tuple[int, int]:
    """Width and height of the scene's picture when its longer side has `longer` pixels."""
    if scene.aspect >= 1:
        return longer, max(1, round(longer / scene.aspect))
    return max(1, round(longer * scene.aspect)), longer


@dataclass(frozen=True)
class Placed:
    """Where an object of a scene's group lies: centre in widths and heights, radius in shorter sides."""

    group: int
    x: float
    y: float
    radius: float


def draw(scene: Scene, longer: int) -> Pixels:
    """The scene's picture as an array of height x width x 3."""
    return draw_and_place(scene, longer)[0]


def draw_and_place(scene: Scene, longer: int) -> tuple[Pixels, list[Placed]]:
    """The scene's picture, and where its objects lie in it."""
    width, height = size_of(scene, longer)
    rng = random.Random(seed_of("drawing", scene.variant))
    canvas = _backdrop(scene, width, height, rng)
    placed = []
    for number, group in enumerate(scene.groups):
        colour = _tinted(COLOURS[group.colour], rng)
        for x, y, radius in _layout(group, scene.aspect, rng):
            angle = rng.uniform(-0.22, 0.22)
            phase = rng.random()
            centre = (x * width, y * height)
            _stamp(canvas, group, colour, centre=centre, radius=radius * min(width, height), angle=angle, phase=phase)
            placed.append(Placed(number, x, y, radius))
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8), placed


def _tinted(colour: tuple[int, int, int], rng: random.Random) -> Floats:
    return np.array([min(255, max(0, channel + rng.randint(-TINT, TINT))) for channel in colour], dtype=np.float32)


def _backdrop(scene: Scene, width: int, height: int, rng: random.Random) -> Floats:
    import cv2

    colour = _tinted(BACKGROUNDS[scene.background], rng)
    canvas = np.empty((height, width, 3), dtype=np.float32)
    canvas[:] = colour
    if scene.backdrop == "gradient":
        depth = rng.uniform(0.25, 0.4) * (1 if sum(colour) > 300 else -1)
        ramp = np.linspace(0.0, depth, height, dtype=np.float32)
        canvas -= (ramp * 160)[:, None, None]
    elif scene.backdrop == "grainy":
        grains = np.random.default_rng(rng.getrandbits(48)).normal(0, 15, (72, 72)).astype(np.float32)
        canvas += cv2.resize(grains, (width, height), interpolation=cv2.INTER_LINEAR)[:, :, None]
    return canvas


def _layout(group: Group, aspect: float, rng: random.Random) -> list[tuple[float, float, float]]:
    """Centre (in widths and heights) and radius (in shorter sides) of each object; none touches another."""
    x0, y0, x1, y1 = BOXES[group.place]
    unit_x, unit_y = max(1.0, aspect), max(1.0, 1 / aspect)  # the picture in shorter sides
    across, down = (x1 - x0) * unit_x, (y1 - y0) * unit_y
    columns, rows = min(
        ((c, r) for c in range(1, 6) for r in range(1, 6) if c * r >= group.count),
        key=lambda grid: (-min(across / grid[0], down / grid[1]), grid),
    )
    cell_x, cell_y = across / columns, down / rows
    radius = min(RADII[group.size] * rng.uniform(0.9, 1.12), 0.46 * min(cell_x, cell_y))
    placed = []
    for cell in sorted(rng.sample(range(columns * rows), group.count)):
        row, column = divmod(cell, columns)
        free_x, free_y = cell_x - 2.1 * radius, cell_y - 2.1 * radius
        x = (column + 0.5) * cell_x + free_x * rng.uniform(-0.5, 0.5)
        y = (row + 0.5) * cell_y + free_y * rng.uniform(-0.5, 0.5)
        placed.append((x0 + x / unit_x, y0 + y / unit_y, radius))
    return placed


def _stamp(
    canvas: Floats,
    group: Group,
    colour: Floats,
    *,
    centre: tuple[float, float],
    radius: float,
    angle: float,
    phase: float,
) -> None:
    """Blends one object into the canvas."""
    import cv2

    left, top = math.floor(centre[0] - radius - 1), math.floor(centre[1] - radius - 1)
    side = math.ceil(2 * radius) + 3
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(canvas.shape[1], left + side), min(canvas.shape[0], top + side)
    if x1 <= x0 or y1 <= y0:
        return
    middle = np.array([centre[0] - left, centre[1] - top])
    cosine, sine = math.cos(angle), math.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    mask = np.zeros((side * OVERSAMPLING, side * OVERSAMPLING), dtype=np.uint8)
    rings = [((outline * radius) @ turn.T + middle) * (OVERSAMPLING * 16) for outline in OUTLINES[group.shape]]
    cv2.fillPoly(mask, [np.round(ring).astype(np.int32) for ring in rings], 255, cv2.LINE_AA, shift=4)
    cover = cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA)[y0 - top : y1 - top, x0 - left : x1 - left]
    alpha = (cover.astype(np.float32) / 255)[:, :, None]
    paint: Any = colour
    if group.texture != "plain":
        ys, xs = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        u = ((xs - centre[0]) * cosine + (ys - centre[1]) * sine) / radius
        v = (-(xs - centre[0]) * sine + (ys - centre[1]) * cosine) / radius
        share = _pattern(group.texture, u, v, phase)[:, :, None]
        paint = colour * (1 - share) + _second(colour) * share
    region = canvas[y0:y1, x0:x1]
    region += (paint - region) * alpha


def _second(colour: Floats) -> Floats:
    """The other colour of a texture: the same, much lighter, or darker when it is light already."""
    light = float(colour @ np.array([0.3, 0.59, 0.11], dtype=np.float32))
    target, share = (255, 0.7) if light < 190 else (60, 0.55)
    return np.asarray(colour + (np.float32(target) - colour) * np.float32(share), dtype=np.float32)


def _pattern(texture: str, u: Floats, v: Floats, phase: float) -> Floats:
    """Where the second colour lies, 0 to 1, over coordinates in radii."""
    if texture == "striped":
        wave = np.sin((u * 1.4 + phase) * 2 * math.pi)
        return np.clip(wave * 4 + 0.5, 0, 1)
    if texture == "checked":
        wave = np.sin(u * 1.1 * 2 * math.pi) * np.sin(v * 1.1 * 2 * math.pi)
        return np.clip(wave * 6 + 0.5, 0, 1)
    pitch = 0.55
    du, dv = (u + phase * pitch) % pitch - pitch / 2, v % pitch - pitch / 2
    return np.clip((0.17 - np.sqrt(du * du + dv * dv)) * 14 + 0.5, 0, 1)


def _circle(radius: float = 1.0, *, x: float = 0.0, points: int = 48) -> NDArray[np.float64]:
    turns = np.linspace(0, 2 * math.pi, points, endpoint=False)
    return np.stack([x + radius * np.cos(turns), radius * np.sin(turns)], axis=1)


def _star() -> NDArray[np.float64]:
    turns = np.arange(10) * math.pi / 5 - math.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
    return np.stack([radii * np.cos(turns), radii * np.sin(turns)], axis=1)


def _heart() -> NDArray[np.float64]:
    t = np.linspace(0, 2 * math.pi, 64, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x / 17, (y - 2) / 16], axis=1)


def _moon() -> NDArray[np.float64]:
    outer = np.linspace(math.radians(50), math.radians(310), 40)
    inner = np.linspace(math.radians(280), math.radians(80), 30)
    rim = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    bite = np.stack([0.5 + 0.78 * np.cos(inner), 0.78 * np.sin(inner)], axis=1)
    return np.concatenate([rim, bite]) + np.array([0.15, 0.0])


OUTLINES: dict[str, list[NDArray[np.float64]]] = {
    "circle": [_circle(0.95)],
    "square": [np.array([(-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)])],
    "triangle": [np.array([(0.0, -0.95), (0.95, 0.75), (-0.95, 0.75)])],
    "star": [_star()],
    "heart": [_heart()],
    "cross": [
        np.array(
            [
                *((-0.32, -0.95), (0.32, -0.95), (0.32, -0.32), (0.95, -0.32), (0.95, 0.32), (0.32, 0.32)),
                *((0.32, 0.95), (-0.32, 0.95), (-0.32, 0.32), (-0.95, 0.32), (-0.95, -0.32), (-0.32, -0.32)),
            ]
        )
    ],
    "ring": [_circle(0.97), _circle(0.55)],
    "moon": [_moon()],
    "diamond": [np.array([(0.0, -1.0), (0.68, 0.0), (0.0, 1.0), (-0.68, 0.0)])],
    "arrow": [
        np.array([(-0.95, -0.28), (0.1, -0.28), (0.1, -0.75), (0.98, 0.0), (0.1, 0.75), (0.1, 0.28), (-0.95, 0.28)])
    ],
}
