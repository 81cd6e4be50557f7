"""Plan which files are still to be written to prepare a folder for the vendor's benchmark tools."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.ascend.prepare.folder import (
    IMAGES,
    LABEL_TYPE,
    LABELS,
    MANIFEST,
    FinishedImage,
    Manifest,
    check_description,
    image_file,
    label_file,
    read_manifest,
)
from fastscnn_opt.ascend.prepare.request import INFO, Request
from fastscnn_opt.errors import DataError
from fastscnn_opt.files import sha256_of
from fastscnn_opt.text import counted, is_utf8, printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fastscnn_opt.data.dataset import Dataset

_CHANNELS = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """The images that are finished, those that are left to write, and the space that they need.

    Attributes
    ----------
    request
        What the user asks for.
    dataset
        The opened dataset.
    fingerprint
        Returns the fingerprint of the first n images. Each result is remembered, because it takes reading the images.
    manifest
        Without images: what the folder is made from.
    finished
        The images that are there already, by name.
    stale
        Files of an earlier preparation that must be removed.
    free_bytes
        Free space on the disk of the folder.
    """

    request: Request
    dataset: Dataset = field(repr=False)
    fingerprint: Callable[[int], str] = field(repr=False)
    manifest: Manifest
    finished: dict[str, FinishedImage] = field(default_factory=dict, repr=False)
    stale: tuple[str, ...] = ()
    free_bytes: int = 0

    @property
    def root(self) -> Path:
        """The folder to prepare."""
        return self.request.root

    @property
    def info(self) -> Path:
        """Where the info file goes."""
        return self.request.info or self.root / INFO

    @property
    def pending(self) -> tuple[int, ...]:
        """Indices of the images that are left to write."""
        return tuple(index for index, name in enumerate(self.dataset.names) if name not in self.finished)

    @property
    def image_bytes(self) -> int:
        """Size of one image file."""
        per_value = np.dtype(self.manifest.dtype).itemsize
        return _CHANNELS * self.manifest.height * self.manifest.width * per_value

    @property
    def label_bytes(self) -> int:
        """Size of one label file."""
        return self.manifest.height * self.manifest.width * LABEL_TYPE.itemsize

    @property
    def total_bytes(self) -> int:
        """Size of all image and label files together."""
        return len(self.dataset) * (self.image_bytes + self.label_bytes)

    @property
    def needed_bytes(self) -> int:
        """Size of the files that are left to write."""
        return len(self.pending) * (self.image_bytes + self.label_bytes)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as the `prepare` verb prints them; sizes are in bytes."""
        return {
            "output": str(self.root),
            "info": str(self.info),
            "source": self.manifest.source,
            "dtype": str(self.manifest.dtype),
            "height": self.manifest.height,
            "width": self.manifest.width,
            "images": len(self.dataset),
            "finished": len(self.finished),
            "image_bytes": self.image_bytes,
            "label_bytes": self.label_bytes,
            "total_bytes": self.total_bytes,
            "needed_bytes": self.needed_bytes,
            "free_bytes": self.free_bytes,
            "fits": self.needed_bytes <= self.free_bytes,
        }


def plan(request: Request) -> Plan:
    """Compare a request with the content of its folder; nothing is written.

    Raises
    ------
    DataError
        The dataset is unusable, or its images would get another size; the folder holds other data, or was prepared
        from another dataset; or its path has blanks.
    """
    check_description(request.source)
    dataset = request.source.open(request.scene_size)

    @cache
    def fingerprint(count: int) -> str:
        first = replace(request.source, limit=count)
        return first.fingerprint() if first.description else first.open(request.scene_size).fingerprint()

    height, width = dataset.size
    manifest = Manifest(
        source=request.source.describe(),
        fingerprint=fingerprint(len(dataset)),
        dtype=request.dtype,
        height=height,
        width=width,
        count=len(dataset),
        classes=dataset.classes.names if request.source.description else None,
    )
    work = Plan(request, dataset, fingerprint, manifest)
    _check_paths(work.root, work.info, dataset)
    return compare(work)


def compare(work: Plan) -> Plan:
    """Return the plan for the present content of the folder, without reading an image or verifying a file again.

    Raises
    ------
    DataError
        The folder holds other data, or was prepared from another dataset.
    """
    root, manifest = work.root, work.manifest
    old = read_manifest(root)
    if old is None:
        _refuse_foreign(root)
        old = manifest
    difference = _difference(work, old)
    if difference and not work.request.force:
        raise DataError(difference, where=root, cure="choose another folder, or replace its content with --force")
    usable = () if difference else old.images
    finished = {image.name: image for image in usable if _is_finished(work, image)}
    stale = [
        file for image in old.images if image not in usable for file in (image_file(image.name), label_file(image.name))
    ]
    return replace(work, finished=finished, stale=tuple(stale), free_bytes=_free_bytes(root))


def _check_paths(root: Path, info: Path, dataset: Dataset) -> None:
    if root.exists() and not root.is_dir():
        raise DataError("is a file", where=root, cure="give a folder for the binary files")
    if info.is_dir() or (info.parent != root and not info.parent.is_dir()):
        raise DataError(
            "the info file cannot be put there", where=info, cure="give a file name in a folder that exists"
        )
    twice = [name for name, count in Counter(dataset.names).items() if count > 1]
    if twice:
        raise DataError(
            f"{counted(len(twice), 'name')} of images are there twice, such as {twice[0]}", cure="rename one of the two"
        )
    for text in (str(root), *dataset.names):
        if len(text.split()) != 1 or text != text.strip():
            raise DataError(
                f"{text!r} holds a blank, at which the benchmark tools split the lines of the info file",
                cure="choose a name without",
            )
        if not is_utf8(text):
            raise DataError(f"{printable(text)} is no UTF-8 text, which the manifest is", cure="rename it")


def _refuse_foreign(root: Path) -> None:
    """Refuse a folder that is not ours, such as the dataset itself, which has the same two folders."""
    for name in (IMAGES, LABELS):
        if (root / name).exists():
            raise DataError(
                f"holds a folder {name} but no {MANIFEST}, so it was not made by `prepare`",
                where=root,
                cure="choose another folder",
            )


def _difference(work: Plan, old: Manifest) -> str:
    """Return why the content of the folder does not fit the request; the empty text if it does."""
    new = work.manifest
    if old.dtype != new.dtype:
        return f"was prepared as {old.dtype}, not {new.dtype}"
    if (old.height, old.width) != (new.height, new.width):
        return (
            f"was prepared from images of {old.height} x {old.width}, not {new.height} x {new.width} (height x width)"
        )
    if old.fingerprint == new.fingerprint:
        return ""
    # A run with another limit took the first images of the same dataset.
    if old.fingerprint != work.fingerprint(old.count):
        return f"was prepared from another dataset ({old.source}), or files of it have changed since"
    return f"holds {old.count} images, not only the {new.count} asked for" if old.count > new.count else ""


def _is_finished(work: Plan, image: FinishedImage) -> bool:
    expected = {
        image_file(image.name): (image.image, work.image_bytes),
        label_file(image.name): (image.label, work.label_bytes),
    }
    verify = work.request.verify and work.finished.get(image.name) != image
    for file, (finished, size) in expected.items():
        path = work.root / file
        if not path.is_file() or not finished.size == size == path.stat().st_size:
            return False
        if verify and sha256_of(path) != finished.sha256:
            _log.warning("%s: its SHA-256 is not the one in the manifest; it is written again", path)
            return False
    return True


def _free_bytes(root: Path) -> int:
    existing = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    return shutil.disk_usage(existing).free
