"""What each exact rewrite of a graph gains: those that are passes here, and those that were tried and dropped.

    python benchmarks/rewrites.py MODEL.onnx [--rounds 24] [--threads 2] [--only WORD ...]

MODEL is what `fastscnn-opt export` writes. Compared is the network from the raw image to its logits of low resolution,
before and after one rewrite, in onnxruntime (`tail.py` measures what follows). The rewrites that were dropped are the
functions of `graph_edits.py`; those that were kept run as passes. `int8` is calibrated on generated scenes, and the
image is made up, too: the time of the network does not depend on the values.

Every graph runs in a process of its own. They take turns while all others are stopped; a turn is one untimed run and
two timed. Strips run on huge pages of memory, too, where the system has them. The first row compares a graph with
itself, and so shows what difference means nothing. It ends with an error if a rewrite moves a logit by more than 1e-4
of the largest.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from graph_edits import convolve_before_upsampling, cut_into_strips, edited, group_pixels, unfold
from roofline import Graph, macs
from side_by_side import TurnTaker, print_machine, split

from fastscnn_opt.machine import usable_cores
from fastscnn_opt.measuring.latency import ratio_to_baseline
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.sampling.samples import sample_inputs
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.model.shapes import infer_shapes
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.targets.onnxruntime.huge_pages import OnnxRuntimeHugePages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection

    import onnx
    from numpy.typing import NDArray

TOLERANCE = 1e-4
"""How far sums in another order may move a logit, relative to the largest."""


@dataclass(frozen=True)
class Engine:
    """How onnxruntime runs a graph: with its own graph optimisations or without, with huge pages or ordinary ones."""

    optimises: bool = True
    huge_pages: bool = False


@dataclass(frozen=True)
class Trial:
    """A rewrite, the models before and after it, and whether this project keeps it."""

    rewrite: str
    what: str
    before: str
    after: str
    kept: str = "no"
    engine: Engine = Engine()


STRIPS = ((4, 1), (8, 1), (16, 1), (8, 2))
"""Strips that are tried, and how many blocks of the network they cover."""

COVERED = {1: "learning to downsample", 2: "the first bottleneck, too"}

TIMED = 2
"""Runs of a turn that are timed, behind one that is not."""


def trials() -> list[Trial]:
    """Return every trial."""
    blocks = ("1x2", "2x2")
    strips = [(Engine(), STRIPS), (Engine(huge_pages=True), ((4, 1), (8, 2)))]
    folding = {"engine that folds by itself": Engine(), "engine that folds nothing": Engine(optimises=False)}
    passes = "`remove-noops`, `fold-batchnorm`"
    return [
        Trial("nothing", "the same graph in two processes", "exact", "again", ""),
        *(Trial("space-to-depth, float32", f"stem reads {block} pixels", "exact", block) for block in blocks),
        Trial("1x1 convolution before upsampling", "behind a Concat", "exact", "terms"),
        Trial("1x1 convolution before upsampling", "behind a Resize", "exact", "swapped", "`conv-before-resize`"),
        *(
            Trial(f"{count} strips{', huge pages' * engine.huge_pages}", COVERED[covered], "exact",
                  f"{count} strips of {covered}", engine=engine)
            for engine, tried in strips for count, covered in tried
        ),
        Trial("space-to-depth, int8", "stem reads 1x4 pixels", "int8", "grouped", "`space-to-depth`"),
        *(
            Trial("no-ops and batch norm removed", what, "unfolded", "folded", passes, engine)
            for what, engine in folding.items()
        ),
    ]  # fmt: skip


def recipes(source: onnx.ModelProto) -> dict[str, Callable[[], onnx.ModelProto]]:
    """Return how every model of the trials is made of the network `source`."""
    network = edited(_passed(split(source)[0], "uint8-input"), lambda _: None)
    strips = {
        f"{count} strips of {blocks}": partial(edited, network, cut_into_strips, count, blocks)
        for count, blocks in STRIPS
    }
    return strips | {
        "exact": lambda: network,
        "again": lambda: network,
        "terms": lambda: edited(network, convolve_before_upsampling),
        "swapped": lambda: _passed(network, "conv-before-resize"),
        "1x2": lambda: edited(network, group_pixels, 1, 2),
        "2x2": lambda: edited(network, group_pixels, 2, 2),
        "int8": lambda: _passed(network, "int8{images=2}"),
        "grouped": lambda: _passed(network, "int8{images=2},space-to-depth"),
        "unfolded": lambda: edited(network, unfold),
        "folded": lambda: _passed(edited(network, unfold), "remove-noops,fold-batchnorm"),
    }


def _passed(model: onnx.ModelProto, passes: str) -> onnx.ModelProto:
    return infer_shapes(PassManager(passes, verify=False).run(model).model)


def work(file: Path, engine: Engine, threads: int, pipe: Connection) -> None:
    """Run a model in a process of its own, and answer every request with the milliseconds of the runs that are timed.

    A request is where the logits go, or None.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    if not engine.optimises:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    feeds = sample_inputs(load_model(file))
    while True:
        result_file, taken = pipe.recv(), []
        for _ in range(1 + TIMED):
            start = perf_counter()
            (logits,) = session.run(None, feeds)
            taken.append(1000 * (perf_counter() - start))
        if result_file is not None:
            np.save(result_file, logits)
        pipe.send(taken[1:])


