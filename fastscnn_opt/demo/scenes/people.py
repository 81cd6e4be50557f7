"""Pedestrians and the people who ride."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.demo.scenes.canvas import Board, Canvas, Label
from fastscnn_opt.demo.scenes.texture import CLOTH, SKIN, Colour, pick, shade

if TYPE_CHECKING:
    import numpy as np

HAIR: tuple[Colour, ...] = ((40, 30, 24), (90, 66, 44), (170, 140, 90), (24, 22, 22), (150, 148, 146))


def draw_person(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Draw somebody who stands or walks, with legs and arms at any point of the stride."""
    board = Board(canvas, x, z, size=rng.uniform(0.92, 1.08), squeeze=float(rng.choice((-1.0, 1.0))))
    top, trousers, skin = pick(rng, CLOTH), pick(rng, CLOTH), pick(rng, SKIN, 8)
    stride = rng.uniform(0.05, 0.36)
    canvas.tint([board.at(*p) for p in ((-0.4, 0.05), (0.5, 0.05), (0.6, -0.05), (-0.3, -0.07))], (15, 15, 20), 0.4)
    for foot, gain in ((-stride, 0.8), (stride, 1.0)):
        knee = (foot * 0.45 + 0.04, 0.46)
        board.limb((0.05 if foot > 0 else -0.05, 0.9), knee, 0.19, shade(trousers, gain), Label.PERSON)
        board.limb(knee, (foot, 0.06), 0.15, shade(trousers, gain), Label.PERSON)
        board.limb((foot - 0.06, 0.04), (foot + 0.17, 0.04), 0.09, (30, 28, 28), Label.PERSON)
    swing = stride * 0.8
    board.limb((0, 1.38), (swing, 0.86), 0.12, shade(top, 0.75), Label.PERSON)
    board.polygon(
        [(-0.17, 0.82), (0.17, 0.82), (0.23, 1.4), (0.12, 1.5), (-0.12, 1.5), (-0.23, 1.4)], top, Label.PERSON
    )
    board.polygon([(0.06, 0.82), (0.17, 0.82), (0.23, 1.4), (0.12, 1.5)], shade(top, 0.8), Label.PERSON)
    board.limb((-0.12, 1.4), (-swing - 0.06, 0.88), 0.12, shade(top, 1.1), Label.PERSON)
    board.disc(-swing - 0.06, 0.86, 0.06, skin, Label.PERSON)
    if rng.uniform() < 0.3:
        bag = pick(rng, CLOTH)
        board.polygon([(-0.2, 1.0), (-0.36, 1.02), (-0.36, 1.36), (-0.2, 1.42)], bag, Label.PERSON)
    draw_head(board, rng, (0.0, 1.63), skin, Label.PERSON)


def draw_head(
    board: Board,
    rng: np.random.Generator,
    centre: tuple[float, float],
    skin: Colour,
    label: Label,
    *,
    helmet: bool = False,
) -> None:
    """Draw a head with hair, or under a helmet."""
    x, y = centre
    board.limb((x, y - 0.16), (x, y), 0.1, shade(skin, 0.8), label)
    cover = pick(rng, CLOTH) if helmet else pick(rng, HAIR, 8)
    board.disc(x, y + 0.03, 0.16 if helmet else 0.135, cover, label)
    board.disc(x + 0.03, y - 0.02, 0.095, skin, label)


def draw_rider(board: Board, rng: np.random.Generator, seat: tuple[float, float], grip: tuple[float, float]) -> None:
    """Draw a person on a saddle who holds the handlebar; the figure looks towards positive x."""
    top, trousers, skin = pick(rng, CLOTH), pick(rng, CLOTH), pick(rng, SKIN, 8)
    shoulder = (seat[0] + 0.24, seat[1] + 0.56)
    knee, foot = (seat[0] + 0.42, seat[1] - 0.2), (seat[0] + 0.24, max(0.2, seat[1] - 0.62))
    board.limb(seat, knee, 0.2, trousers, Label.RIDER)
    board.limb(knee, foot, 0.16, shade(trousers, 0.85), Label.RIDER)
    board.limb((foot[0] - 0.08, foot[1]), (foot[0] + 0.18, foot[1]), 0.1, (30, 28, 28), Label.RIDER)
    board.limb((seat[0] - 0.02, seat[1] - 0.06), shoulder, 0.4, top, Label.RIDER)
    board.limb(shoulder, (shoulder[0] + 0.02, shoulder[1] + 0.1), 0.3, shade(top, 0.95), Label.RIDER)
    elbow = ((shoulder[0] + grip[0]) / 2, (shoulder[1] + grip[1]) / 2 - 0.1)
    board.limb(shoulder, elbow, 0.14, shade(top, 0.75), Label.RIDER)
    board.limb(elbow, grip, 0.12, shade(top, 0.75), Label.RIDER)
    draw_head(board, rng, (shoulder[0] + 0.1, shoulder[1] + 0.24), skin, Label.RIDER, helmet=True)
