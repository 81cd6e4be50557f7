"""Trees and hedges: irregular outlines filled with leaf noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastscnn_opt.demo.scenes.canvas import Board, Canvas, Label
from fastscnn_opt.demo.scenes.texture import FOLIAGE, Colour, pick, shade

if TYPE_CHECKING:
    import numpy as np


def draw_tree(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a trunk and a crown made of overlapping clumps, the lit ones on top."""
    board, colour = Board(canvas, x, z), pick(rng, FOLIAGE)
    height, trunk = rng.uniform(5.5, 9.0), rng.uniform(0.12, 0.2)
    bark = pick(rng, ((70, 58, 48), (92, 84, 74), (58, 50, 44)), 10)
    crown = height * rng.uniform(0.28, 0.34)
    board.polygon(
        [(-trunk, 0), (trunk, 0), (trunk * 0.6, height - crown), (-trunk * 0.6, height - crown)], bark, Label.VEGETATION
    )
    board.polygon(
        [(0, 0), (trunk, 0), (trunk * 0.6, height - crown), (0, height - crown)], shade(bark, 0.7), Label.VEGETATION
    )
    _clump(board, rng, (0.0, height - crown), crown, shade(colour, 0.8))
    for _ in range(5):
        angle, reach = rng.uniform(0, 2 * math.pi), crown * rng.uniform(0.3, 0.6)
        centre = (reach * math.cos(angle), height - crown + 0.8 * reach * math.sin(angle))
        light = 0.85 + 0.3 * math.sin(angle)
        _clump(board, rng, centre, crown * rng.uniform(0.4, 0.55), shade(colour, light))


def draw_bush(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw a bush of about a person's height."""
    board, colour = Board(canvas, x, z), pick(rng, FOLIAGE)
    size = rng.uniform(0.7, 1.1)
    for shift in (-0.8, 0.7, 0.0):
        _clump(board, rng, (shift * size, 0.75 * size), size, shade(colour, rng.uniform(0.85, 1.1)))


_DIRECTIONS = [(math.cos(2 * math.pi * step / 60), math.sin(2 * math.pi * step / 60)) for step in range(60)]
"""Unit vectors to the corners of an outline."""


def _clump(board: Board, rng: np.random.Generator, centre: tuple[float, float], radius: float, colour: Colour) -> None:
    """Fill a ragged disc with leaves; nothing of it reaches below the ground."""
    lobes = rng.uniform(0.85, 1.05, len(_DIRECTIONS) // 5).repeat(5)
    reaches = (radius * lobes * rng.uniform(0.9, 1.1, len(_DIRECTIONS))).tolist()
    outline = [
        board.at(centre[0] + reach * x, max(0.0, centre[1] + reach * y))
        for reach, (x, y) in zip(reaches, _DIRECTIONS, strict=True)
    ]
    tone = board.canvas.hazed(colour, board.z)
    tones = (shade(tone, 0.45), shade(tone, 1.5))
    board.canvas.textured(outline, tones, board.canvas.grains.leaves, Label.VEGETATION)
