"""The interface of a dataset: labelled images in a fixed order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """An image, H, W, 3, RGB, and its label map, H, W, trainIds with 255 for ignored pixels."""

    name: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]


class Dataset(Protocol):
    """Labelled images in a fixed order, each decoded or rendered when it is loaded."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each image."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the first image."""

    def __len__(self) -> int:
        """Return the number of images."""

    def load(self, index: int) -> Sample:
        """Return one image with its label map. Raises DataError."""

    def fingerprint(self) -> str:
        """Return hexadecimal text that changes when the images or labels do."""
