"""A frame from decoded image to label map: the plain way against our variants, stage by stage, with accuracies.

    python benchmarks/end_to_end.py MODEL DATASET [--rounds 24] [--threads 2] [--only NAME ...]

MODEL is what `fastscnn-opt export` writes, or a checkpoint. The plain way normalises with numpy in float32, runs the
float32 model to logits of full size, and takes their argmax with numpy. Every variant is a pipeline of this project and
takes the image as it is decoded. Where the system has huge pages, the ways run once more with these, plain included.
A way whose engine is not here, or does not run its model, is left out with the reason.

Each way runs in a process of its own. They take turns, image by image, while all others are stopped. A turn is one
untimed frame and one timed. With streams, so many frames are under way at once, each in an engine with its share of the
threads; a turn is an untimed frame of each and four timed ones, and a frame takes the time of the turn divided by their
number. A second table compares them with one stream. Images for calibration come from the split `train` of DATASET;
accuracy is measured on the split `val`.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from side_by_side import TurnTaker

from fastscnn_opt.data.folder import FolderDataset
from fastscnn_opt.data.images import read_image
from fastscnn_opt.data.preprocess import MEAN, STD
from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import TargetError
from fastscnn_opt.machine import machine, versions
from fastscnn_opt.measuring.latency import ratio_to_baseline, time_at_once
from fastscnn_opt.measuring.metric import ConfusionMatrix
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from numpy.typing import NDArray

REFERENCE = "plain"
HUGE_PAGES = "onnxruntime-huge-pages"
STAGES = ("decode", "preprocess", "infer", "post")
_MEAN, _STD = (np.array(values, dtype=np.float32) for values in (MEAN, STD))
PLAIN = "adaptive-avgpool,drop-outputs"
EXACT = f"{PLAIN},uint8-input,fast-argmax{{labels=true}}"
HALF = f"{PLAIN},uint8-input,input-size{{scale=0.5 keep=true}},fast-argmax{{labels=true}}"
"""The network works at half the height and width; images and label maps have the size that they had."""


@dataclass(frozen=True)
class Way:
    """How a frame is computed: `kind` says how the image is fed and the output read, `passes` make the model."""

    name: str
    kind: str
    passes: str
    target: str = "onnxruntime"
    options: tuple[tuple[str, Any], ...] = ()
    streams: int = 0

    def spec(self, threads: int) -> TargetSpec:
        """Return the target with its options."""
        return TargetSpec(self.target, {"threads": threads, **dict(self.options)})

    @property
    def split(self) -> Way:
        """The same with two frames under way at once."""
        return replace(self, name=f"{self.name}, two streams", streams=2)


def ways(data: Path, calibration: int) -> list[Way]:
    """Return every way, the plain one first."""
    images = f"data={data} split=train images={calibration}"
    int8 = f"{EXACT},int8{{{images}}},space-to-depth"
    guarded = f"{EXACT},int8{{{images} max_drop=0.2}},space-to-depth"
    exact, quantised = Way("exact", "raw", EXACT), Way("int8", "raw", int8)
    bfloat16 = Way("openvino-bf16, exact", "raw", EXACT, "openvino-bf16")
    return [
        Way(REFERENCE, "plain", PLAIN),
        exact,
        exact.split,
        quantised,
        quantised.split,
        Way("int8, max_drop=0.2", "raw", guarded),
        Way("half size", "raw", HALF),
        Way("half size, int8", "raw", f"{HALF},int8{{{images}}}"),
        Way("plain, huge pages", "plain", PLAIN, HUGE_PAGES),
        Way("exact, huge pages", "raw", EXACT, HUGE_PAGES),
        Way("int8, huge pages", "raw", int8, HUGE_PAGES),
        Way("int8, max_drop=0.2, huge pages", "raw", guarded, HUGE_PAGES),
        Way("openvino, exact", "raw", EXACT, "openvino"),
        bfloat16,
        bfloat16.split,
        Way("openvino, int8", "raw", int8, "openvino"),
        Way("openvino-bf16, int8", "raw", int8, "openvino-bf16"),
        Way("cuda, exact", "raw", EXACT, options=(("provider", "cuda"),)),
        Way("cuda, fp16", "raw", f"{EXACT},fp16", options=(("provider", "cuda"),)),
        Way("tensorrt, exact", "raw", EXACT, options=(("provider", "tensorrt"),)),
        Way("tensorrt, fp16", "raw", f"{EXACT},fp16", options=(("provider", "tensorrt"),)),
    ]


def frame(kind: str, session: Any, image: NDArray[np.uint8]) -> tuple[list[float], NDArray[Any], NDArray[Any]]:
    """Return the milliseconds of each stage behind decoding, the output of the model, and the label map."""
    times = [perf_counter()]
    if kind == "raw":
        feed = image[None]
    else:
        normal = (image.astype(np.float32) / 255 - _MEAN) / _STD
        feed = np.ascontiguousarray(normal.transpose(2, 0, 1)[None])
    times.append(perf_counter())
    output = session.run({session.inputs[0].name: feed})[session.outputs[0].name]
    times.append(perf_counter())
    labels = output[0] if kind == "raw" else output[0].argmax(axis=0).astype(np.uint8)
    times.append(perf_counter())
    return [1000 * (end - start) for start, end in pairwise(times)], output, labels


def frames_of(way: Way, sessions: Sequence[Any], image: NDArray[np.uint8]) -> list[Callable[[int], list[float]]]:
    """Return for each session a function that computes a frame."""
    return [lambda _, session=session: frame(way.kind, session, image)[0] for session in sessions]


def work(way: Way, artefact: Path, threads: int, pipe: Connection) -> None:
    """Run frames in a process of its own, and send the milliseconds of the stages of one for each request."""
    spec = way.spec(threads)
    sessions = [target.open().open(artefact) for target in (spec.streams(way.streams) if way.streams else (spec,))]
    while (request := pipe.recv()) is not None:
        path, result_file = request
        start = perf_counter()
        image = read_image(path)
        decode_ms = 1000 * (perf_counter() - start)
        stages, output, labels = frame(way.kind, sessions[0], image)
        if result_file is not None:
            np.save(result_file, output if way.name == REFERENCE else labels)
        elif way.streams:
            requests = 4 * way.streams
            stages = [0.0, time_at_once(frames_of(way, sessions, image), requests) / requests, 0.0]
        else:
            stages = frame(way.kind, sessions[0], image)[0]
        pipe.send([decode_ms, *stages])


class Runner:
    """One way and its process."""

    def __init__(self, way: Way, model: Path, folder: Path, threads: int) -> None:
        self.way = way
        spec = way.spec(threads)
        target = spec.available()
        artefact = folder / f"{way.name}{target.artefact_suffix}"
        target.compile(model, artefact, folder / "compile.log")
        self._process = TurnTaker(work, way, artefact, threads, environment=spec.environment())

    def turn(self, path: Path, result_file: Path | None = None) -> list[float]:
        """Run a frame and return the milliseconds of its stages; `result_file` is where its result goes."""
        stages: list[float] = self._process.turn((path, result_file))
        return stages

    def close(self) -> None:
        """End the process."""
        self._process.close()


def start_all(chosen: Sequence[Way], source: Path, folder: Path, threads: int) -> Iterator[Runner]:
    """Build the model of each way, once for ways with the same passes, and start its process if its engine is here."""
    models: dict[str, Path] = {}
    for way in chosen:
        try:
            way.spec(threads).available()
            if way.passes not in models:
                models[way.passes] = build(source, way, folder)
            yield Runner(way, models[way.passes], folder, threads)
        except TargetError as error:
            print(f"left out: {way.name}: {error}")


def build(source: Path, way: Way, folder: Path) -> Path:
    """Run the pipeline of `way` on the model or the checkpoint `source`."""
    if source.suffix == ".onnx":
        model = load_model(source)
    else:
        from fastscnn_opt.network.export import export_checkpoint

        model = export_checkpoint(source)
    file = folder / f"{way.name}.model.onnx"
    save_model(PassManager(way.passes, verify=False).run(model).model, file)
    return file


def accuracy(runners: Sequence[Runner], dataset: FolderDataset, folder: Path) -> list[dict[str, float]]:
    """Return for each way pixAcc, mIoU, and how its labels differ from those of the first, the plain way."""
    matrices = [ConfusionMatrix.empty(preset_classes("cityscapes").names) for _ in runners]
    moved, gaps = [0] * len(runners), [0.0] * len(runners)
    for index, pair in enumerate(dataset.pairs):
        label = dataset.load(index).label
        plain = None
        for number, runner in enumerate(runners):
            runner.turn(pair.image, folder / "result.npy")
            result = np.load(folder / "result.npy")
            if plain is None:
                plain = result[0]
                result = plain.argmax(axis=0).astype(np.uint8)
                reference = result
            matrices[number].update(label, result)
            places = np.nonzero(result != reference)
            moved[number] += len(places[0])
            if len(places[0]):
                best = plain[(reference[places], *places)]
                gaps[number] = max(gaps[number], float((best - plain[(result[places], *places)]).max()))
    return [
        {"pixAcc": matrix.pix_acc, "mIoU_all": matrix.miou_all, "moved": count, "gap": gap}
        for matrix, count, gap in zip(matrices, moved, gaps, strict=True)
    ]


def time_in_turns(runners: Sequence[Runner], dataset: FolderDataset, rounds: int) -> NDArray[np.float64]:
    """Return milliseconds, ways x rounds x stages; each round is another image."""
    samples = []
    for number in range(rounds):
        path = dataset.pairs[number % len(dataset)].image
        samples.append([runner.turn(path) for runner in runners])
    return np.array(samples).transpose(1, 0, 2)


def print_table(runners: Sequence[Runner], times: NDArray[np.float64], figures: Sequence[dict[str, float]]) -> None:
    """Print a row for each way, as Markdown."""
    frames = times[:, :, 1:].sum(axis=2)
    columns = ["way", *STAGES, "frame ms", "against plain [95 %]", "pixAcc", "mIoU_all", "drop", "moved"]
    print("| " + " | ".join(columns) + " |\n| --- " + "| ---: " * (len(columns) - 1) + "|")
    for runner, stages, own, scores in zip(runners, times, frames, figures, strict=True):
        ratio = ratio_to_baseline(frames[0][:, None], own[:, None], baseline_batch=1, batch=1)
        parts = " | ".join(f"{value:.1f}" for value in np.median(stages, axis=0))
        drop = 100 * (figures[0]["mIoU_all"] - scores["mIoU_all"])
        moved = f"{int(scores['moved'])} (by at most {scores['gap']:.1g})" if scores["moved"] else "0"
        cells = [
            runner.way.name, parts, f"{np.median(own):.1f}", f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]",
            f"{scores['pixAcc']:.4f}", f"{scores['mIoU_all']:.4f}", f"{drop:.2f}", moved,
        ]  # fmt: skip
        print("| " + " | ".join(cells) + " |")


def print_streams(runners: Sequence[Runner], times: NDArray[np.float64]) -> None:
    """Print images per second of the ways with streams, against the same way with one stream of all threads."""
    frames = {runner.way: stages[:, 1:].sum(axis=1)[:, None] for runner, stages in zip(runners, times, strict=True)}
    print("\n| way | one stream images/s | two streams images/s | gain [95 %] |\n| --- | ---: | ---: | ---: |")
    for way, one in frames.items():
        if (two := frames.get(way.split)) is not None:
            gain = ratio_to_baseline(one, two, baseline_batch=1, batch=1)
            rates = " | ".join(f"{1000 / np.median(taken):.2f}" for taken in (one, two))
            print(f"| {way.name} | {rates} | {gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}] |")


def main() -> None:
    """Build, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="an exported model, or a checkpoint")
    parser.add_argument("data", type=Path, help="root of a Cityscapes tree with the splits train and val")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--images", type=int, default=8, help="images of val for the accuracy")
    parser.add_argument("--calibration", type=int, default=6, help="images of train for int8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", action="append", help="a way to run beside the plain one; all by default")
    given = parser.parse_args()
    dataset = DataSource(str(given.data), "val", limit=given.images).open()
    if not isinstance(dataset, FolderDataset):
        raise SystemExit("the images have to be files")
    every = ways(given.data, given.calibration)
    chosen = [way for way in every if way.name == REFERENCE or not given.only or way.name in given.only]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runners: list[Runner] = []
        try:
            runners.extend(start_all(chosen, given.model, folder, given.threads))
            figures = accuracy(runners, dataset, folder)
            times = time_in_turns(runners, dataset, given.rounds)
        finally:
            for runner in runners:
                runner.close()
    print(f"{machine()}\n{versions(('fastscnn-opt', 'onnx', 'onnxruntime', 'numpy'))}, {given.threads} threads\n")
    print_table(runners, times, figures)
    print_streams(runners, times)


if __name__ == "__main__":
    main()
