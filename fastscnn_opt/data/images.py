"""Read the images and label maps of a dataset, and write them as PNG files."""

from __future__ import annotations

import warnings
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from fastscnn_opt.data.classes import CLASSES, IGNORE, LAST_LABEL_ID, TRAIN_ID_OF
from fastscnn_opt.errors import DataError
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

_UNKNOWN = 254
"""Marks an id that no class has, until the label map has been checked."""


@contextmanager
def opened(path: Path, formats: tuple[str, ...] = ("PNG",)) -> Iterator[ImageFile]:
    """Open an image of one of Pillow's `formats` and close it after the block, which may decode it.

    Raises
    ------
    DataError
        The file cannot be read, is no such image, is damaged, or claims more pixels than any camera's image has.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats) as image:
                yield image
    except UnidentifiedImageError as error:
        kinds = " or ".join(formats)
        raise DataError(f"not a {kinds} file, or only a part of one", where=path, cure="copy it again") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"too large an image ({error})", where=path, cure="make it smaller") from error
    except (OSError, SyntaxError, ValueError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from error
        raise DataError(f"a damaged or truncated image ({error})", where=path, cure="copy it again") from error


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file of a dataset that the system does not let us read."""
    return DataError(f"cannot be read ({error.strerror})", where=path, cure="check the file and its permissions")


def image_size(path: Path) -> tuple[int, int]:
    """Return the height and width of a PNG file, without decoding it. Raises DataError."""
    with opened(path) as image:
        return image.height, image.width


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image as H, W, 3, RGB.

    Raises
    ------
    DataError
        The file is not a PNG, is damaged, or is anything but RGB of 8 bits.
    """
    with opened(path) as image:
        if (kind := _kind(image)) != "RGB":
            raise DataError(
                f"holds pixels of kind {kind}, but images are RGB of 8 bits", where=path, cure="convert it to that"
            )
        return np.asarray(image)


def read_label(path: Path, *, train_ids: bool) -> NDArray[np.uint8]:
    """Return a label map as H, W, trainIds with 255 for ignored pixels.

    Parameters
    ----------
    path
        An 8-bit grey PNG whose values are the ids, or a palette PNG whose indices are the ids.
    train_ids
        Whether the file holds trainIds; labelIds otherwise.

    Raises
    ------
    DataError
        The file is not such a PNG, is damaged, or holds an id that does not exist.
    """
    with opened(path) as image:
        if image.mode != "P" and (kind := _kind(image)) != "L":
            raise DataError(
                f"holds pixels of kind {kind}, but a label map is grey of 8 bits or palette",
                where=path,
                cure="give the labelIds or trainIds file",
            )
        ids = np.asarray(image)
    labels = np.take(_OF_TRAIN_IDS if train_ids else _OF_LABEL_IDS, ids, mode="clip")
    if (unknown := labels == _UNKNOWN).any():
        found = ", ".join(str(value) for value in np.unique(ids[unknown])[:5])
        known = f"trainIds are 0 to {len(CLASSES) - 1}" if train_ids else f"labelIds are 0 to {LAST_LABEL_ID}"
        pixels = counted(int(np.count_nonzero(unknown)), "pixel")
        raise DataError(
            f"unknown ids {found} in {pixels}",
            where=path,
            cure=f"{known}, and {IGNORE} is ignored: mend the label map, or take the image away",
        )
    return labels


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write an RGB image (H, W, 3) or a label map (H, W) with light compression, which Pillow reads fastest."""
    Image.fromarray(pixels).save(path, format="PNG", compress_level=1)


def _kind(image: ImageFile) -> str:
    """Return what Pillow calls the pixels in the file, such as ``RGB;16B`` where the decoded image has 8 bits."""
    return str(image.tile[0][3]) if image.tile else image.mode


def _table(known: list[int], mapped: NDArray[np.uint8]) -> NDArray[np.uint8]:
    table = np.full(256, _UNKNOWN, dtype=np.uint8)
    table[known] = mapped[known]
    return table


_OF_TRAIN_IDS = _table([*range(len(CLASSES)), IGNORE], np.arange(256, dtype=np.uint8))
_OF_LABEL_IDS = _table([*range(LAST_LABEL_ID + 1), IGNORE], TRAIN_ID_OF)
