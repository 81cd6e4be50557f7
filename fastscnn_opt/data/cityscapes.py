"""Datasets in the layout that the Cityscapes downloads have.

``leftImg8bit/<split>/<city>/<stem>_leftImg8bit.png`` is an image; its label map is
``gtFine/<split>/<city>/<stem>_gtFine_labelIds.png`` or, where that is missing, ``..._gtFine_labelTrainIds.png``.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from fastscnn_opt.data.dataset import Sample
from fastscnn_opt.data.images import image_size, read_image, read_label, unreadable
from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.errors import DataError
from fastscnn_opt.text import closest

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = "leftImg8bit"
LABELS = "gtFine"
IMAGE_SUFFIX = f"_{IMAGES}.png"
LABEL_SUFFIX = f"_{LABELS}_labelIds.png"
TRAIN_ID_SUFFIX = f"_{LABELS}_labelTrainIds.png"


@dataclass(frozen=True)
class Pair:
    """An image file and its label file."""

    name: str
    image: Path
    label: Path

    def load(self) -> Sample:
        """Decode both files. Raises DataError."""
        label = read_label(self.label, train_ids=self.label.name.endswith(TRAIN_ID_SUFFIX))
        image = read_image(self.image)
        if label.shape != image.shape[:2]:
            raise DataError(
                f"{_size_text(label.shape)}, but its image is {_size_text(image.shape)}",
                where=self.label,
                cure="use the label map that was made for this image",
            )
        return Sample(self.name, image, label)


@dataclass(frozen=True)
class CityscapesDataset:
    """Pairs below a `root` folder."""

    root: Path
    pairs: tuple[Pair, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Stem of each image, such as ``frankfurt_000000_000294``."""
        return tuple(pair.name for pair in self.pairs)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the first image, from its header. Raises DataError."""
        return image_size(self.pairs[0].image)

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, index: int) -> Sample:
        """Decode one pair. Raises DataError."""
        pair = self.pairs[index]
        sample = pair.load()
        if sample.image.shape[:2] != self.size:
            raise DataError(
                f"{_size_text(sample.image.shape)}, but {self.pairs[0].image.name} is {_size_text(self.size)}",
                where=pair.image,
                cure="all images of a dataset have one size",
            )
        return sample

    def fingerprint(self) -> str:
        """Return hexadecimal text that changes when the name or the content of any file does, and with nothing else.

        Every file is read, because sizes and times of change may be equal for other content, and the times differ in a
        copy of the dataset. Raises DataError.
        """
        files = [file for pair in self.pairs for file in (pair.image, pair.label)]
        digest = hashlib.sha256()
        with closing(prefetch(lambda index: _content_hash(files[index]), len(files))) as hashes:
            for file, content in zip(files, hashes, strict=True):
                digest.update(f"{file.relative_to(self.root)} {content}\n".encode())
        return digest.hexdigest()


def open_cityscapes(root: Path, split: str = "val", limit: int | None = None) -> CityscapesDataset:
    """Find the pairs of a split, in the order of their paths; `limit` keeps the first ones only.

    Raises
    ------
    DataError
        The layout is another one, the split is missing or empty, or an image has no label map.
    """
    _check_root(root)
    images = sorted((root / IMAGES / split).glob(f"*/*{IMAGE_SUFFIX}")) if split else []
    if not images:
        raise _no_split(root, split)
    return CityscapesDataset(root, tuple(_pair(root, split, image) for image in islice(images, limit)))


def _content_hash(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(file, error) from error


def _check_root(root: Path) -> None:
    if (root / IMAGES).is_dir():
        return
    if not root.is_dir():
        raise DataError("no such folder", where=root, cure=f"give the one that holds {IMAGES} and {LABELS}")
    nearby = [folder for folder in (root.parent, *sorted(root.iterdir())) if (folder / IMAGES).is_dir()]
    instead = f"give {nearby[0]}" if nearby else f"give the one that holds {IMAGES} and {LABELS}"
    raise DataError(f"holds no folder {IMAGES}, so it is not the root of a Cityscapes tree", where=root, cure=instead)


def _no_split(root: Path, split: str) -> DataError:
    folder = root / IMAGES
    splits = sorted({image.parent.parent.name for image in folder.glob(f"*/*/*{IMAGE_SUFFIX}")})
    if not splits:
        return DataError(f"holds no image <split>/<city>/*{IMAGE_SUFFIX}", where=folder, cure="unpack the images there")
    near = closest(split, splits, likeness=0.6)
    guess = f"did you mean {near!r}? " if near is not None else ""
    return DataError(f"has no images of the split {split!r}", where=folder, cure=f"{guess}it has {', '.join(splits)}")


def _pair(root: Path, split: str, image: Path) -> Pair:
    stem = image.name.removesuffix(IMAGE_SUFFIX)
    folder = root / LABELS / split / image.parent.name
    for suffix in (LABEL_SUFFIX, TRAIN_ID_SUFFIX):
        if (label := folder / f"{stem}{suffix}").is_file():
            return Pair(stem, image, label)
    raise DataError(
        "has no label map", where=image, cure=f"put {stem}{LABEL_SUFFIX} into {folder}, or take the image away"
    )


def _size_text(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} (width x height)"
