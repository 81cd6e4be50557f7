"""Check a dataset before anything runs: go through all pairs, count what is there, and gather what is wrong."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastscnn_opt.data.folder import misfit
from fastscnn_opt.data.images import read_image
from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from fastscnn_opt.data.folder import FolderDataset
    from fastscnn_opt.data.masks import MaskCounts, MaskValue

SHOWN = 10
"""Problems and values that are listed before the rest is counted."""

Size = tuple[int, int]
"""Height and width."""


@dataclass
class DataCheck:
    """What a dataset holds, and what is wrong with it.

    Attributes
    ----------
    source, dataset
        The description, and the pairs that it finds.
    image_sizes, mask_sizes
        How many images and masks have each height and width.
    classes, masks_with
        Pixels of each class, and how many masks have it.
    ignored, unknown
        Pixels of each value that counts nowhere, and of each that stands for no class.
    unknown_in
        For each value that stands for no class, the masks that have it.
    problems
        What makes files unusable.
    unused_masks
        Masks that belong to no image.
    first_sound
        Index of the first pair without a problem.
    """

    source: DataSource
    dataset: FolderDataset
    image_sizes: Counter[Size] = field(default_factory=Counter)
    mask_sizes: Counter[Size] = field(default_factory=Counter)
    classes: Counter[int] = field(default_factory=Counter)
    masks_with: Counter[int] = field(default_factory=Counter)
    ignored: Counter[MaskValue] = field(default_factory=Counter)
    unknown: Counter[MaskValue] = field(default_factory=Counter)
    unknown_in: dict[MaskValue, list[Path]] = field(default_factory=dict)
    problems: list[DataError] = field(default_factory=list)
    unused_masks: tuple[Path, ...] = ()
    first_sound: int | None = None

    @property
    def pixels(self) -> int:
        """Pixels of all masks that could be read."""
        return self.classes.total() + self.ignored.total() + self.unknown.total()

    def share(self, pixels: int) -> float:
        """Return the share of a number of pixels in those of all masks, 0 to 1."""
        return pixels / self.pixels if self.pixels else 0.0

    def add(self, index: int, image: Size | None, counts: MaskCounts | None, errors: list[DataError]) -> None:
        """Add what was found in the pair at `index`: the size of its image, and what its mask holds."""
        if image is not None:
            self.image_sizes[image] += 1
        if counts is not None:
            self.mask_sizes[counts.size] += 1
            self.classes.update(counts.classes)
            self.masks_with.update(counts.classes.keys())
            self.ignored.update(counts.ignored)
            self.unknown.update(counts.unknown)
            for value in counts.unknown:
                self.unknown_in.setdefault(value, []).append(self.dataset.pairs[index].mask)
        self.problems += errors
        if self.first_sound is None and not errors:
            self.first_sound = index

    def to_json(self) -> dict[str, Any]:
        """Return the figures as the verb `data` prints them; shares are fractions of the pixels of all masks."""
        return {
            "data": self.source.describe(),
            "pairs": len(self.dataset),
            "image_sizes": _sizes(self.image_sizes),
            "mask_sizes": _sizes(self.mask_sizes),
            "pixels": self.pixels,
            "classes": [
                {
                    "index": index,
                    "name": name,
                    "pixels": self.classes[index],
                    "share": self.share(self.classes[index]),
                    "masks": self.masks_with[index],
                }
                for index, name in enumerate(self.dataset.classes.names)
            ],
            "ignored": {"pixels": self.ignored.total(), "share": self.share(self.ignored.total())},
            "unknown": [
                {"value": value, "pixels": pixels, "masks": len(files), "files": [str(file) for file in files[:SHOWN]]}
                for value, pixels in self.unknown.most_common(SHOWN)
                for files in [self.unknown_in[value]]
            ],
            "more_unknown": max(0, len(self.unknown) - SHOWN),
            "problems": [str(error) for error in self.problems[:SHOWN]],
            "more_problems": max(0, len(self.problems) - SHOWN),
        }


def check_data(data: str | os.PathLike[str] | DataSource, on_pair: Callable[[int], None] | None = None) -> DataCheck:
    """Read every image and mask of a dataset, and go on where one is unusable.

    `data` is the root of a Cityscapes tree, a TOML file that describes a dataset, or a `DataSource`. `on_pair` is told
    the number of pairs read since its last call.

    Raises
    ------
    DataError
        The description is wrong, finds no pair at all, or is one of synthetic scenes.
    """
    source = DataSource.at(data)
    if source.root is None:
        raise DataError("synthetic scenes have no files to check", cure="give a dataset with a root")
    if not source.has_classes:
        raise DataError(
            "the key 'classes' is missing, without which masks cannot be checked",
            where=f"{source.file}: [data]",
            cure="give it, or a preset that has it",
        )
    missing: list[DataError] = []
    dataset, patterns = source.folder(missing), source.patterns
    check = DataCheck(source, dataset, problems=missing)
    if source.limit is None and patterns.listing is None:  # else the choice leaves masks unused
        check.unused_masks = patterns.masks_without_image(dataset.pairs)
    with closing(prefetch(lambda index: _read(dataset, index), len(dataset))) as found:
        for index, (image, counts, errors) in enumerate(found):
            check.add(index, image, counts, errors)
            if on_pair is not None:
                on_pair(1)
    if not check.classes and not check.problems:
        check.problems.append(DataError("no pixel of any mask is of a class", where=source.root))
    return check


def _read(dataset: FolderDataset, index: int) -> tuple[Size | None, MaskCounts | None, list[DataError]]:
    """Return the size of an image, what its mask holds, and what is wrong with the two."""
    pair, errors = dataset.pairs[index], []
    image, counts = None, None
    try:
        pixels = read_image(pair.image)
        image = (pixels.shape[0], pixels.shape[1])
    except DataError as error:
        errors.append(error)
    try:
        counts = dataset.reader_of(pair).count(pair.mask)
    except DataError as error:
        errors.append(error)
    if counts is not None and counts.unknown:
        errors.append(dataset.reader_of(pair).refusal(counts, pair.mask))
    if image is not None and counts is not None and image != counts.size:
        errors.append(misfit(pair, counts.size, image))
    return image, counts, errors


def _sizes(counts: Counter[Size]) -> list[dict[str, int]]:
    return [{"height": height, "width": width, "files": files} for (height, width), files in counts.most_common()]
