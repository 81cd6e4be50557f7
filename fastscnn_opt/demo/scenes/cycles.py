"""Bicycles and motorcycles, with or without a rider."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastscnn_opt.demo.scenes.canvas import Board, Canvas, Label
from fastscnn_opt.demo.scenes.people import draw_rider
from fastscnn_opt.demo.scenes.texture import PAINT, Colour, pick, shade

if TYPE_CHECKING:
    import numpy as np

TYRE: Colour = (26, 26, 28)


def draw_bicycle(canvas: Canvas, rng: np.random.Generator, x: float, z: float, *, ridden: bool) -> None:
    """Draw two spoked wheels and a frame of tubes; the label is the filled silhouette."""
    board, colour = _board(canvas, rng, x, z), pick(rng, PAINT)
    back, front, radius = (-0.55, 0.36), (0.55, 0.36), 0.36
    seat, grip = (-0.2, 0.95), (0.36, 1.05)
    outline = [(-0.55, 0.36), (0.05, 0.3), (0.55, 0.36), (0.4, 0.98), (-0.24, 0.92)]
    board.tint(outline, (60, 60, 60), 0.15, Label.BICYCLE)
    for centre in (back, front):
        _ring(board, centre, radius)
    crank = (-0.08, 0.32)
    for start, end in (
        (back, crank),
        (back, seat),
        (seat, crank),
        (crank, (0.38, 0.78)),
        ((-0.17, 0.78), (0.38, 0.8)),
        (front, grip),
    ):
        board.limb(start, end, 0.065, colour, Label.BICYCLE)
    board.limb((-0.36, 0.97), (-0.08, 0.97), 0.09, (30, 28, 28), Label.BICYCLE)
    board.limb((0.3, 1.06), (0.52, 1.04), 0.07, (40, 40, 42), Label.BICYCLE)
    board.disc(*crank, 0.1, (50, 50, 52), Label.BICYCLE)
    if ridden:
        draw_rider(board, rng, (seat[0], seat[1] + 0.08), grip)


def draw_motorcycle(canvas: Canvas, rng: np.random.Generator, x: float, z: float, *, ridden: bool) -> None:
    """Draw fat wheels, a solid body with tank, seat and engine, exhaust, fork and lamp."""
    board, colour = _board(canvas, rng, x, z), pick(rng, PAINT)
    back, front, radius = (-0.7, 0.34), (0.74, 0.34), 0.34
    for centre in (back, front):
        board.disc(*centre, radius, TYRE, Label.MOTORCYCLE)
        board.disc(*centre, radius * 0.55, (120, 122, 124), Label.MOTORCYCLE)
        board.disc(*centre, radius * 0.25, (50, 52, 54), Label.MOTORCYCLE)
    board.limb(front, (0.44, 1.05), 0.12, (90, 92, 94), Label.MOTORCYCLE)
    board.polygon([(-0.5, 0.3), (0.36, 0.26), (0.44, 0.62), (-0.4, 0.66)], (52, 54, 58), Label.MOTORCYCLE)
    board.disc(0.08, 0.44, 0.16, (112, 114, 118), Label.MOTORCYCLE)
    board.polygon(
        [
            (-0.98, 0.82),
            (-0.4, 0.58),
            (0.1, 0.6),
            (0.52, 0.66),
            (0.5, 1.0),
            (0.12, 1.04),
            (-0.1, 0.84),
            (-0.6, 0.84),
            (-0.96, 0.96),
        ],
        colour,
        Label.MOTORCYCLE,
    )
    board.polygon([(-0.7, 0.82), (-0.05, 0.8), (0.0, 0.9), (-0.66, 0.94)], (28, 26, 28), Label.MOTORCYCLE)
    board.polygon([(0.4, 0.7), (0.72, 0.78), (0.62, 1.2), (0.46, 1.02)], shade(colour, 1.15), Label.MOTORCYCLE)
    board.limb((-0.85, 0.36), (0.0, 0.3), 0.12, (176, 178, 180), Label.MOTORCYCLE)
    board.limb((0.3, 1.1), (0.52, 1.06), 0.08, (40, 40, 42), Label.MOTORCYCLE)
    board.disc(0.72, 0.9, 0.09, (240, 236, 200), Label.MOTORCYCLE)
    if ridden:
        draw_rider(board, rng, (-0.25, 0.92), (0.38, 1.1))


def _board(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> Board:
    """Turn the machine by up to a half turn's worth of foreshortening, and lay its shadow."""
    board = Board(canvas, x, z, squeeze=float(rng.choice((-1.0, 1.0))) * rng.uniform(0.7, 1.0))
    shadow = [board.at(*point) for point in ((-0.95, 0.05), (0.95, 0.05), (1.05, -0.07), (-0.85, -0.07))]
    canvas.tint(shadow, (15, 15, 20), 0.45)
    return board


def _ring(board: Board, centre: tuple[float, float], radius: float) -> None:
    """Draw a tyre around spokes that let the background through."""
    angles = [2 * math.pi * step / 20 for step in range(20)]
    rim = [(centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)) for angle in angles]
    board.tint(rim, (90, 92, 94), 0.3, Label.BICYCLE)
    for start, end in zip(rim, [*rim[1:], rim[0]], strict=True):
        board.limb(start, end, 0.065, TYRE, Label.BICYCLE)
    for index in range(0, 20, 4):
        board.limb(centre, rim[index], 0.012, (130, 132, 134), Label.BICYCLE)
