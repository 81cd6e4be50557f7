"""Scenes for training the demo network: rendered once into memory-mapped files, read as random crops. Needs torch."""

from __future__ import annotations

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from fastscnn_opt.data.classes import CLASSES
from fastscnn_opt.data.preprocess import MEAN, STD
from fastscnn_opt.data.synthetic import SIZE
from fastscnn_opt.demo.scenes import render_scene

if TYPE_CHECKING:
    from collections.abc import Iterator
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

    A scene counts as there once its flag in ``ready.npy`` is set, so an interrupted rendering goes on where it stopped.
    A change to how scenes are drawn goes unnoticed: start in a new folder then.
    """
    folder = folder / f"scenes_{first_seed}_{count}"
    folder.mkdir(parents=True, exist_ok=True)
    images = _array(folder / "images.npy", (count, HEIGHT, WIDTH, 3))
    labels = _array(folder / "labels.npy", (count, HEIGHT, WIDTH))
    ready = _array(folder / "ready.npy", (count,))
    missing = [index for index in range(count) if not ready[index]]
    if missing:
        logger.info("rendering %d scenes into %s", len(missing), folder)
        with ProcessPoolExecutor(processes) as pool:
            jobs = [pool.submit(_render, folder, index, first_seed + index) for index in missing]
            for job in jobs:
                job.result()
    return Scenes(images, labels)


def _array(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Open the memory-mapped uint8 array at `path`, made anew with zeros if it is absent."""
    if path.exists():
        return np.lib.format.open_memmap(path, mode="r+")
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)


def _render(folder: Path, index: int, seed: int) -> None:
    image, label = render_scene(seed)
    for name, value in (("images", image), ("labels", label), ("ready", 1)):
        np.lib.format.open_memmap(folder / f"{name}.npy", mode="r+")[index] = value


def class_frequencies(scenes: Scenes, step: int = 8) -> NDArray[np.float64]:
    """Return the share of each of the 19 classes among the labelled pixels, from every `step`-th row and column."""
    counts = np.zeros(256, dtype=np.int64)
    for label in scenes.labels:
        counts += np.bincount(label[::step, ::step].ravel(), minlength=256)
    labelled = counts[: len(CLASSES)]
    return np.asarray(labelled / labelled.sum(), dtype=np.float64)


def random_crops(
    scenes: Scenes, size: tuple[int, int], batch: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw `batch` crops of height and width `size` from random scenes, half of them mirrored.

    Returns images, uint8 N, 3, H, W in channels-last memory order, and labels, int64 N, H, W.
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
    return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels).long()


def frames(scenes: Scenes, batch: int) -> Iterator[tuple[Tensor, NDArray[np.uint8]]]:
    """Yield whole scenes in order: images, uint8 N, 3, 1024, 2048, and labels, uint8 N, 1024, 2048."""
    for start in range(0, len(scenes), batch):
        images = np.array(scenes.images[start : start + batch])
        yield torch.from_numpy(images).permute(0, 3, 1, 2), scenes.labels[start : start + batch]


def normalised(images: Tensor) -> Tensor:
    """Turn RGB uint8 N, 3, H, W into the network's float32 input, memory order kept; as `data.preprocess.normalise`."""
    scale = 1 / (255 * torch.tensor(STD))
    offset = torch.tensor(MEAN) / torch.tensor(STD)
    return images.float().mul_(scale.view(1, 3, 1, 1)).sub_(offset.view(1, 3, 1, 1))
