"""Saves the label maps that a model gives for the images of a dataset in one small file, and loads them.

The file is a ZIP archive: ``about.json`` with the names and sizes of the images, and one PNG of classes per image. An
entry is named after the number of its image, because an image may have any name.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fastscnn_opt.errors import RunError
from fastscnn_opt.files import from_os_error, open_readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MOST_IMAGES = 500
"""Images whose label maps are saved at most."""

_LONGEST_SIDE = 1024
"""Pixels of the longer side of a saved map at most; enough for a page, and a tenth of the disk space."""

_MOST_PIXELS = 1 << 27
"""Of an image at most; images of a dataset have fewer."""

_ABOUT = "about.json"
_GREY = [level for level in range(256) for _ in "RGB"]

_LARGEST_PART = 3 * _LONGEST_SIDE**2
"""Bytes of a file in the archive at most; a PNG of that many pixels of 16 bits is smaller."""


@dataclass(frozen=True)
class SavedImages:
    """The images of saved label maps: the first `names` of a dataset, each with height and width."""

    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]


def step_of(size: tuple[int, int]) -> int:
    """Return n where every n-th row and column of a label map of this height and width is saved."""
    return max(1, -(-max(size) // _LONGEST_SIDE))


class SavedPredictions:
    """The label maps of a number of `classes` that `save_predictions` wrote. Raises RunError for another file."""

    def __init__(self, file: Path, classes: int) -> None:
        self._file = file
        self._classes = classes

    @cached_property
    def images(self) -> SavedImages:
        """The images whose label maps are in the file."""
        try:
            about = json.loads(self._read(_ABOUT))
            names = tuple(map(str, about["names"]))
            sizes = about["sizes"] if "sizes" in about else [about["size"]] * len(names)  # as old releases have it
            found = SavedImages(
                names, tuple((int(height), int(width)) for _, (height, width) in zip(names, sizes, strict=True))
            )
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise self._damaged(error) from error
        if not names or not all(min(size) > 0 and math.prod(size) <= _MOST_PIXELS for size in found.sizes):
            raise self._damaged(f"it tells of no images, or of sizes that no image has: {found.sizes[:1]}")
        return found

    def load(self, index: int) -> NDArray[np.unsignedinteger]:
        """Return the label map of one image, H, W, as it was saved; the number of classes means none of them."""
        height, width = size = self.images.sizes[index]
        step = step_of(size)
        shape = (-(-height // step), -(-width // step))
        try:
            with Image.open(io.BytesIO(self._read(_entry(index))), formats=["PNG"]) as image:
                found = f"image {index} has {image.mode} pixels, {image.height} x {image.width}"
                fits = (image.height, image.width) == shape and len(image.getbands()) == 1
                labels = np.asarray(image) if fits else None
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise self._damaged(error) from error
        if labels is None:
            raise self._damaged(found)
        return limited(labels, self._classes)

    def _read(self, entry: str) -> bytes:
        try:
            with (
                open_readable(self._file, MOST_IMAGES * _LARGEST_PART) as file,
                zipfile.ZipFile(file) as archive,
                archive.open(entry) as part,
            ):
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
        what = from_os_error(what).what if isinstance(what, OSError) else what
        return RunError(f"the saved label maps cannot be read ({what})", where=self._file, cure="remove the file")


@contextmanager
def save_predictions(file: Path, names: Sequence[str], classes: int) -> Iterator[Callable[[NDArray[np.integer]], None]]:
    """Yield a function that saves one label map after the other to `file`, which appears when the block ends well.

    The maps (H, W) are those of the images `names`, in order; those after `MOST_IMAGES` are not saved. They hold 0 to
    `classes` - 1, and greater numbers for no class.
    """
    sizes: list[tuple[int, ...]] = []
    with _new_archive(file) as archive:

        def save(labels: NDArray[np.integer]) -> None:
            if len(sizes) < MOST_IMAGES:
                height, width = labels.shape
                step = step_of((height, width))
                kept = limited(labels[::step, ::step], classes)
                archive.writestr(_entry(len(sizes)), _png(kept))
                sizes.append((height, width))

        yield save
        archive.writestr(_ABOUT, json.dumps({"names": names[: len(sizes)], "sizes": sizes}))


def join_predictions(file: Path, parts: Iterable[bytes]) -> None:
    """Write what `save_predictions` would have written for the images of all parts, whose files these are."""
    names: list[str] = []
    sizes: list[tuple[int, ...]] = []
    with _new_archive(file) as archive:
        for content in parts:
            with zipfile.ZipFile(io.BytesIO(content)) as part:
                about = json.loads(part.read(_ABOUT))
                kept = min(len(about["names"]), MOST_IMAGES - len(names))
                for index in range(kept):
                    archive.writestr(_entry(len(names) + index), part.read(_entry(index)))
            names += about["names"][:kept]
            sizes += about["sizes"][:kept]
        archive.writestr(_ABOUT, json.dumps({"names": names, "sizes": sizes}))


@contextmanager
def _new_archive(file: Path) -> Iterator[zipfile.ZipFile]:
    """Yield an archive to write to; it appears at `file` when the block ends well."""
    partial = file.with_name(f".unfinished-{file.name}")
    try:
        with zipfile.ZipFile(partial, "w") as archive:
            yield archive
        partial.replace(file)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


def _entry(index: int) -> str:
    return f"{index:05d}.png"


def limited(labels: NDArray[np.integer], classes: int) -> NDArray[np.unsignedinteger]:
    """Return label maps with the number `classes` for all that is no class, in the smallest type."""
    limited: NDArray[np.unsignedinteger] = np.minimum(labels, np.int64(classes)).astype(
        np.uint8 if classes < 256 else np.uint16
    )
    return limited


def _png(labels: NDArray[np.unsignedinteger]) -> bytes:
    """Return a label map as a PNG; one with a palette is not filtered, which takes a tenth of the time."""
    picture = Image.fromarray(labels)
    if labels.dtype == np.uint8:
        picture.putpalette(bytes(_GREY))
    content = io.BytesIO()
    picture.save(content, format="PNG", compress_level=3)
    return content.getvalue()
