"""The metric from label maps, beside the official Cityscapes scripts without their compiled part, and torchmetrics.

    python benchmarks/metric.py [--data DATASET] [--images 4] [--rounds 10]

All of them count the same pairs of a label map and a prediction, from memory, into one confusion matrix. The official
scripts read files: their reader is replaced by one that hands out the same maps. The predictions are the label maps
with every object moved by a few pixels and some noise, so that every class is taken for another somewhere. The three
matrices must be equal to the last count.
"""

from __future__ import annotations

import argparse
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official  # noqa: N813  # a module's name
from PIL import Image
from side_by_side import print_machine, print_turns, take_turns

from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.measuring.metric import ConfusionMatrix

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]

CLASSES, IGNORE = preset_classes("cityscapes").names, 255


def make_pairs(source: DataSource) -> list[Pair]:
    """Return label maps and predictions, trainIds."""
    rng = np.random.default_rng(0)
    dataset = source.open()
    pairs = []
    for index in range(len(dataset)):
        label = dataset.load(index).label
        prediction = np.roll(label, (3, -5), (0, 1))
        noise = rng.integers(0, len(CLASSES), label.shape, dtype=np.uint8)
        unclear = (prediction == IGNORE) | (rng.random(label.shape, dtype=np.float32) < 0.01)
        pairs.append((label, np.where(unclear, noise, prediction)))
    return pairs


def count_here(pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """Count with this project's metric."""
    matrix = ConfusionMatrix.empty(CLASSES)
    for label, prediction in pairs:
        matrix.update(label, prediction)
    return matrix.counts[:, :-1]


def count_officially(pictures: Sequence[tuple[Image.Image, Image.Image]]) -> NDArray[np.int64]:
    """Count with the official scripts; the pictures hold label ids."""
    matrix = official.generateMatrix(official.args)
    for label, prediction in pictures:
        official.evaluatePair(prediction, label, matrix, {}, {}, official.args)  # pictures: see `from_memory`
    ids = [official.name2label[name].id for name in CLASSES]
    counts: NDArray[np.int64] = np.asarray(matrix)[np.ix_(ids, ids)].astype(np.int64)
    return counts


@contextmanager
def from_memory() -> Iterator[None]:
    """Have the official scripts take pictures where they take file names, and leave their compiled part out."""
    before = official.Image, official.CSUPPORT, official.args.evalInstLevelScore
    official.Image, official.CSUPPORT = SimpleNamespace(open=lambda picture: picture), False
    official.args.evalInstLevelScore = False
    try:
        yield
    finally:
        official.Image, official.CSUPPORT, official.args.evalInstLevelScore = before


def count_with_torchmetrics(tensors: Sequence[tuple[Any, Any]]) -> NDArray[np.int64]:
    """Count with torchmetrics."""
    from torchmetrics.classification import MulticlassConfusionMatrix

    metric = MulticlassConfusionMatrix(num_classes=len(CLASSES), ignore_index=IGNORE, validate_args=False)
    for label, prediction in tensors:
        metric.update(prediction, label)
    counts: NDArray[np.int64] = metric.compute().numpy()
    return counts


def main() -> None:
    """Print the comparison."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="root of a Cityscapes tree; synthetic scenes without it")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    source = DataSource(root=str(given.data), limit=given.images) if given.data else DataSource(synthetic=given.images)
    pairs = make_pairs(source)
    ids = np.zeros(256, np.uint8)
    ids[: len(CLASSES)] = [official.name2label[name].id for name in CLASSES]
    pictures = [(Image.fromarray(ids[label]), Image.fromarray(ids[guess])) for label, guess in pairs]
    tensors = [(torch.from_numpy(label), torch.from_numpy(guess)) for label, guess in pairs]
    runs = {
        "fastscnn-opt": partial(count_here, pairs),
        "cityscapesscripts": partial(count_officially, pictures),
        "torchmetrics": partial(count_with_torchmetrics, tensors),
    }
    print_machine("fastscnn-opt", "numpy", "cityscapesscripts", "torchmetrics", "torch")
    with from_memory():
        counts = {name: run() for name, run in runs.items()}
        for name, found in counts.items():
            if not np.array_equal(found, counts["fastscnn-opt"]):
                raise SystemExit(f"{name} counts {abs(found - counts['fastscnn-opt']).sum()} pixels otherwise")
        pixels = int(counts["fastscnn-opt"].sum())
        print(f"{len(pairs)} pairs, {pixels} labelled pixels; the three matrices are equal")
        print_turns("confusion matrix", take_turns(runs, given.rounds))


if __name__ == "__main__":
    main()
