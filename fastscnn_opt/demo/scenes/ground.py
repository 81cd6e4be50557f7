"""Draw the sky, the horizon and the ground: road with markings, pavements and grass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.demo.scenes.camera import NEAR, Point
from fastscnn_opt.demo.scenes.canvas import Canvas, Label
from fastscnn_opt.demo.scenes.texture import FOLIAGE, GRASS, Colour, mix, pick, shade

if TYPE_CHECKING:
    import numpy as np

FAR = 160.0
"""Distance in metres at which the ground ends."""


@dataclass(frozen=True)
class StreetLayout:
    """Lateral positions in metres of what runs along the street; the camera drives at x = 0."""

    left_kerb: float
    right_kerb: float
    left_front: float
    right_front: float
    left_verge: float
    right_verge: float
    tram_line: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> StreetLayout:
        """Draw a street of three or four lanes, with a grass verge along at least one pavement."""
        left, right = -rng.uniform(8.6, 9.8), rng.uniform(3.5, 4.6)
        both = rng.uniform() < 0.4
        first = bool(rng.integers(2))
        left_verge = rng.uniform(1.6, 2.8) if both or first else 0.0
        right_verge = rng.uniform(1.6, 2.8) if both or not first else 0.0
        return cls(
            left_kerb=left,
            right_kerb=right,
            left_front=left - left_verge - rng.uniform(2.4, 3.6),
            right_front=right + right_verge + rng.uniform(2.4, 3.6),
            left_verge=left_verge,
            right_verge=right_verge,
            tram_line=left + rng.uniform(1.9, 2.3),
        )


def draw_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint a vertical gradient and clouds down to the horizon."""
    camera = canvas.camera
    zenith = pick(rng, ((90, 130, 190), (150, 170, 195), (190, 196, 204), (120, 150, 200)))
    bottom = round(camera.horizon) + 1
    bands = 40
    for band in range(bands):
        top, low = band * bottom // bands, (band + 1) * bottom // bands
        canvas.bar((0, top, camera.width, low), mix(zenith, canvas.haze, (band + 0.5) / bands), Label.SKY)
    cover = rng.uniform(0.15, 0.9)
    clouds = canvas.grains.soft.crop((0, 0, camera.width, bottom))
    opacity = clouds.point([round(cover * min(255, max(0, 3 * (level - 110)))) for level in range(256)])
    canvas.picture.paste(mix(canvas.haze, (248, 248, 250), 0.8), (0, 0, camera.width, bottom), opacity)


