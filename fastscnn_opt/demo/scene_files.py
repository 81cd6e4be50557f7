"""Write synthetic scenes as files, in the layout of the Cityscapes downloads."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.data.images import write_png
from fastscnn_opt.data.prefetch import prefetch
from fastscnn_opt.data.presets import read_preset
from fastscnn_opt.data.synthetic import scene_name
from fastscnn_opt.demo.scenes import render_scene
from fastscnn_opt.errors import DataError
from fastscnn_opt.files import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

IMAGES, LABELS = "leftImg8bit", "gtFine"
"""Folders of a Cityscapes tree."""

CITY = "scene"
"""Folder that stands in for a city."""


def _label_ids() -> NDArray[np.uint8]:
    """Return the labelId of each class, uint8 of shape (256,); ignored pixels become 0, unlabelled."""
    table = np.zeros(256, dtype=np.uint8)
    for label_id, index in read_preset("cityscapes")["label_map"].items():
        table[index] = int(label_id)
    return table


def write_cityscapes(
    root: Path,
    split: str,
    seeds: Sequence[int],
    *,
    height: int = 1024,
    width: int = 2048,
    on_scene: Callable[[int], None] | None = None,
) -> None:
    """Render the scenes of `seeds` and write them below `root` as images with labelIds.

    A stem is ``scene_<seed>_000000``: city, sequence and frame, as the Cityscapes scripts expect. The scenes appear at
    their places only when all of them are written. `on_scene` is called with the number of scenes written since its
    last call.

    Raises
    ------
    DataError
        The split is not a plain folder name, or already has images: real and synthetic ones never mix.
    OSError
        The folder is read-only or the disk is full; nothing is left at the scenes' places then.
    """
    if Path(split).name != split or split in ("", ".", ".."):
        raise DataError(f"the split {split!r} is not the name of a folder", cure="use one such as 'val'")
    for kind in (IMAGES, LABELS):
        if (root / kind / split).exists():
            raise DataError(
                "exists already", where=root / kind / split, cure="choose another folder or split, or remove it"
            )
    root.mkdir(parents=True, exist_ok=True)
    with temporary_folder(root, ".scenes-", root) as partial:
        table = _label_ids()
        for kind in (IMAGES, LABELS):
            (partial / kind).mkdir()

        def write(index: int) -> None:
            _write_scene(partial, seeds[index], height, width, table)

        with closing(prefetch(write, len(seeds))) as written:
            for _ in written:
                if on_scene is not None:
                    on_scene(1)
        for kind in (LABELS, IMAGES):
            place = root / kind / split
            place.mkdir(parents=True)
            (partial / kind).rename(place / CITY)


def _write_scene(folder: Path, seed: int, height: int, width: int, label_ids: NDArray[np.uint8]) -> None:
    image, label = render_scene(seed, height=height, width=width)
    stem = f"{scene_name(seed)}_000000"
    write_png(folder / IMAGES / f"{stem}_{IMAGES}.png", image)
    write_png(folder / LABELS / f"{stem}_{LABELS}_labelIds.png", label_ids[label])
