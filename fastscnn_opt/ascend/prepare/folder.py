"""Folders of binary images and labels for the vendor's benchmark tools: their layout, manifest and labels.

``leftImg8bit/<name>_leftImg8bit.bin`` is an image, either normalised float32 of shape 1, 3, H, W or raw uint8 of shape
1, H, W, 3. ``gtFine/<name>_gtFine_labelIds.bin`` is its label map, float32 of shape 1, H, W: classes, with -1 for
ignored pixels. All are little endian and without a header.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, ValidationError

from fastscnn_opt.ascend.prepare.request import ImageType
from fastscnn_opt.data.dataset import Classes
from fastscnn_opt.data.masks import ignored_value
from fastscnn_opt.data.preprocess import Resize
from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.data.synthetic import SIZE
from fastscnn_opt.errors import DataError
from fastscnn_opt.files import MOST_TABLE_BYTES, check_readable, read_bytes
from fastscnn_opt.model.metadata import Metadata
from fastscnn_opt.schema import Strict, first_fault
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fastscnn_opt.data.source import DataSource

IMAGES = "leftImg8bit"
LABELS = "gtFine"
IMAGE_SUFFIX = f"_{IMAGES}.bin"
LABEL_SUFFIX = f"_{LABELS}_labelIds.bin"
MANIFEST = "manifest.json"
SCHEMA_VERSION = 1

LABEL_TYPE = np.dtype("<f4")
"""Element type of a label file; the original evaluation script reads labels as float32."""


class FinishedFile(Strict):
    """A finished file: its path below the folder, its size in bytes and its SHA-256 as hexadecimal text."""

    file: str
    size: Annotated[int, Field(ge=1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FinishedImage(Strict):
    """A finished image with its label map."""

    name: Annotated[str, Field(pattern=r"^[^/\\\s\x00]+$")]
    image: FinishedFile
    label: FinishedFile


class Manifest(Strict):
    """What a prepared folder is made from, and which of its files are finished.

    `source` describes the dataset in words, `fingerprint` is that of the dataset, and `count` its number of images;
    `images` are the finished ones. `classes` are the names of classes that are not those of Cityscapes.
    """

    schema_version: int = SCHEMA_VERSION
    source: str
    fingerprint: str
    dtype: ImageType
    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    count: Annotated[int, Field(ge=1)]
    classes: tuple[str, ...] | None = None
    images: tuple[FinishedImage, ...] = ()


def image_file(name: str) -> str:
    """Return the path of the binary image called `name`, relative to its folder."""
    return f"{IMAGES}/{name}{IMAGE_SUFFIX}"


def label_file(name: str) -> str:
    """Return the path of the binary label map called `name`, relative to its folder."""
    return f"{LABELS}/{name}{LABEL_SUFFIX}"


def read_manifest(root: Path) -> Manifest | None:
    """Return the manifest of a prepared folder, or None where there is none.

    Raises
    ------
    DataError
        The file is damaged, or was written by a newer version of this project.
    """
    path = root / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = Manifest.model_validate_json(read_bytes(path, MOST_TABLE_BYTES))
    except ValidationError as error:
        raise DataError(
            f"not the manifest of a prepared folder, or a damaged one ({first_fault(error)})",
            where=path,
            cure="prepare the data into another folder",
        ) from error
    if manifest.schema_version != SCHEMA_VERSION:
        raise DataError(
            f"schema version {manifest.schema_version}, but this program knows {SCHEMA_VERSION}",
            where=path,
            cure="use the version that wrote it, or prepare the data again into another folder",
        )
    return manifest


@dataclass(frozen=True)
class PreparedLabels:
    """The label maps of a prepared folder, in the order in which the benchmark tool is given the images."""

    root: Path
    names: tuple[str, ...]
    size: tuple[int, int]
    """Height and width."""
    classes: Classes

    def label(self, index: int) -> NDArray[np.unsignedinteger]:
        """Read one label map as H, W, with `ignored_value` for ignored pixels. Raises DataError."""
        path = self.root / label_file(self.names[index])
        height, width = self.size
        cure, expected = "prepare the data again", height * width * LABEL_TYPE.itemsize
        try:
            if (size := check_readable(path, sys.maxsize)) != expected:
                what = f"{size} bytes, but a float32 label map of {height} x {width} (height x width) has {expected}"
                raise DataError(what, where=path, cure=cure)
            values = np.fromfile(path, dtype=LABEL_TYPE)
        except OSError as error:
            raise DataError(f"cannot be read ({error.strerror})", where=path, cure=cure) from error
        return _classes_in(values, len(self.classes), path).reshape(height, width)


def _classes_in(values: NDArray[np.float32], classes: int, path: Path) -> NDArray[np.unsignedinteger]:
    ignored = ignored_value(classes)
    with np.errstate(invalid="ignore"):  # a NaN becomes some number, which the comparison finds
        whole = values.astype(np.int32)
    if not ((whole == values) & (whole >= -1) & ((whole < classes) | (whole == ignored))).all():
        raise DataError(f"holds values that are no classes (0 to {classes - 1}, -1 for ignored pixels)", where=path)
    labels: NDArray[np.unsignedinteger] = whole.astype(
        np.uint8 if ignored == 255 else np.uint16
    )  # -1 becomes `ignored`
    return labels


def check_description(source: DataSource) -> None:
    """Raise DataError if images of a dataset do not go into files, or into a model, as they are."""
    if not source.description:
        return
    preprocess = source.preprocess_for(Metadata())
    if preprocess.resize is not Resize.NONE or preprocess.window is not None:
        key = "window" if preprocess.window is not None else "resize"
        raise DataError(
            f"{key} is stated, but binary files and dumps have the size of the images",
            where=f"{source.file}: [data.preprocess]",
            cure=f"leave {key} out, and give images of the model's size",
        )


def is_prepared(root: Path) -> bool:
    """Return whether a folder was prepared, here or by the original recipe's script, and is no Cityscapes tree."""
    return (root / MANIFEST).is_file() or next((root / LABELS).glob(f"*{LABEL_SUFFIX}"), None) is not None


def open_prepared(root: Path, limit: int | None = None) -> PreparedLabels:
    """Open the labels of a prepared folder; `limit` keeps the first ones only.

    A folder without a manifest, as the original recipe's script leaves it, is read in the order of its names. Its
    images are taken as 1024 x 2048 where the label files have that many values.

    Raises
    ------
    DataError
        The folder holds no labels, or is only half prepared.
    """
    manifest = read_manifest(root)
    if manifest is not None:
        if len(manifest.images) < min(manifest.count, limit or manifest.count):
            raise DataError(
                f"only {len(manifest.images)} of {counted(manifest.count, 'image')} are prepared",
                where=root,
                cure="run `prepare` again to finish them",
            )
        names = tuple(image.name for image in manifest.images)
        classes = Classes.of(manifest.classes) if manifest.classes else preset_classes("cityscapes")
        return PreparedLabels(root, names[:limit], (manifest.height, manifest.width), classes)
    files = sorted((root / LABELS).glob(f"*{LABEL_SUFFIX}"))
    if not files:
        raise DataError(
            f"holds no {MANIFEST} and no {LABELS}/*{LABEL_SUFFIX}", where=root, cure="give a folder made by `prepare`"
        )
    pixels = files[0].stat().st_size // LABEL_TYPE.itemsize
    size = SIZE if pixels == SIZE[0] * SIZE[1] else (1, pixels)
    names = tuple(path.name.removesuffix(LABEL_SUFFIX) for path in files)
    return PreparedLabels(root, names[:limit], size, preset_classes("cityscapes"))
