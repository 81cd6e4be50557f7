"""Saves the label maps that a model gives for the images of a dataset in one small file, and loads them.

The file is a ZIP archive: ``about.json`` with the names and the size of the images and the step between the saved
pixels, and one palette PNG of classes per image. An entry is named after the number of its image, because an
image may have any name.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fastscnn_opt.data.classes import CLASSES, IGNORE
from fastscnn_opt.errors import RunError
from fastscnn_opt.measuring.resampling import nearest_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MOST_IMAGES = 500
"""Images whose label maps are saved at most: as many as the Cityscapes validation set has."""

_LONGEST_SIDE = 1024
"""Pixels of the longer side of a saved map at most; enough for a page, and a tenth of the disk space."""

_ABOUT = "about.json"
_GREY = [level for level in range(256) for _ in "RGB"]

_LARGEST_PART = 2 * _LONGEST_SIDE**2
"""Bytes of a file in the archive at most; a grey PNG of that many pixels is smaller."""


@dataclass(frozen=True)
class SavedImages:
    """The images of saved label maps: the first `names` of a dataset, of height and width `size`.

    Every `step`-th row and column of pixels is saved.
    """

    names: tuple[str, ...]
    size: tuple[int, int]
    step: int


class SavedPredictions:
    """The label maps in a file that `save_predictions` wrote. Raises RunError for anything else."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @cached_property
    def images(self) -> SavedImages:
        """The images whose label maps are in the file."""
        try:
            about = json.loads(self._read(_ABOUT))
            height, width = map(int, about["size"])
            return SavedImages(tuple(map(str, about["names"])), (height, width), int(about["step"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise self._damaged(error) from error

    def load(self, index: int) -> NDArray[np.uint8]:
        """Return the label map of one image, H, W, at the size it was saved: 0 to 18, or 255 for no class."""
        try:
            with Image.open(io.BytesIO(self._read(_entry(index))), formats=["PNG"]) as image:
                labels = np.asarray(image)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise self._damaged(error) from error
        height, width = self.images.size
        step = self.images.step
        if labels.shape != (-(-height // step), -(-width // step)) or labels.dtype != np.uint8:
            raise self._damaged(f"image {index} is {labels.dtype} {labels.shape}")
        if labels[labels != IGNORE].max(initial=0) >= len(CLASSES):
            raise self._damaged(f"image {index} holds class {labels.max()}")
        return labels

    def _read(self, entry: str) -> bytes:
        try:
            with zipfile.ZipFile(self._file) as archive, archive.open(entry) as part:
                content = part.read(_LARGEST_PART + 1)
        except (
            OSError,
            KeyError,
            ValueError,
            zipfile.BadZipFile,
            zlib.error,
            NotImplementedError,
            RuntimeError,
        ) as error:
            raise self._damaged(error) from error
        if len(content) > _LARGEST_PART:
            raise self._damaged(f"{entry} is larger than {_LARGEST_PART} bytes")
        return content

    def _damaged(self, what: object) -> RunError:
        return RunError(f"the saved label maps cannot be read ({what})", where=self._file, cure="remove the file")


@contextmanager
def save_predictions(
    file: Path, names: Sequence[str], size: tuple[int, int]
) -> Iterator[Callable[[NDArray[np.integer]], None]]:
    """Yield a function that saves one label map after the other to `file`, which appears when the block ends well.

    The maps are those of the images `names`, in order, of height and width `size`; those after `MOST_IMAGES` are not
    saved.
    """
    images = SavedImages(tuple(names[:MOST_IMAGES]), size, -(-max(size) // _LONGEST_SIDE))
    partial = file.with_name(f".unfinished-{file.name}")
    count = 0
    try:
        with zipfile.ZipFile(partial, "w") as archive:

            def save(labels: NDArray[np.integer]) -> None:
                nonlocal count
                if count < len(images.names):
                    kept = nearest_at(labels, images.size)[:: images.step, :: images.step]
                    archive.writestr(_entry(count), _png(np.where(kept < len(CLASSES), kept, IGNORE)))
                    count += 1

            yield save
            archive.writestr(_ABOUT, json.dumps(asdict(images)))
        partial.replace(file)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _entry(index: int) -> str:
    return f"{index:05d}.png"


def _png(labels: NDArray[np.integer]) -> bytes:
    """Return a label map as a PNG; one with a palette is not filtered, which takes a tenth of the time."""
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(bytes(_GREY))
    content = io.BytesIO()
    picture.save(content, format="PNG", compress_level=3)
    return content.getvalue()
