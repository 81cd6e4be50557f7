"""Scenes for training the demo network: rendered once into memory-mapped files, read as random crops. Needs torch."""

from __future__ import annotations

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from fastscnn_opt.data.preprocess import normalise
from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.data.synthetic import SIZE
from fastscnn_opt.demo.scenes import render_scene

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

HEIGHT, WIDTH = SIZE


@dataclass(frozen=True)
class Scenes:
    """Rendered scenes: RGB `images`, uint8 count, 1024, 2048, 3, and trainId `labels`, uint8 count, 1024, 2048."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)


def rendered(folder: Path, first_seed: int, count: int, processes: int = 2) -> Scenes:
    """Render the scenes of `count` seeds from `first_seed` on into a subfolder, unless they are there, and open them.

    A change to how scenes are drawn goes unnoticed: start in a new folder then.
    """
    place = folder / f"scenes_{first_seed}_{count}"
    if not place.is_dir():
        partial = place.with_suffix(".part")
        partial.mkdir(exist_ok=True)
        images = open_memmap(partial / "images.npy", "w+", np.uint8, (count, HEIGHT, WIDTH, 3))
        labels = open_memmap(partial / "labels.npy", "w+", np.uint8, (count, HEIGHT, WIDTH))
        logger.info("rendering %d scenes into %s", count, place)
        with ProcessPoolExecutor(processes) as pool:
            seeds = range(first_seed, first_seed + count)
            for index, (image, label) in enumerate(pool.map(render_scene, seeds)):
                images[index], labels[index] = image, label
        partial.rename(place)
    return Scenes(*(np.load(place / f"{name}.npy", mmap_mode="r") for name in ("images", "labels")))


def class_frequencies(scenes: Scenes, step: int = 8) -> NDArray[np.float64]:
    """Return the share of each of the 19 classes among the labelled pixels, from every `step`-th row and column."""
    counts = np.zeros(256, dtype=np.int64)
    for label in scenes.labels:
        counts += np.bincount(label[::step, ::step].ravel(), minlength=256)
    labelled = counts[: len(preset_classes("cityscapes"))]
    return np.asarray(labelled / labelled.sum(), dtype=np.float64)


def random_crops(
    scenes: Scenes, size: tuple[int, int], batch: int, generator: torch.Generator
) -> tuple[NDArray[np.uint8], Tensor]:
    """Draw `batch` crops of height and width `size` from random scenes, half of them mirrored.

    Return images, uint8 N, H, W, 3, and labels, int64 N, H, W.
    """
    height, width = size
    _, full_height, full_width = scenes.labels.shape

    def draw(limit: int) -> int:
        return int(torch.randint(limit, (1,), generator=generator))

    images = np.empty((batch, height, width, 3), dtype=np.uint8)
    labels = np.empty((batch, height, width), dtype=np.uint8)
    for index in range(batch):
        scene, top, left = (draw(limit) for limit in (len(scenes), full_height - height + 1, full_width - width + 1))
        step = -1 if draw(2) else 1
        images[index] = scenes.images[scene, top : top + height, left : left + width][:, ::step]
        labels[index] = scenes.labels[scene, top : top + height, left : left + width][:, ::step]
    return images, torch.from_numpy(labels).long()


def normalised(images: NDArray[np.uint8]) -> Tensor:
    """Return images, uint8 N, H, W, 3, as the network takes them: float32 N, 3, H, W in channels-last memory order."""
    return torch.from_numpy(normalise(images)).contiguous(memory_format=torch.channels_last)
