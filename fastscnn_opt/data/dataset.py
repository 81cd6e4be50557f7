"""What a dataset is to the rest of the project: labelled images in a fixed order, and their classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from fastscnn_opt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

LONGEST_SIDE = 16384
"""Pixels of the height or width of an image at most, where somebody states them."""

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


@dataclass(frozen=True)
class Classes:
    """The classes of a dataset or a model: the place of a name is its index."""

    names: tuple[str, ...]
    palette: tuple[Colour, ...]

    @classmethod
    def of(cls, names: Sequence[str], palette: Sequence[Sequence[int]] | None = None) -> Classes:
        """Return classes with the colours `palette`, or with those that PASCAL VOC gives to indices."""
        colours = palette if palette is not None else [voc_colour(index) for index in range(len(names))]
        return cls(tuple(names), tuple((red, green, blue) for red, green, blue in colours))

    def __len__(self) -> int:
        return len(self.names)


def voc_colour(index: int) -> Colour:
    """Return the colour of an index in the colour map of the PASCAL VOC development kit.

    The bits of the index go to red, green and blue in turn, the lowest bits to the highest places.
    """
    channels = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * place + channel) & 1) << (7 - place)
    return channels[0], channels[1], channels[2]


@dataclass(frozen=True)
class Sample:
    """An image, H, W, 3, RGB, and its label map, H, W: classes, and `masks.ignored_value` for ignored pixels."""

    name: str
    image: NDArray[np.uint8]
    label: NDArray[np.unsignedinteger]


def check_size(sample: Sample, size: tuple[int, int]) -> Sample:
    """Return a sample of height and width `size`. Raises DataError if it has another, for uses that need one size."""
    height, width = sample.image.shape[:2]
    if (height, width) != size:
        raise DataError(
            f"{width} x {height} (width x height), but the first image is {size[1]} x {size[0]}",
            where=sample.name,
            cure="all images have to have one size here",
        )
    return sample


class Dataset(Protocol):
    """Labelled images in a fixed order, decoded or rendered when they are asked for."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each image."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the first image."""

    @property
    def classes(self) -> Classes:
        """The classes that labels are in."""

    @property
    def prediction_map(self) -> Mapping[int, int]:
        """Class of the model -> class of the dataset, where the two differ."""

    @property
    def threshold(self) -> float | None:
        """Of a model with one channel: the output above which a pixel is of class 1; None where nothing says so."""

    def __len__(self) -> int:
        """Return the number of images."""

    def load(self, index: int) -> Sample:
        """Return one image with its label map. Raises DataError."""

    def fingerprint(self) -> str:
        """Return hexadecimal text that changes when the images or labels do."""
