"""Buildings with rows of windows, low walls without any, and fences one can see through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.demo.scenes.camera import NEAR, Point
from fastscnn_opt.demo.scenes.canvas import Canvas, Label
from fastscnn_opt.demo.scenes.texture import GLASS, MASONRY, PAINT, Colour, pick, shade

if TYPE_CHECKING:
    import numpy as np


def draw_building(canvas: Canvas, rng: np.random.Generator, front: float, near: float, far: float) -> None:
    """Draw a building whose facade stands on the line x = ``front`` from ``near`` to ``far``.

    The end wall that faces the camera is drawn too, so that a building that stands out of its row has depth.
    """
    colour = pick(rng, MASONRY)
    floors, floor_height = int(rng.integers(3, 7)), rng.uniform(2.9, 3.4)
    height = floors * floor_height + rng.uniform(0.4, 1.0)
    outwards = 1 if front > 0 else -1
    gable = [
        (front, 0.0, near),
        (front + 14 * outwards, 0.0, near),
        (front + 14 * outwards, height, near),
        (front, height, near),
    ]
    canvas.surface(gable, _tones(shade(colour, 0.8)), canvas.grains.soft, Label.BUILDING)
    if rng.uniform() < 0.6:
        _gable_windows(canvas, rng, (front, near), (floors, floor_height), outwards)
    facade: list[Point] = [(front, 0.0, near), (front, 0.0, far), (front, height, far), (front, height, near)]
    canvas.surface(facade, _tones(colour), canvas.grains.soft, Label.BUILDING)
    plinth = shade(colour, rng.uniform(0.6, 0.85))
    canvas.face(_panel(front, near, far, 0.0, 0.7), plinth, Label.BUILDING)
    canvas.face(_panel(front, near, far, height - 0.45, height), shade(colour, rng.choice((0.65, 1.2))), Label.BUILDING)
    for floor in range(floors):
        _window_row(canvas, rng, front, (near, far), floor * floor_height, colour)


def _gable_windows(
    canvas: Canvas, rng: np.random.Generator, corner: tuple[float, float], storeys: tuple[int, float], outwards: int
) -> None:
    """Draw three columns of small windows on the end wall."""
    (front, near), (floors, floor_height), glass = corner, storeys, pick(rng, GLASS)
    for floor in range(floors):
        low = floor * floor_height + 1.0
        for middle in (2.8, 6.4, 10.0):
            left, right = front + (middle - 0.6) * outwards, front + (middle + 0.6) * outwards
            pane = [(left, low, near), (right, low, near), (right, low + 1.4, near), (left, low + 1.4, near)]
            canvas.face(pane, shade(glass, rng.uniform(0.8, 1.4)), Label.BUILDING)


def _tones(colour: Colour, contrast: float = 0.1) -> tuple[Colour, Colour]:
    return shade(colour, 1 - contrast), shade(colour, 1 + contrast)


def _panel(front: float, near: float, far: float, low: float, high: float) -> list[Point]:
    return [(front, low, near), (front, low, far), (front, high, far), (front, high, near)]


def _window_row(
    canvas: Canvas, rng: np.random.Generator, front: float, span: tuple[float, float], base: float, wall: Colour
) -> None:
    near, far = span
    shop = base == 0 and rng.uniform() < 0.5
    pitch = rng.uniform(3.2, 4.2) if shop else rng.uniform(2.2, 2.9)
    count = max(1, int((far - near) / pitch))
    pitch = (far - near) / count
    low, high, share = (0.5, 2.7, 0.8) if shop else (base + 1.0, base + 2.5, 0.5)
    frame, glass = shade(wall, 1.25), pick(rng, GLASS)
    for index in range(count):
        middle = near + (index + 0.5) * pitch
        if middle < NEAR:
            continue
        half = share * pitch / 2
        canvas.face(
            _panel(front, middle - half - 0.1, middle + half + 0.1, low - 0.12, high + 0.12), frame, Label.BUILDING
        )
        lit = shade(glass, rng.uniform(0.8, 1.5))
        canvas.face(_panel(front, middle - half, middle + half, low, high), lit, Label.BUILDING)
        if middle < 45:
            canvas.face(_panel(front, middle - 0.05, middle + 0.05, low, high), frame, Label.BUILDING)


def draw_wall(canvas: Canvas, rng: np.random.Generator, front: float, near: float, far: float) -> None:
    """Draw a low wall of courses with a coping stone and no windows."""
    colour, height = pick(rng, MASONRY), rng.uniform(1.9, 2.6)
    canvas.surface(_panel(front, near, far, 0.0, height), _tones(colour, 0.18), canvas.grains.rough, Label.WALL)
    outwards = 0.5 if front > 0 else -0.5
    end = [(front, 0.0, near), (front + outwards, 0.0, near), (front + outwards, height, near), (front, height, near)]
    canvas.face(end, shade(colour, 0.75), Label.WALL)
    joint = shade(colour, 0.74)
    course = 0.32
    for row in range(1, int(height / course)):
        canvas.face(_panel(front, near, far, row * course, row * course + 0.04), joint, Label.WALL)
        for step in range(int((far - near) / 0.8)):
            z = near + (step + 0.5 * (row % 2)) * 0.8
            canvas.face(_panel(front, z, z + 0.05, row * course, (row + 1) * course), joint, Label.WALL)
    canvas.face(_panel(front, near, far, height - 0.16, height + 0.05), shade(colour, 1.25), Label.WALL)


def draw_fence(canvas: Canvas, rng: np.random.Generator, front: float, near: float, far: float) -> None:
    """Draw rails and bars over whatever stands behind; the label covers the whole panel, as annotators do."""
    colour, height = pick(rng, (*PAINT, (60, 62, 60), (120, 95, 70), (205, 205, 200))), rng.uniform(1.7, 2.2)
    whole = canvas.camera.project(_panel(front, near, far, 0.0, height))
    canvas.tint(whole, canvas.hazed(colour, near), 0.12, Label.FENCE)
    pitch = rng.uniform(0.28, 0.36)
    for step in range(int((far - near) / pitch)):
        z = near + step * pitch
        canvas.face(_panel(front, z, z + 0.1, 0.05, height), shade(colour, 0.92), Label.FENCE)
    for rail in (0.2, height / 2, height - 0.22):
        canvas.face(_panel(front, near, far, rail, rail + 0.1), shade(colour, 1.1), Label.FENCE)
    canvas.face(_panel(front, near, near + 0.25, 0.0, height + 0.1), shade(colour, 0.85), Label.FENCE)
