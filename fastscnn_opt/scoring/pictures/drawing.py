"""Label maps in the colours of their classes, alone and over photographs, with a legend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fastscnn_opt.data.dataset import Classes, Colour, voc_colour
from fastscnn_opt.data.masks import ignored_value
from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

NO_CLASS = "no class of the data"
"""What a prediction beyond the classes of the data is called."""

_IGNORED = {"black": (0, 0, 0), "white": (255, 255, 255), "light grey": (211, 211, 211)}
"""Colours for ignored pixels; the first that no class has is taken."""

_NO_CLASS = ((0, 255, 255), (255, 0, 255))
"""Colours for predictions of no class: cyan or magenta, the first that no class has."""

_PAPER, _INK = (255, 255, 255), (32, 32, 32)


@dataclass(frozen=True)
class Colours:
    """The colours of a drawn label map: it holds `classes`, `beyond` where a prediction is none of them, `ignored`."""

    classes: Classes

    @property
    def beyond(self) -> int:
        """The value of a predicted class that the data do not have."""
        return len(self.classes)

    @property
    def ignored(self) -> int:
        """The value of a pixel that counts nowhere."""
        return len(self.classes) + 1

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each value."""
        return (*self.classes.names, NO_CLASS, "ignored")

    @cached_property
    def table(self) -> NDArray[np.uint8]:
        """RGB of each value, (values, 3). What is no class has a colour that no class has."""
        palette = self.classes.palette
        ignored = _free(_IGNORED.values(), palette)
        beyond = _free(_NO_CLASS, (*palette, ignored))
        return np.array([*palette, beyond, ignored], dtype=np.uint8)

    @property
    def ignored_colour(self) -> str:
        """The colour of ignored pixels in words."""
        colour: Colour = tuple(self.table[self.ignored].tolist())
        return next((name for name, spare in _IGNORED.items() if spare == colour), f"RGB {colour}")

    def of_label(self, label: NDArray[np.unsignedinteger]) -> NDArray[np.uint32]:
        """Return a label map of the dataset (H, W) with `ignored` where its pixels are ignored."""
        return np.where(label == ignored_value(len(self.classes)), self.ignored, label.astype(np.uint32))


def _free(preferred: Iterable[Colour], palette: Sequence[Colour]) -> Colour:
    """Return the first of the preferred colours, or else of all colours, that a palette does not have."""
    taken = set(palette)
    return next(colour for colour in chain(preferred, map(voc_colour, range(1 << 24))) if colour not in taken)


def colourise(labels: NDArray[np.integer], colours: Colours) -> NDArray[np.uint8]:
    """Return a label map (H, W) in colours, H, W, 3, RGB."""
    return np.take(colours.table, labels, axis=0)


def in_palette(labels: NDArray[np.integer], colours: Colours) -> Image.Image:
    """Return a label map (H, W) as a picture; up to 256 values with a table of colours, which compresses best."""
    if len(colours.table) > 256:
        return Image.fromarray(colourise(labels, colours))
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(colours.table.tobytes())
    return picture


def blend(photo: NDArray[np.uint8], labels: NDArray[np.integer], alpha: float, colours: Colours) -> NDArray[np.uint8]:
    """Lay the colours of a label map (H, W) over a photograph (H, W, 3); `alpha` is their share, 0 to 1.

    Ignored pixels show the photograph.
    """
    mixed = np.rint((1 - alpha) * photo.astype(np.float32) + alpha * colourise(labels, colours)).astype(np.uint8)
    return np.where((labels == colours.ignored)[..., None], photo, mixed)


def beside(pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str]) -> NDArray[np.uint8]:
    """Return pictures of one height (H, W, 3) from left to right, each below its caption; no captions, no band."""
    height, gap = pictures[0].shape[0], max(2, pictures[0].shape[1] // 128)
    width = sum(picture.shape[1] for picture in pictures) + gap * (len(pictures) - 1)
    font = _font(width)
    band = 2 * int(font.size) if any(captions) else 0
    page = Image.new("RGB", (width, height + band), _PAPER)
    pen, left = ImageDraw.Draw(page), 0
    for picture, caption in zip(pictures, captions, strict=True):
        page.paste(Image.fromarray(picture), (left, band))
        pen.text((left + gap, band // 4), _shortened(caption, font, picture.shape[1] - 2 * gap), _INK, font)
        left += picture.shape[1] + gap
    return np.asarray(page)


def with_legend(picture: NDArray[np.uint8], present: Sequence[int], colours: Colours) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) with a legend of the values `present` below it, in as many lines as it takes."""
    height, width, _ = picture.shape
    font = _font(width)
    swatch = int(font.size)
    names = {number: _shortened(colours.names[number], font, width - 2 * swatch) for number in present}
    cell = int(max(map(font.getlength, names.values()), default=0)) + 3 * swatch
    columns = max(1, width // cell)
    lines = -(-len(present) // columns)
    page = Image.new("RGB", (width, height + 2 * swatch * lines), _PAPER)
    page.paste(Image.fromarray(picture), (0, 0))
    pen = ImageDraw.Draw(page)
    for index, number in enumerate(present):
        left, top = index % columns * cell + swatch // 2, height + index // columns * 2 * swatch + swatch // 2
        pen.rectangle((left, top, left + swatch, top + swatch), fill=tuple(colours.table[number].tolist()))
        pen.text((left + 3 * swatch // 2, top), names[number], _INK, font)
    return np.asarray(page)


def _font(width: int) -> ImageFont.FreeTypeFont:
    """Return a font that can be read on a picture of this width."""
    font = ImageFont.load_default(max(10, min(28, width // 64)))
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise TypeError("Pillow was built without FreeType, which its wheels have")
    return font


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return `text` on one line, cut so that it is not wider than `width` pixels."""
    text = printable(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
