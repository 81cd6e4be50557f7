"""A dataset of image files with mask files."""

from __future__ import annotations

import hashlib
import os
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from fastscnn_opt.data.dataset import Classes, Sample
from fastscnn_opt.data.images import MOST_IMAGE_BYTES, image_size, read_image, unreadable
from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.errors import DataError
from fastscnn_opt.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fastscnn_opt.data.masks import MaskReader
    from fastscnn_opt.data.pairs import Pair


@dataclass(frozen=True)
class FolderDataset:
    """Pairs of files below a `root` folder.

    `masks` reads the masks, and `fallback` those of pairs that have a mask of the second kind.
    """

    root: Path
    pairs: tuple[Pair, ...]
    classes: Classes
    masks: MaskReader
    fallback: MaskReader
    prediction_map: Mapping[int, int] = field(default_factory=dict)
    threshold: float | None = None

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
        label = self.reader_of(pair).read(pair.mask)
        image = read_image(pair.image)
        if label.shape != image.shape[:2]:
            raise misfit(pair, label.shape, image.shape)
        return Sample(pair.name, image, label)

    def reader_of(self, pair: Pair) -> MaskReader:
        """Return what reads the mask of a pair."""
        return self.fallback if pair.is_fallback else self.masks

    def fingerprint(self) -> str:
        """Return hexadecimal text that changes when any file's name or content does, and with nothing else.

        Every file is read: sizes and times of change survive a replaced file, and do not survive a copied dataset.
        Raises DataError.
        """
        files = [file for pair in self.pairs for file in (pair.image, pair.mask)]
        digest = hashlib.sha256()
        with closing(prefetch(lambda index: _content_hash(files[index]), len(files))) as hashes:
            for file, content in zip(files, hashes, strict=True):
                digest.update(f"{os.path.relpath(file, self.root)} {content}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


def misfit(pair: Pair, mask: tuple[int, ...], image: tuple[int, ...]) -> DataError:
    """Return the error of a mask whose height and width are not those of its image."""
    is_turned = (mask[1], mask[0]) == tuple(image[:2])
    return DataError(
        f"{_size_text(mask)}, but its image is {_size_text(image)}",
        where=pair.mask,
        cure="use the mask that was made for this image"
        + (", turned upright as the EXIF orientation of the image says" if is_turned else ""),
    )


def _content_hash(file: Path) -> str:
    try:
        return sha256_of(file, MOST_IMAGE_BYTES)
    except OSError as error:
        raise unreadable(file, error) from error


def _size_text(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} (width x height)"
