"""Value noise, colours and the light of the whole picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

Colour = tuple[int, int, int]


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Blend two colours; ``share`` 0 gives the first and 1 the second."""
    red, green, blue = (round(a + share * (b - a)) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: Colour, gain: float) -> Colour:
    """Multiply a colour and keep it within 0..255."""
    red, green, blue = (min(255, max(0, round(channel * gain))) for channel in colour)
    return red, green, blue


def jitter(rng: np.random.Generator, colour: Colour, amount: int = 18) -> Colour:
    """Move every channel by at most ``amount``."""
    red, green, blue = (min(255, max(0, c + int(rng.integers(-amount, amount + 1)))) for c in colour)
    return red, green, blue


def pick(rng: np.random.Generator, palette: tuple[Colour, ...], amount: int = 18) -> Colour:
    """Choose a colour of a palette and jitter it."""
    return jitter(rng, palette[int(rng.integers(len(palette)))], amount)


PAINT: tuple[Colour, ...] = (
    (30, 32, 36), (70, 74, 80), (150, 154, 158), (215, 217, 220), (150, 30, 30),
    (35, 60, 120), (40, 90, 70), (190, 150, 60), (120, 90, 70), (90, 130, 170),
)  # fmt: skip
CLOTH: tuple[Colour, ...] = (
    (30, 30, 38), (60, 70, 100), (150, 40, 45), (190, 185, 175), (90, 80, 60),
    (60, 100, 70), (200, 160, 60), (120, 120, 125), (160, 90, 120), (40, 50, 80),
)  # fmt: skip
MASONRY: tuple[Colour, ...] = (
    (150, 95, 75), (190, 170, 140), (140, 138, 134), (200, 196, 186), (120, 85, 70), (170, 150, 120), (165, 160, 165),
)  # fmt: skip
FOLIAGE: tuple[Colour, ...] = ((62, 92, 42), (48, 80, 46), (86, 104, 48), (96, 98, 50), (54, 74, 36))
GRASS: tuple[Colour, ...] = ((104, 122, 68), (120, 124, 76), (92, 116, 60), (128, 118, 84))
SKIN: tuple[Colour, ...] = ((222, 180, 150), (190, 140, 110), (130, 90, 65), (90, 60, 45))
GLASS: tuple[Colour, ...] = ((38, 46, 56), (56, 66, 76), (28, 32, 38), (84, 98, 110))


def value_noise(
    rng: np.random.Generator, height: int, width: int, cell: tuple[float, float], octaves: int
) -> Image.Image:
    """Sum octaves of random grids, each resized to (height, width), and stretch the sum to 0..255.

    ``cell`` is the (vertical, horizontal) size in pixels of the coarsest grid's cells; every further octave halves it
    and its weight.
    """
    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(octaves):
        rows = max(2, round(height * 2**octave / cell[0]))
        columns = max(2, round(width * 2**octave / cell[1]))
        grid = Image.fromarray(rng.integers(0, 256, (min(rows, height), min(columns, width)), dtype=np.uint8))
        grown = grid.resize((width, height), Image.Resampling.BICUBIC)
        total += np.asarray(grown, dtype=np.float32) * np.float32(0.5**octave)
    low, high = total.min(), total.max()
    return Image.fromarray(((total - low) * (255.0 / (high - low))).astype(np.uint8))


@dataclass(frozen=True)
class Grains:
    """The noise fields a scene takes its surfaces from, each an 8 bit image of the size of the scene."""

    soft: Image.Image
    rough: Image.Image
    leaves: Image.Image
    grass: Image.Image

    @classmethod
    def random(cls, rng: np.random.Generator, height: int, width: int) -> Grains:
        """Draw the fields at half resolution, where they cost a quarter, and enlarge them."""
        rows, columns, unit = height // 2, width // 2, height / 1024

        def field(vertical: float, horizontal: float, octaves: int) -> Image.Image:
            cell = (max(1.0, vertical * unit / 2), max(1.0, horizontal * unit / 2))
            return value_noise(rng, rows, columns, cell, octaves).resize((width, height), Image.Resampling.BILINEAR)

        return cls(soft=field(160, 260, 4), rough=field(8, 10, 2), leaves=field(40, 40, 4), grass=field(14, 6, 2))


def develop(rng: np.random.Generator, picture: Image.Image) -> NDArray[np.uint8]:
    """Turn the painted picture into a photograph: lens blur, exposure, colour temperature, vignetting, sensor noise."""
    height, width = picture.height, picture.width
    blurred = picture.filter(ImageFilter.BoxBlur(0.6 * height / 1024))
    warmth = rng.uniform(-0.07, 0.07)
    gains = rng.uniform(0.82, 1.12) * np.array([1 + warmth, 1.0, 1 - warmth])
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    falloff = 1 - np.float32(rng.uniform(0.03, 0.12)) * (rows * rows + columns * columns)
    photo = np.asarray(blurred, dtype=np.float32) * falloff
    photo *= gains.astype(np.float32)
    raw = np.frombuffer(rng.bytes(height * width * 3), dtype=np.uint8).reshape(height, width, 3)
    # The sum of two uniform nibbles is a triangular distribution of mean 15: close enough to shot noise, and exact.
    noise = (raw & 15).astype(np.int8) + (raw >> 4).astype(np.int8) - np.int8(15)
    photo += noise * np.float32(rng.uniform(0.2, 0.6))
    exposed: NDArray[np.uint8] = np.clip(photo + np.float32(0.5), 0, 255).astype(np.uint8)
    return exposed