def check(name: str, logits: NDArray[np.float32], wanted: NDArray[np.float32]) -> None:
    """End with an error if `logits` are not those that are `wanted`, up to the order of sums."""
    moved = float(np.abs(logits - wanted).max() / np.abs(wanted).max())
    if not moved <= TOLERANCE:
        raise SystemExit(f"{name}: a logit moves by {moved:.1e} of the largest")


def measure(
    chosen: Sequence[Trial], models: Mapping[str, Path], threads: int, rounds: int, folder: Path
) -> dict[tuple[str, Engine], NDArray[np.float64]]:
    """Check every trial, and return the ms of each model in each engine, rounds x runs of a turn."""
    wanted = dict.fromkeys((name, trial.engine) for trial in chosen for name in (trial.before, trial.after))
    runners, logits = {}, {}
    try:
        for name, engine in wanted:
            environment = OnnxRuntimeHugePages().environment() if engine.huge_pages else {}
            runners[name, engine] = TurnTaker(work, models[name], engine, threads, environment=environment)
        for key, runner in runners.items():
            runner.turn(folder / "logits.npy")
            logits[key] = np.load(folder / "logits.npy")
        for trial in chosen:
            found, expected = (logits[name, trial.engine] for name in (trial.after, trial.before))
            check(f"{trial.rewrite}, {trial.what}", found, expected)
        samples = [[runner.turn(None) for runner in runners.values()] for _ in range(rounds)]
    finally:
        for runner in runners.values():
            runner.close()
    return dict(zip(wanted, np.array(samples).transpose(1, 0, 2), strict=True))


def multiply_adds(model: onnx.ModelProto) -> int:
    """Return the multiply-adds of all products."""
    graph = Graph(model)
    return sum(macs(graph, node) for node in graph.nodes)


def print_table(
    chosen: Sequence[Trial],
    models: Mapping[str, onnx.ModelProto],
    sizes: Mapping[str, int],
    times: Mapping[tuple[str, Engine], NDArray[np.float64]],
) -> None:
    """Print a row for each trial, as Markdown."""
    print("| rewrite | what | ms | speed ratio [95 %] | multiply-adds ratio | nodes | bytes ratio | kept? |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for trial in chosen:
        before, after = (times[name, trial.engine] for name in (trial.before, trial.after))
        ratio = ratio_to_baseline(before, after, baseline_batch=1, batch=1)
        products = multiply_adds(models[trial.after]) / multiply_adds(models[trial.before])
        nodes = " -> ".join(str(len(models[name].graph.node)) for name in (trial.before, trial.after))
        cells = [
            trial.rewrite, trial.what, f"{np.median(before):.1f} -> {np.median(after):.1f}",
            f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]", f"{products:.3f}", nodes,
            f"{sizes[trial.after] / sizes[trial.before]:.2f}", trial.kept,
        ]  # fmt: skip
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Build, check, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="an exported FastSCNN of fixed size")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--only", action="append", help="words of the names of the rewrites to try; all by default")
    given = parser.parse_args()
    chosen = [trial for trial in trials() if not given.only or any(word in trial.rewrite for word in given.only)]
    if not OnnxRuntimeHugePages().availability().available:
        chosen = [trial for trial in chosen if not trial.engine.huge_pages]
    if not chosen:
        raise SystemExit(
            f"nothing of {given.only} is in the name of a rewrite: {[trial.rewrite for trial in trials()]}"
        )
    print_machine("fastscnn-opt", "onnxruntime", "numpy")
    makers = recipes(load_model(given.model))
    built = {name: makers[name]() for name in {name for trial in chosen for name in (trial.before, trial.after)}}
    for trial in [trial for trial in chosen if trial.kept and built[trial.after] == built[trial.before]]:
        print(f"{trial.rewrite}, {trial.what}: nothing to do in this network\n")
        chosen.remove(trial)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {name: folder / f"{name}.onnx" for name in built}
        for model, file in zip(built.values(), files.values(), strict=True):
            save_model(model, file)
        sizes = {key: file.stat().st_size for key, file in files.items()}
        times = measure(chosen, files, given.threads, given.rounds, folder)
    print_table(chosen, built, sizes, times)


if __name__ == "__main__":
    main()
