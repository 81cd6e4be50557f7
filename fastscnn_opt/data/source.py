"""Open the dataset that a user names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import DataError
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.data.dataset import Dataset


@dataclass(frozen=True)
class DataSource:
    """A dataset as a user names it: the root of a Cityscapes tree and a split, or a number of synthetic scenes.

    `limit` keeps the first images only. `seed` is that of the first scene; the others follow it.
    """

    root: str | None = None
    split: str = "val"
    synthetic: int | None = None
    seed: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        if (self.root is None) == (self.synthetic is None):
            raise DataError("name either the root of a dataset (--data) or a number of synthetic scenes (--synthetic)")
        if self.synthetic is not None and self.synthetic < 1:
            raise DataError(f"{self.synthetic} synthetic scenes are no dataset", cure="ask for at least 1")
        if self.limit is not None and self.limit < 1:
            raise DataError(f"a limit of {self.limit} leaves no image", cure="use at least 1")
        if self.seed < 0:
            raise DataError(f"the seed {self.seed} is negative", cure="use 0 or more")

    def open(self, scene_size: tuple[int, int] | None = None) -> Dataset:
        """Open the dataset; synthetic scenes get the height and width `scene_size`, 1024 x 2048 by default.

        Raises
        ------
        DataError
            There is no such folder or split, it is empty, or an image has no label.
        """
        if self.synthetic is not None:
            from fastscnn_opt.data.synthetic import SIZE, SyntheticDataset

            count = min(self.synthetic, self.limit or self.synthetic)
            return SyntheticDataset(range(self.seed, self.seed + count), scene_size or SIZE)
        from fastscnn_opt.data.cityscapes import open_cityscapes

        return open_cityscapes(Path(str(self.root)), self.split, self.limit)

    def fingerprint(self) -> str:
        """Return hexadecimal text that changes when the choice of images, or any file's name or content does."""
        return hashlib.sha256(f"{self.split} {self.open().fingerprint()}".encode()).hexdigest()

    def describe(self) -> str:
        """Return what this is in a few words, for tables and records."""
        if self.synthetic is not None:
            scenes = min(self.synthetic, self.limit or self.synthetic)
            return f"{counted(scenes, 'synthetic scene')} from seed {self.seed}"
        return f"{self.root}, {self.split}" + (f", first {self.limit}" if self.limit else "")
