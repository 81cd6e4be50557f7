"""Poles, lamp posts, traffic lights and traffic signs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastscnn_opt.demo.scenes.canvas import Board, Canvas, Label
from fastscnn_opt.demo.scenes.texture import Colour, pick, shade

if TYPE_CHECKING:
    import numpy as np

STEEL: tuple[Colour, ...] = ((110, 112, 114), (70, 74, 76), (150, 152, 152), (60, 80, 70))
RED, BLUE, WHITE, YELLOW = (190, 30, 36), (30, 80, 170), (236, 236, 232), (235, 195, 50)


def draw_lamp_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a tall post with an arm that reaches over the road."""
    board, colour = Board(canvas, x, z), pick(rng, STEEL, 10)
    height = rng.uniform(6.0, 8.5)
    _post(board, colour, height, 8)
    reach = -1.6 if x > 0 else 1.6
    board.limb((0, height - 0.05), (reach, height + 0.25), 0.08, colour, Label.POLE)
    board.limb((reach * 0.75, height + 0.2), (reach * 1.25, height + 0.3), 0.2, shade(colour, 1.25), Label.POLE)


def draw_sign(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw one or two plates of common shapes on a thin post."""
    board, steel = Board(canvas, x, z), pick(rng, STEEL, 10)
    height = rng.uniform(2.3, 2.9)
    _post(board, steel, height + 0.3, 6)
    _plate(board, rng, height, rng.uniform(0.42, 0.52))
    if rng.uniform() < 0.5:
        _plate(board, rng, height - 1.0, rng.uniform(0.36, 0.44))


def draw_traffic_light(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a dark three-lens head on a post, or two of them where the post has an arm over the road."""
    board, steel = Board(canvas, x, z), pick(rng, STEEL, 10)
    if rng.uniform() < 0.5:
        _post(board, steel, 5.3, 8)
        reach = -2.6 if x > 0 else 2.6
        board.limb((0, 5.15), (reach, 5.15), 0.12, steel, Label.POLE)
        _head(board, rng, reach, 4.3)
    else:
        _post(board, steel, 3.6, 8)
    _head(board, rng, 0.0, 2.4)


def _post(board: Board, colour: Colour, height: float, widest: float) -> None:
    """Draw a shaded upright post whose width stays between 3 and ``widest`` pixels of a 1024 row image."""
    camera = board.canvas.camera
    width = min(camera.pixels(widest), max(camera.pixels(3), round(0.14 * board.scale)))
    (x, bottom), (_, top) = board.at(0, 0), board.at(0, height)
    left, tone = x - width // 2, board.canvas.hazed(colour, board.z)
    board.canvas.bar((left, top, left + width, bottom), tone, Label.POLE)
    board.canvas.bar((left + (width + 1) // 2, top, left + width, bottom), shade(tone, 0.65), Label.POLE)


def _plate(board: Board, rng: np.random.Generator, y: float, radius: float) -> None:
    kind = int(rng.integers(4))
    if kind == 0:
        rim, inside = (RED, WHITE) if rng.uniform() < 0.6 else (WHITE, BLUE)
        board.disc(0, y, radius, rim, Label.TRAFFIC_SIGN)
        board.disc(0, y, radius * 0.72, inside, Label.TRAFFIC_SIGN)
    elif kind == 1:
        _ngon(board, y, radius * 1.15, 3, RED)
        _ngon(board, y, radius * 0.68, 3, WHITE)
    elif kind == 2:
        _ngon(board, y, radius * 1.1, 4, WHITE)
        _ngon(board, y, radius * 0.8, 4, YELLOW)
    else:
        for side, colour in ((radius * 0.9, WHITE), (radius * 0.8, BLUE)):
            corners = [(-side, y - side), (side, y - side), (side, y + side), (-side, y + side)]
            board.polygon(corners, colour, Label.TRAFFIC_SIGN)
    board.polygon(
        [(-0.1, y - 0.16), (0.1, y - 0.16), (0.05, y + 0.18), (-0.05, y + 0.18)], (30, 30, 34), Label.TRAFFIC_SIGN
    )


def _ngon(board: Board, y: float, radius: float, corners: int, colour: Colour) -> None:
    """Fill a regular polygon with one corner on top."""
    angles = [math.pi / 2 + 2 * math.pi * corner / corners for corner in range(corners)]
    outline = [(radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
    board.polygon(outline, colour, Label.TRAFFIC_SIGN)


def _head(board: Board, rng: np.random.Generator, x: float, y: float) -> None:
    wide, high = 0.27, 1.3
    case = pick(rng, ((24, 26, 28), (36, 40, 38)), 8)
    board.polygon([(x - wide, y), (x + wide, y), (x + wide, y + high), (x - wide, y + high)], case, Label.TRAFFIC_LIGHT)
    lit = int(rng.integers(3))
    for lens, colour in enumerate(((60, 200, 110), (240, 180, 40), (230, 50, 40))):
        tone = colour if lens == lit else shade(colour, 0.3)
        board.disc(x, y + 0.24 + 0.41 * lens, 0.17, tone, Label.TRAFFIC_LIGHT)
