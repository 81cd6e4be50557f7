"""Label maps in the Cityscapes colours, alone and over photographs, with a legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fastscnn_opt.data.classes import CLASSES, IGNORE, PALETTE
from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_COLOURS = np.zeros((256, 3), dtype=np.uint8)
_COLOURS[: len(CLASSES)] = PALETTE
_COLOURS.setflags(write=False)
"""RGB of each value of a label map, (256, 3); ignored values are black, as in the Cityscapes downloads."""

_PAPER, _INK = (255, 255, 255), (32, 32, 32)


def colourise(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a label map (H, W; trainIds, 255 for ignored) in colours, H, W, 3, RGB."""
    return np.take(_COLOURS, labels, axis=0)


def in_palette(labels: NDArray[np.uint8]) -> Image.Image:
    """Return a label map (H, W) as a picture that holds classes and a table of colours, which compresses best."""
    picture = Image.fromarray(np.where(labels == IGNORE, len(CLASSES), labels).astype(np.uint8))
    picture.putpalette(_COLOURS[: len(CLASSES) + 1].tobytes())
    return picture


def blend(photo: NDArray[np.uint8], labels: NDArray[np.uint8], alpha: float) -> NDArray[np.uint8]:
    """Lay the colours of a label map (H, W) over a photograph (H, W, 3); `alpha` is their share, 0 to 1.

    Ignored pixels (255) show the photograph.
    """
    mixed = np.rint((1 - alpha) * photo.astype(np.float32) + alpha * colourise(labels)).astype(np.uint8)
    return np.where((labels == IGNORE)[..., None], photo, mixed)


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


def with_legend(picture: NDArray[np.uint8], present: Sequence[int]) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) with a legend of the classes `present` below it, in as many lines as it takes."""
    height, width, _ = picture.shape
    font = _font(width)
    swatch = int(font.size)
    cell = int(max((font.getlength(name) for name in CLASSES), default=0)) + 3 * swatch
    columns = max(1, width // cell)
    lines = -(-len(present) // columns)
    page = Image.new("RGB", (width, height + 2 * swatch * lines), _PAPER)
    page.paste(Image.fromarray(picture), (0, 0))
    pen = ImageDraw.Draw(page)
    for index, number in enumerate(present):
        left, top = index % columns * cell + swatch // 2, height + index // columns * 2 * swatch + swatch // 2
        pen.rectangle((left, top, left + swatch, top + swatch), fill=tuple(map(int, PALETTE[number])))
        pen.text((left + 3 * swatch // 2, top), CLASSES[number], _INK, font)
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
