"""The pinhole camera of a scene: world metres to image pixels.

World axes: x to the right, y up from the road, z forward from the camera, all in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

Point = tuple[float, float, float]
Pixel = tuple[int, int]

NEAR = 1.0
"""Nothing closer than this many metres is drawn; polygons are cut there."""


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera behind a windscreen.

    ``focal``, ``horizon`` (row) and ``centre`` (column) are in pixels, ``eye`` (height above the road) in metres.
    """

    height: int
    width: int
    focal: float
    horizon: float
    centre: float
    eye: float

    @classmethod
    def random(cls, rng: np.random.Generator, height: int, width: int) -> Camera:
        """Draw a camera of a tall passenger car for an image of ``height`` x ``width`` pixels."""
        return cls(
            height=height,
            width=width,
            focal=height * rng.uniform(1.15, 1.4),
            horizon=height * rng.uniform(0.38, 0.44),
            centre=width * rng.uniform(0.46, 0.54),
            eye=rng.uniform(1.4, 1.75),
        )

    def scale(self, z: float) -> float:
        """Return how many pixels one metre takes at the distance ``z``."""
        return self.focal / max(z, NEAR)

    def pixel(self, point: Point) -> Pixel:
        """Project one point that lies beyond the near plane."""
        scale = self.scale(point[2])
        return round(self.centre + scale * point[0]), round(self.horizon - scale * (point[1] - self.eye))

    def project(self, polygon: Sequence[Point]) -> list[Pixel]:
        """Cut a polygon at the near plane and project it; empty when nothing of it is in front."""
        return [self.pixel(point) for point in _clip(polygon)]

    def pixels(self, size: float) -> int:
        """Scale a size given in pixels of a 1024 row image to this image, at least one pixel."""
        return max(1, round(size * self.height / 1024))

    def visible_from(self, x: float) -> float:
        """Return the distance from which on the line at the lateral position ``x`` is inside the image."""
        half = self.width - self.centre if x > 0 else self.centre
        return max(NEAR, abs(x) * self.focal / half)


def _clip(polygon: Sequence[Point]) -> list[Point]:
    """Sutherland-Hodgman against the plane z = NEAR."""
    kept: list[Point] = []
    for start, end in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        if start[2] >= NEAR:
            kept.append(start)
        if (start[2] >= NEAR) != (end[2] >= NEAR):
            share = (NEAR - start[2]) / (end[2] - start[2])
            kept.append((start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]), NEAR))
    return kept
