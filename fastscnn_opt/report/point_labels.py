"""Place the labels of the points in a plot, so that they cover neither each other nor a point."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MARGIN, _ABOVE = 0.06, 0.16
"""Free shares of the range of values at each side of a plot, and at the top, where the best points are."""

_WIDEST = 26
"""Characters of a label at most; the table shows longer ones in full."""

_CHARACTER = 0.58
"""Average width of a character of a sans-serif font, in units of its size, rounded up."""

_POINT = 9.0
"""Half the side in pixels of the square that a point covers."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels."""


@dataclass(frozen=True)
class Frame:
    """The ranges of values that a plot shows, and its size in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    width: int
    height: int

    @classmethod
    def around(
        cls, points: Sequence[Mapping[str, Any]], width: int, height: int, *, also: float | None = None
    ) -> Frame:
        """Return the frame of points with ``low``, ``high`` and ``miou``, extended to the level `also`."""
        levels = [point["miou"] for point in points] + ([] if also is None else [also])
        x = _range([value for point in points for value in (point["low"], point["high"])], _MARGIN)
        return cls(x, _range(levels, _ABOVE), width, height)

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """Return the position of a point in pixels from the left and from the top."""
        right = (x - self.x[0]) / (self.x[1] - self.x[0]) * self.width
        return right, (self.y[1] - y) / (self.y[1] - self.y[0]) * self.height

    def value(self, right: float, down: float) -> tuple[float, float]:
        """Return the values at a pixel."""
        x = self.x[0] + right / self.width * (self.x[1] - self.x[0])
        return x, self.y[1] - down / self.height * (self.y[1] - self.y[0])


@dataclass(frozen=True)
class PointLabel:
    """A text at values of x and y; `align` says which end of the text is there.

    `point_x` and `point_y` are the values of its point. If the label `is_distant`, a line should lead to the point.
    """

    x: float
    y: float
    text: str
    align: str
    point_x: float
    point_y: float
    is_distant: bool


def place(
    frame: Frame,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    font_size: float,
    *,
    lines: Sequence[tuple[float, float, float, float]] = (),
) -> list[PointLabel]:
    """Return a label for each point; a label without room is left out.

    The labels are placed one after the other. Each takes the free place nearest to its point. A free place covers no
    point, no other label and none of the `lines` (horizontal or vertical, given by x and y of both ends).
    """
    pixels = [frame.pixel(*point) for point in points]
    taken: list[Box] = [(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y in pixels]
    for x1, y1, x2, y2 in lines:
        (left, bottom), (right, top) = frame.pixel(min(x1, x2), min(y1, y2)), frame.pixel(max(x1, x2), max(y1, y2))
        taken.append((left - 1, top - 1, right + 1, bottom + 1))
    labels = []
    for point, (x, y), full in zip(points, pixels, texts, strict=True):
        text = full if len(full) <= _WIDEST else f"{full[: _WIDEST - 1]}…"
        width, height = len(text) * font_size * _CHARACTER, font_size * 1.2
        for box, anchor, align in _places(x, y, width, height):
            if _is_inside(box, frame) and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                middle = (box[1] + box[3]) / 2
                is_distant = abs(middle - y) > 1.5 * height
                labels.append(PointLabel(*frame.value(anchor, middle), text, align, *point, is_distant))
                break
    return labels


def _places(x: float, y: float, width: float, height: float) -> list[tuple[Box, float, str]]:
    """Return the boxes that a label may take, the nearest first, each with its anchor and alignment."""
    gap = _POINT + 4
    lines = sorted((step * height / 2 for step in range(-9, 10)), key=abs)
    places: list[tuple[Box, float, str]] = []
    for down, align in product(lines, ("left", "right", "center")):
        if align == "center" and abs(down) < _POINT + height / 2:
            continue
        left = {"left": x + gap, "right": x - gap - width, "center": x - width / 2}[align]
        anchor = {"left": left, "right": left + width, "center": x}[align]
        places.append(((left, y + down - height / 2, left + width, y + down + height / 2), anchor, align))
    return places


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _is_inside(box: Box, frame: Frame) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= frame.width and box[3] <= frame.height


def _range(values: Sequence[float], above: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    span = (high - low) or max(abs(high), 1.0)
    return low - _MARGIN * span, high + above * span
