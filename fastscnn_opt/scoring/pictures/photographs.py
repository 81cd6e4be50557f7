"""Reads the photographs of a user, and writes the label maps that a model gives for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageOps

from fastscnn_opt.data.images import opened, write_png
from fastscnn_opt.errors import DataError, ModelError
from fastscnn_opt.measuring.accuracy import StageTimes, image_input, predict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import Session

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "YCbCr")
"""Pixels of 8 bits per channel, which Pillow turns into RGB without a guess."""


def read_photograph(path: Path) -> NDArray[np.uint8]:
    """Return an image as H, W, 3, RGB, turned upright as the camera says.

    Raises
    ------
    DataError
        The file is missing or no image, is damaged, too large, or has more than 8 bits per channel.
    """
    if not path.is_file():
        if path.is_dir():
            raise DataError("is a folder", where=path, cure="give the images in it")
        raise DataError("there is no such image", where=path, cure="check its name")
    with opened(path, _FORMATS) as image:
        if image.mode not in _MODES:
            raise DataError(f"holds pixels of kind {image.mode}", where=path, cure="convert it to RGB of 8 bits")
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def write_label_maps(
    session: Session, images: Sequence[Path], folder: Path, *, on_image: Callable[[int], None] | None = None
) -> None:
    """Write the label map of each image, at its own size, as a grey PNG of classes: ``0.png``, ``1.png``, ...

    Where the model takes a batch, each image fills all of it.

    Raises
    ------
    DataError
        An image cannot be read.
    ModelError
        The model does not take an image of its size, or gives neither logits nor label maps.
    """
    for index, path in enumerate(images):
        photo = read_photograph(path)
        size = (photo.shape[0], photo.shape[1])
        try:
            feeds = image_input(session.inputs, size).feed([photo])
            labels = predict(session, feeds, size, StageTimes())[0]
        except ModelError as error:
            raise error.within(path) from None
        write_png(folder / f"{index}.png", labels.astype(np.uint8))
        if on_image is not None:
            on_image(1)
