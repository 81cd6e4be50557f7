"""A small tree in the Cityscapes layout, written with Pillow alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Add = Callable[..., tuple[Path, Path]]


@pytest.fixture
def add_pair(tmp_path) -> Add:
    """Return a function that adds one pair to the tree at `tmp_path` and returns its two files."""

    def add(
        stem: str = "ulm_000000_000019", *, split: str = "val", size: tuple[int, int] = (16, 32), ids: str = "labelIds"
    ) -> tuple[Path, Path]:
        city = stem.partition("_")[0]
        image = tmp_path / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png"
        label = tmp_path / "gtFine" / split / city / f"{stem}_gtFine_{ids}.png"
        rng = np.random.default_rng(len(stem))
        for file, pixels in (
            (image, rng.integers(0, 256, (*size, 3), dtype=np.uint8)),
            (label, rng.integers(0, 19, size, dtype=np.uint8)),
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
        return image, label

    return add