def draw_horizon(canvas: Canvas, rng: np.random.Generator) -> None:
    """Close the street at its far end with distant roofs and tree tops."""
    camera = canvas.camera
    unit = camera.height / 1024
    base, start = round(camera.horizon + 14 * unit), -60.0
    while start * unit < camera.width:
        span, height = rng.uniform(60, 200), rng.uniform(40, 110) * unit
        left, right, top = round(start * unit), round((start + span) * unit), round(base - height)
        if rng.uniform() < 0.5:
            tone = canvas.hazed(pick(rng, ((150, 110, 95), (170, 165, 160))), 90)
            roof = [(left, base), (left, top), (right, top), (right, base)]
            canvas.textured(roof, (shade(tone, 0.9), shade(tone, 1.08)), canvas.grains.soft, Label.BUILDING)
        else:
            tone = canvas.hazed(pick(rng, FOLIAGE), 60)
            tops = [
                (left + (right - left) * step // 8, round(base - height * rng.uniform(0.6, 1.0))) for step in range(9)
            ]
            outline = [(left, base), *tops, (right, base)]
            canvas.textured(outline, (shade(tone, 0.7), shade(tone, 1.2)), canvas.grains.leaves, Label.VEGETATION)
        start += span


def draw_ground(canvas: Canvas, rng: np.random.Generator, layout: StreetLayout) -> None:
    """Paint grass, pavements and road, then kerbs, markings and rails."""
    grass = pick(rng, GRASS, 8)
    stone = pick(rng, ((150, 146, 142), (165, 155, 145), (135, 133, 132), (172, 160, 150)), 10)
    asphalt = pick(rng, ((92, 92, 95), (110, 108, 106), (80, 82, 86), (122, 118, 114)), 8)
    _strip(canvas, (-120.0, 120.0), grass, Label.TERRAIN)
    _strip(canvas, (layout.left_front, layout.right_front), stone, Label.SIDEWALK)
    if layout.left_verge:
        _strip(canvas, (layout.left_kerb - layout.left_verge, layout.left_kerb), grass, Label.TERRAIN)
    if layout.right_verge:
        _strip(canvas, (layout.right_kerb, layout.right_kerb + layout.right_verge), grass, Label.TERRAIN)
    _slabs(canvas, layout, stone)
    _strip(canvas, (layout.left_kerb, layout.right_kerb), asphalt, Label.ROAD)
    for kerb, outwards in ((layout.left_kerb, -1), (layout.right_kerb, 1)):
        rim = [(kerb, 0.0), (kerb + 0.22 * outwards, 0.0)]
        canvas.polygon(canvas.camera.project(_lane(rim[0][0], rim[1][0])), shade(stone, 1.2), Label.SIDEWALK)
    _markings(canvas, rng, layout)
    _rails(canvas, layout, asphalt)
    if rng.uniform() < 0.5:
        _building_shadow(canvas, rng, layout)


def _lane(left: float, right: float, near: float = NEAR, far: float = FAR) -> list[Point]:
    return [(left, 0.0, near), (right, 0.0, near), (right, 0.0, far), (left, 0.0, far)]


def _strip(canvas: Canvas, sides: tuple[float, float], colour: Colour, label: Label) -> None:
    """Lay one material along the street in pieces, so that haze and grain change with the distance."""
    contrast = 0.22 if label is Label.TERRAIN else 0.1
    grain = canvas.grains.grass if label is Label.TERRAIN else canvas.grains.rough
    for near, far in ((NEAR, 12.0), (12.0, 30.0), (30.0, 60.0), (60.0, FAR)):
        tone = canvas.hazed(colour, near)
        outline = canvas.camera.project(_lane(*sides, near, far))
        tones = (shade(tone, 1 - contrast), shade(tone, 1 + contrast))
        canvas.textured(outline, tones, grain if near < 30 else canvas.grains.soft, label)


def _slabs(canvas: Canvas, layout: StreetLayout, stone: Colour) -> None:
    """Draw the joints of the paving across both pavements."""
    joint = shade(stone, 0.78)
    for outer, kerb, verge in (
        (layout.left_front, layout.left_kerb, -layout.left_verge),
        (layout.right_front, layout.right_kerb, layout.right_verge),
    ):
        for step in range(28):
            z = 3.0 + step * 1.2
            left, right = sorted((outer, kerb + verge))
            canvas.face(_lane(left, right, z, z + 0.05), joint, Label.SIDEWALK)


def _markings(canvas: Canvas, rng: np.random.Generator, layout: StreetLayout) -> None:
    white = shade((226, 226, 220), rng.uniform(0.8, 1.0))
    phase = rng.uniform(0, 6)
    for x in (-1.75, 1.75):
        for dash in range(14):
            near = NEAR + phase + dash * 7.0
            canvas.face(_lane(x - 0.07, x + 0.07, near, near + 3.5), white, Label.ROAD)
    if rng.uniform() < 0.6:
        canvas.face(_lane(layout.right_kerb - 0.5, layout.right_kerb - 0.38), white, Label.ROAD)
    canvas.face(_lane(-5.3, -5.16, NEAR, 70.0), white, Label.ROAD)
    if rng.uniform() < 0.4:
        z = rng.uniform(8, 22)
        bars = int((layout.right_kerb - layout.left_kerb) / 1.0)
        for index in range(bars):
            left = layout.left_kerb + 0.3 + index
            canvas.face(_lane(left, left + 0.5, z, z + 3.0), white, Label.ROAD)


def _rails(canvas: Canvas, layout: StreetLayout, asphalt: Colour) -> None:
    for side in (-0.72, 0.72):
        x = layout.tram_line + side
        canvas.polygon(canvas.camera.project(_lane(x - 0.1, x + 0.1)), shade(asphalt, 0.6), Label.ROAD)
        canvas.polygon(canvas.camera.project(_lane(x - 0.04, x + 0.04)), shade(asphalt, 1.5), Label.ROAD)


def _building_shadow(canvas: Canvas, rng: np.random.Generator, layout: StreetLayout) -> None:
    """Darken the ground along one side, with the steps that different roof heights make."""
    front, reach = (layout.left_front, 1) if rng.uniform() < 0.5 else (layout.right_front, -1)
    z, edge = NEAR, []
    while z < FAR:
        depth, far = rng.uniform(3, 8), z + rng.uniform(8, 16)
        edge += [(front + reach * depth, 0.0, z), (front + reach * depth, 0.0, far)]
        z = far
    outline = [(front, 0.0, NEAR), *edge, (front, 0.0, z)]
    canvas.tint(canvas.camera.project(outline), (20, 22, 34), rng.uniform(0.25, 0.4))
