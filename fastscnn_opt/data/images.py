"""Read the images and masks of a dataset, and write PNG files."""

from __future__ import annotations

import os
import warnings
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fastscnn_opt.errors import DataError
from fastscnn_opt.files import open_readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")

MOST_IMAGE_BYTES = 1 << 30
"""Bytes of an image file, at most: more than the largest that Pillow opens has without compression."""

_MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr")
"""Pixels of 8 bits per channel, which Pillow turns into RGB without a guess."""

_SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I")
"""Modes in which Pillow opens grey PNG files of 16 bits."""

_LARGEST_VALUE = 65535
"""Of a mask."""

_ORIENTATION = 0x0112
"""The EXIF tag that tells how the camera was held; 5 to 8 swap height and width."""


@contextmanager
def opened(path: Path, formats: tuple[str, ...] = FORMATS) -> Iterator[ImageFile]:
    """Open an image of one of Pillow's `formats` and close it after the block, which may decode it.

    Raises
    ------
    DataError
        The file cannot be read, is no such image, is damaged, or claims more pixels than any camera's image has.
    """
    try:
        with open_readable(path, MOST_IMAGE_BYTES) as file, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=formats) as image:
                yield image
    except FileNotFoundError as error:
        raise DataError("there is no such image", where=path, cure="check its name") from error
    except IsADirectoryError as error:
        raise DataError("is a folder", where=path, cure="give the images in it") from error
    except UnidentifiedImageError as error:
        kinds = " or ".join([", ".join(formats[:-1]), formats[-1]] if len(formats) > 1 else formats)
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
    """Return height and width of an image as it is shown, without decoding it. Raises DataError."""
    with opened(path) as image:
        turned = image.getexif().get(_ORIENTATION, 1) >= 5
        return (image.width, image.height) if turned else (image.height, image.width)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image as H, W, 3, RGB, turned upright as its EXIF orientation tells.

    Grey images get three equal channels, palettes their colours, and transparency is dropped.

    Raises
    ------
    DataError
        The file is missing or no image, is damaged, too large, or has more than 8 bits per channel.
    """
    with opened(path) as image:
        kind = str(image.tile[0][3]) if image.tile else image.mode  # such as RGB;16B, which is decoded to 8 bits
        if image.mode not in _MODES or ";16" in kind:
            raise DataError(f"holds pixels of kind {kind}", where=path, cure="convert it to RGB of 8 bits")
        if image.mode == "RGB" and image.getexif().get(_ORIENTATION, 1) == 1:
            return np.asarray(image)  # the usual case, without the copies that turning and converting make
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def read_mask(path: Path) -> NDArray[np.unsignedinteger]:
    """Return the values of a mask: H, W (indices, also those of a palette) or H, W, 3 (colours).

    Raises
    ------
    DataError
        The file is no image, is damaged, is compressed with losses, holds several images, or is of a kind that holds
        neither indices nor colours.
    """
    with opened(path) as image:
        if image.format in ("JPEG", "MPO") or image.info.get("compression") == "jpeg":
            raise DataError(
                "is compressed as JPEG, which changes the values of a mask",
                where=path,
                cure="make it again as PNG from what it was made from",
            )
        if image.format == "WEBP" and _is_lossy_webp(path):
            raise DataError(
                "is a lossy WEBP, which changes the values of a mask",
                where=path,
                cure="make it again as PNG or lossless WEBP from what it was made from",
            )
        if (frames := getattr(image, "n_frames", 1)) > 1:
            raise DataError(f"holds {frames} images, and a mask is one", where=path, cure="save the right one alone")
        if image.mode not in ("1", "L", "P", "RGB", "RGBA", *_SIXTEEN_BITS):
            raise DataError(
                f"holds pixels of kind {image.mode}, but masks are indices of 8 or 16 bits, a palette, or RGB colours",
                where=path,
                cure="convert it",
            )
        values = np.asarray(image)
    if values.ndim == 3:
        return values[..., :3]
    if values.dtype == np.uint8:
        return values
    if values.min(initial=0) < 0 or values.max(initial=0) > _LARGEST_VALUE:
        raise DataError(f"holds values beyond 0 to {_LARGEST_VALUE}", where=path, cure="convert it to 16 bits")
    return values.astype(np.uint8 if values.dtype == np.bool_ else np.uint16)


def _is_lossy_webp(path: Path) -> bool:
    """Tell whether one of the chunks of a WEBP file is a lossy image, which Pillow does not say."""
    with open_readable(path, MOST_IMAGE_BYTES) as file:
        file.seek(len("RIFF....WEBP"))
        while len(head := file.read(8)) == 8:
            if head.startswith(b"VP8 "):
                return True
            length = int.from_bytes(head[4:], "little")
            file.seek(length + length % 2, os.SEEK_CUR)
    return False


def write_png(path: Path, pixels: NDArray[np.unsignedinteger]) -> None:
    """Write an RGB image (H, W, 3) or a label map (H, W) with light compression, which Pillow reads fastest."""
    Image.fromarray(pixels).save(path, format="PNG", compress_level=1)
