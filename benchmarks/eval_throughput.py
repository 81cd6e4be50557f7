"""How fast `eval` is beside a bare loop over the same images, and whether its memory grows with their number.

    python benchmarks/eval_throughput.py MODEL.onnx DATASET [--images 8] [--rounds 5]

The bare loop is what one writes in ten lines: decode with Pillow, normalise, run, argmax and count with plain numpy.
The sequential loop does the same with this project's functions, so that its ratio to `evaluate` shows what decoding
ahead gains alone. All of them share one engine and take turns. The last lines compare whole processes: the command
`fastscnn-opt eval`, and the bare loop with its imports.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fastscnn_opt.data.folder import FolderDataset
from fastscnn_opt.data.preprocess import MEAN, STD, normalise
from fastscnn_opt.data.presets import preset_classes, read_preset
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.measuring.accuracy import evaluate_session
from fastscnn_opt.measuring.label_map import label_map
from fastscnn_opt.measuring.metric import ConfusionMatrix
from fastscnn_opt.scoring import one_model
from fastscnn_opt.targets.registry import get_target
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import Session


def cityscapes(root: Path, images: int) -> FolderDataset:
    """Open the first images of a Cityscapes tree."""
    dataset = DataSource(str(root), limit=images).open()
    if not isinstance(dataset, FolderDataset):
        raise SystemExit("the images have to be files")
    return dataset


def bare_loop(session: Session, dataset: FolderDataset) -> NDArray[np.int64]:
    """Count one image after the other with plain Pillow and numpy."""
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    counts = np.zeros((19, 19), np.int64)
    train_ids = np.full(256, 255, np.uint8)
    for label_id, train_id in read_preset("cityscapes")["label_map"].items():
        train_ids[int(label_id)] = train_id
    for pair in dataset.pairs:
        pixels = np.asarray(Image.open(pair.image), np.float32)
        image = np.ascontiguousarray(((pixels / 255 - mean) / std).transpose(2, 0, 1)[None])
        label = np.asarray(Image.open(pair.mask))
        label = train_ids[label] if pair.mask.name.endswith("labelIds.png") else label
        prediction = session.run({session.inputs[0].name: image})[session.outputs[0].name].argmax(axis=1)[0]
        valid = label != 255
        cells = label[valid].astype(np.int64) * 19 + prediction[valid]
        counts += np.bincount(cells, minlength=361).reshape(19, 19)
    return counts


def sequential_loop(session: Session, dataset: FolderDataset) -> NDArray[np.int64]:
    """Count one image after the other with this project's functions."""
    matrix = ConfusionMatrix.empty(preset_classes("cityscapes").names)
    for index in range(len(dataset)):
        sample = dataset.load(index)
        logits = session.run({session.inputs[0].name: normalise(sample.image[None])})[session.outputs[0].name]
        matrix.update(sample.label, label_map(logits)[0])  # type: ignore[arg-type]  # logits are floats
    return matrix.counts[:, :-1]


def eval_loop(session: Session, dataset: FolderDataset) -> NDArray[np.int64]:
    """Count as `eval` does."""
    return evaluate_session(session, dataset).confusion.counts[:, :-1]


def compare(runs: Mapping[str, Callable[[], object]], images: int, rounds: int) -> None:
    """Run everything in turns, and print the median time per image and the speed relative to the first."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = perf_counter()
            run()
            seconds[name].append((perf_counter() - start) / images)
    first = next(iter(runs))
    for name, taken in seconds.items():
        ratio = statistics.median(base / own for base, own in zip(seconds[first], taken, strict=True))
        print(f"{name:28}{statistics.median(taken) * 1000:8.1f} ms per image{ratio:8.2f} x the speed of the {first}")


def repeated(dataset: FolderDataset, count: int, root: Path) -> DataSource:
    """Make a tree of links to the pairs of `dataset`, as often as it takes to have `count` of them."""
    for kind in ("leftImg8bit", "gtFine"):
        (root / kind / "val" / "city").mkdir(parents=True)
    for index in range(count):
        pair = dataset.pairs[index % len(dataset)]
        for file in (pair.image, pair.mask):
            kind, suffix = file.parent.parent.parent.name, file.name.removeprefix(pair.name)
            (root / kind / "val" / "city" / f"city_{index:06d}_000000{suffix}").symlink_to(file.resolve())
    return DataSource(root=str(root))


def peak_mib(model: Path, dataset: FolderDataset, count: int) -> float:
    """Return the peak memory of a fresh process that scores `count` images."""
    with tempfile.TemporaryDirectory() as folder:
        found = one_model.evaluate(model, repeated(dataset, count, Path(folder)), TargetSpec("onnxruntime"))
    return float(found.peak_rss_bytes) / 2**20


def main() -> None:
    """Print every comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model with a batch of 1 and float32 logits")
    parser.add_argument("data", type=Path, help="root of a Cityscapes tree")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bare", action="store_true", help="only run the bare loop once")
    given = parser.parse_args()
    dataset = cityscapes(given.data, given.images)
    session = get_target("onnxruntime").open(given.model)
    if given.bare:
        bare_loop(session, dataset)
        return
    loops = {"bare loop": bare_loop, "sequential loop": sequential_loop, "evaluate": eval_loop}
    counts = [loop(session, dataset) for loop in loops.values()]  # warms up, too
    # Plain float32 arithmetic rounds the normalised values otherwise, which moves a few pixels where two logits tie.
    moved = abs(counts[0] - counts[1]).sum() / counts[0].sum()
    if moved > 1e-5 or (counts[1] != counts[2]).any():
        raise SystemExit(f"the loops disagree: {moved:.2e} of the pixels moved")
    compare({name: partial(loop, session, dataset) for name, loop in loops.items()}, len(dataset), given.rounds)
    session.close()
    own = [sys.executable, __file__, str(given.model), str(given.data), "--images", str(len(dataset)), "--bare"]
    command = [sys.executable, "-m", "fastscnn_opt", "eval", str(given.model), "--data", str(given.data)]
    command += ["--limit", str(len(dataset)), "--format", "json"]
    processes = {"process of the bare loop": own, "process of fastscnn-opt eval": command}
    runs = {
        name: partial(subprocess.run, line, check=True, stdout=subprocess.DEVNULL) for name, line in processes.items()
    }
    compare(runs, len(dataset), given.rounds)
    few, many = (peak_mib(given.model, dataset, count) for count in (2, 24))
    print(f"peak memory of eval         {few:8.0f} MiB for 2 images, {many:.0f} MiB for 24")


if __name__ == "__main__":
    main()
