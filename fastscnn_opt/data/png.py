"""Images and label maps in PNG files, and what can be wrong with one."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fastscnn_opt.data.classes import CLASSES, IGNORE, LAST_LABEL_ID, TRAIN_ID_OF
from fastscnn_opt.errors import DataError
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGBA"}
_MOST_PIXELS = 1 << 26
"""Pixels beyond which a header is taken for damaged or hostile, before any memory is asked for: 32 times Cityscapes."""

_UNKNOWN = 254
"""Stands for an id that no class has, between the mapping of a label map and its check."""


@dataclass(frozen=True)
class Header:
    """The facts at the start of a PNG file; `colour` is the name of its colour type, `bits` those of one channel."""

    height: int
    width: int
    bits: int
    colour: str

    def __str__(self) -> str:
        return f"{self.colour} of {self.bits} bits"


def read_header(path: Path) -> Header:
    """Read the header of a PNG file, which is the only part that is read (PNG specification, chunk IHDR).

    Raises
    ------
    DataError
        The file cannot be read, is not a PNG, or claims to be larger than any camera's image.
    """
    try:
        with path.open("rb") as file:
            start = file.read(26)
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})", where=path, cure="check the file and its permissions"
        ) from error
    if len(start) < 26 or start[:8] != _SIGNATURE or start[12:16] != b"IHDR":
        raise DataError("not a PNG file, or only a part of one", where=path, cure="copy it again")
    width, height, bits, colour = struct.unpack(">IIBB", start[16:])
    if not 0 < height * width <= _MOST_PIXELS:
        raise DataError(
            f"by its header {width} x {height} (width x height), which is no image of a camera",
            where=path,
            cure="copy it again",
        )
    return Header(height, width, bits, _COLOURS.get(colour, "unknown"))


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image as H, W, 3, RGB.

    Raises
    ------
    DataError
        The file is not a PNG, is damaged, or is anything but RGB of 8 bits.
    """
    header = read_header(path)
    if (header.colour, header.bits) != ("RGB", 8):
        raise DataError(f"holds {header}, but images are RGB of 8 bits", where=path, cure="convert it to that")
    return _decode(path)


def read_label(path: Path, *, train_ids: bool) -> NDArray[np.uint8]:
    """Return a label map as H, W, trainIds with 255 for ignored pixels.

    Parameters
    ----------
    path
        An 8-bit grey PNG whose values, or a palette PNG whose indices, are the ids.
    train_ids
        Whether the file holds trainIds; labelIds otherwise.

    Raises
    ------
    DataError
        The file is not such a PNG, is damaged, or holds an id that does not exist.
    """
    header = read_header(path)
    if header.colour != "palette" and (header.colour, header.bits) != ("grey", 8):
        raise DataError(
            f"holds {header}, but a label map is grey of 8 bits or palette",
            where=path,
            cure="give the labelIds or trainIds file",
        )
    ids = _decode(path)
    table = _TABLE_OF_TRAIN_IDS if train_ids else _TABLE_OF_LABEL_IDS
    labels = np.take(table, ids, mode="clip")
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


def _decode(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path, formats=["PNG"]) as image:
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, zlib.error, Image.DecompressionBombError) as error:
        raise DataError(f"a damaged or truncated PNG ({error})", where=path, cure="copy it again") from error


def _table(known: list[int], mapped: NDArray[np.uint8]) -> NDArray[np.uint8]:
    table = np.full(256, _UNKNOWN, dtype=np.uint8)
    table[known] = mapped[known]
    return table


_TABLE_OF_TRAIN_IDS = _table([*range(len(CLASSES)), IGNORE], np.arange(256, dtype=np.uint8))
_TABLE_OF_LABEL_IDS = _table([*range(LAST_LABEL_ID + 1), IGNORE], TRAIN_ID_OF)
