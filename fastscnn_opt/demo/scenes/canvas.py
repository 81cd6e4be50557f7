"""Paint the picture and its label map together, with one geometry."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from fastscnn_opt.demo.scenes.texture import Colour, Grains, mix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.demo.scenes.camera import Camera, Pixel, Point


_LEVELS = np.arange(256)[:, None]


class Label(IntEnum):
    """Cityscapes trainIds."""

    ROAD = 0
    SIDEWALK = 1
    BUILDING = 2
    WALL = 3
    FENCE = 4
    POLE = 5
    TRAFFIC_LIGHT = 6
    TRAFFIC_SIGN = 7
    VEGETATION = 8
    TERRAIN = 9
    SKY = 10
    PERSON = 11
    RIDER = 12
    CAR = 13
    TRUCK = 14
    BUS = 15
    TRAIN = 16
    MOTORCYCLE = 17
    BICYCLE = 18
    IGNORE = 255


class Canvas:
    """An RGB picture and its label map; whatever is painted later lies in front.

    ``random`` serves the grain of surfaces alone, so that the layout of a scene does not depend on its size in pixels.
    Every method paints the same pixels into both. ``label=None`` paints the picture alone, for light and shadow.
    """

    def __init__(self, camera: Camera, random: np.random.Generator, haze: Colour, visibility: float) -> None:
        self.camera = camera
        self.grains = Grains.random(random, camera.height, camera.width)
        self.haze = haze
        self.visibility = visibility
        self.picture = Image.new("RGB", (camera.width, camera.height), haze)
        self.labels = Image.new("L", (camera.width, camera.height), Label.IGNORE)
        self._random = random
        self._paint = ImageDraw.Draw(self.picture)
        self._mark = ImageDraw.Draw(self.labels)

    def hazed(self, colour: Colour, z: float) -> Colour:
        """Return the colour as it is seen through ``z`` metres of air."""
        return mix(colour, self.haze, 1 - math.exp(-z / self.visibility))

    def polygon(self, outline: Sequence[Pixel], colour: Colour, label: Label | None) -> None:
        """Fill a polygon of pixels with one colour."""
        if len(outline) < 3:
            return
        self._paint.polygon(outline, fill=colour)
        if label is not None:
            self._mark.polygon(outline, fill=label)

    def ellipse(self, box: tuple[int, int, int, int], colour: Colour, label: Label | None) -> None:
        """Fill the ellipse inscribed in ``box`` (left, top, right, bottom)."""
        self._paint.ellipse(box, fill=colour)
        if label is not None:
            self._mark.ellipse(box, fill=label)

    def bar(self, box: tuple[int, int, int, int], colour: Colour, label: Label | None) -> None:
        """Fill the upright rectangle ``box`` (left, top, right, bottom; right and bottom are not painted)."""
        left, top, right, bottom = box
        if right > left and bottom > top:
            inclusive = (left, top, right - 1, bottom - 1)
            self._paint.rectangle(inclusive, fill=colour)
            if label is not None:
                self._mark.rectangle(inclusive, fill=label)

    def textured(
        self,
        outline: Sequence[Pixel],
        tones: tuple[Colour, Colour],
        grain: Image.Image,
        label: Label | None,
    ) -> None:
        """Fill a polygon with a noise field that runs from the first to the second tone."""
        if (found := self._mask(outline)) is None:
            return
        mask, (left, top, right, bottom) = found
        x = int(self._random.random() * (grain.width - (right - left) + 1))
        y = int(self._random.random() * (grain.height - (bottom - top) + 1))
        patch = grain.crop((x, y, x + right - left, y + bottom - top))
        low, high = np.array(tones)
        patch.putpalette((low + (high - low) * _LEVELS // 255).astype(np.uint8).tobytes())
        self.picture.paste(patch.convert("RGB"), (left, top), mask)
        if label is not None:
            self.labels.paste(int(label), (left, top, right, bottom), mask)

    def tint(self, outline: Sequence[Pixel], colour: Colour, opacity: float, label: Label | None = None) -> None:
        """Blend a colour over a polygon: shadows, glass, spokes."""
        if (found := self._mask(outline)) is None:
            return
        mask, box = found
        self.picture.paste(colour, box, mask.point([round(level * opacity) for level in range(256)]))
        if label is not None:
            self.labels.paste(int(label), box, mask)

    def face(self, outline: Sequence[Point], colour: Colour, label: Label | None) -> None:
        """Fill a polygon of the world with one colour, seen through the haze."""
        depth = sum(point[2] for point in outline) / len(outline)
        self.polygon(self.camera.project(outline), self.hazed(colour, depth), label)

    def surface(
        self,
        outline: Sequence[Point],
        tones: tuple[Colour, Colour],
        grain: Image.Image,
        label: Label | None,
    ) -> None:
        """Fill a polygon of the world with a noise field, seen through the haze."""
        depth = sum(point[2] for point in outline) / len(outline)
        low, high = (self.hazed(tone, depth) for tone in tones)
        self.textured(self.camera.project(outline), (low, high), grain, label)

    def _mask(self, outline: Sequence[Pixel]) -> tuple[Image.Image, tuple[int, int, int, int]] | None:
        """Rasterise a polygon inside the part of its bounding box that lies on the canvas."""
        if len(outline) < 3:
            return None
        columns, rows = [x for x, _ in outline], [y for _, y in outline]
        left, top = max(0, min(columns)), max(0, min(rows))
        right, bottom = min(self.camera.width, max(columns) + 1), min(self.camera.height, max(rows) + 1)
        if right <= left or bottom <= top:
            return None
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in outline], fill=255)
        return mask, (left, top, right, bottom)


class Board:
    """A flat figure that stands at (x, z) and faces the camera; its own axes are metres right and up of the foot.

    ``size`` enlarges the figure; ``squeeze`` shortens its horizontal axis, as a turn about the vertical would, and
    mirrors it where negative.
    """

    def __init__(self, canvas: Canvas, x: float, z: float, *, size: float = 1.0, squeeze: float = 1.0) -> None:
        self.canvas = canvas
        self.z = z
        self.scale = canvas.camera.scale(z) * size
        self.squeeze = squeeze
        self._x, self._y = canvas.camera.pixel((x, 0.0, z))

    def at(self, x: float, y: float) -> Pixel:
        """Return the pixel of a point of the figure."""
        return round(self._x + self.scale * self.squeeze * x), round(self._y - self.scale * y)

    def polygon(self, outline: Sequence[tuple[float, float]], colour: Colour, label: Label | None) -> None:
        """Fill a polygon of the figure."""
        self.canvas.polygon([self.at(*point) for point in outline], self.canvas.hazed(colour, self.z), label)

    def tint(self, outline: Sequence[tuple[float, float]], colour: Colour, opacity: float, label: Label | None) -> None:
        """Blend a colour over a polygon of the figure."""
        self.canvas.tint([self.at(*point) for point in outline], colour, opacity, label)

    def disc(self, x: float, y: float, radius: float, colour: Colour, label: Label | None) -> None:
        """Fill a disc of the figure."""
        (left, bottom), (right, top) = self.at(x - radius, y - radius), self.at(x + radius, y + radius)
        left, right = min(left, right), max(left, right)
        self.canvas.ellipse((left, top, right, bottom), self.canvas.hazed(colour, self.z), label)

    def limb(
        self, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour, label: Label | None
    ) -> None:
        """Fill a straight bar of ``width`` metres, at least two pixels wide, from ``start`` to ``end``."""
        (x0, y0), (x1, y1) = self.at(*start), self.at(*end)
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        half = max(1.0, width * self.scale / 2)
        dx, dy = -(y1 - y0) / length * half, (x1 - x0) / length * half
        corners = [(x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)]
        outline = [(round(x), round(y)) for x, y in corners]
        self.canvas.polygon(outline, self.canvas.hazed(colour, self.z), label)
