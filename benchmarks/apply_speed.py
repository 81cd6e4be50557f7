"""How fast the command `apply` is beside onnxsim and onnxslim, and how its time grows with the number of nodes.

    python benchmarks/apply_speed.py [MODEL.onnx] [--rounds 9] [--sizes 100 1000 5000 20000 50000]

It times commands that read and write a file: every exact pass that is registered and needs no option, one after another
and without verification, but for simplify, which runs onnxsim itself. The peers do what they do by default. All take
turns on the same model, so that a slow minute of the machine affects all of them. Needs the extra `benchmark`.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cold_start import find
from onnx import TensorProto, helper, numpy_helper
from side_by_side import print_turns, take_turns

from fastscnn_opt.demo.network import demo_model
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.registry import entry_points, pass_class

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

FIRST = ("adaptive-avgpool", "large-avgpool", "drop-outputs")
LAST = ("uint8-input", "argmax-output", "fast-argmax")
LEFT_OUT = ("simplify",)

POOL_EVERY = 32
"""Nodes of a chain from one adaptive pooling to the next."""


def exact_pipeline() -> str:
    """Return all exact passes that run without an option: clean-up, what changes the inside, then the interface."""
    names = []
    for name in entry_points():
        try:
            exact = pass_class(name)().promise() is Contract.EXACT
        except TypeError:  # an option without a default
            continue
        if exact and name not in LEFT_OUT:
            names.append(name)
    rank = {name: place - 100 for place, name in enumerate(FIRST)} | {name: place for place, name in enumerate(LAST, 1)}
    return ",".join(sorted(names, key=lambda name: (rank.get(name, 0), name)))


def chain(count: int) -> onnx.ModelProto:
    """Return about `count` nodes one after another: Conv, Relu and Add, now and then a pooling and its Resize."""
    rng = np.random.default_rng(0)
    nodes, weights, source = [], [numpy_helper.from_array(np.array([1, 4, 16, 16]), "size")], "image"
    for block in range(count // 3 or 1):
        weights.append(numpy_helper.from_array(rng.normal(0, 0.3, (4, 4, 1, 1)).astype(np.float32), f"w{block}"))
        nodes.append(helper.make_node("Conv", [source, f"w{block}"], [f"c{block}"], f"conv{block}"))
        nodes.append(helper.make_node("Relu", [f"c{block}"], [f"r{block}"], f"relu{block}"))
        nodes.append(helper.make_node("Add", [f"r{block}", source], [f"a{block}"], f"add{block}"))
        source = f"a{block}"
        if block % (POOL_EVERY // 3) == 0:
            pooled = {"domain": "custom", "output_size": [3, 3]}
            nodes.append(helper.make_node("AdaptiveAvgPool2d", [source], [f"p{block}"], f"pool{block}", **pooled))
            resize = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
            nodes.append(
                helper.make_node("Resize", [f"p{block}", "", "", "size"], [f"u{block}"], f"up{block}", **resize)
            )
            source = f"u{block}"
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4, 16, 16])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 16, 16]) for name in (source, "a0")]
    graph = helper.make_graph(nodes, "chain", [image], outputs, weights)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("custom", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def times_ms(model: onnx.ModelProto, pipeline: str, rounds: int) -> dict[str, NDArray[np.float64]]:
    """Let the commands of the tools take turns on a model; return the ms of each, rounds x 1, this project first."""
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "model.onnx"
        save_model(model, file)
        lines = {
            "fastscnn-opt": ["apply", file, "--passes", pipeline, "--no-verify", "-o", file.with_name("ours.onnx")],
            "onnxsim": [file, file.with_name("onnxsim.onnx")],
            "onnxslim": [file, file.with_name("onnxslim.onnx")],
        }
        runs = {
            tool: partial(subprocess.run, [path, *line], check=True, capture_output=True)
            for tool, line in lines.items()
            if (path := find(tool)) is not None
        }
        return take_turns(runs, rounds)


def print_growth(sizes: list[int], pipeline: str, rounds: int) -> None:
    """Print the time by number of nodes, and per node beyond the first size, whose time is mostly start-up."""
    print("\n| nodes | fastscnn-opt ms | us per node more | onnxsim ms |\n| ---: | ---: | ---: | ---: |")
    first: tuple[int, float] | None = None
    for size in sizes:
        model = chain(size)
        taken = {name: float(np.median(values)) for name, values in times_ms(model, pipeline, rounds).items()}
        nodes, own = len(model.graph.node), taken["fastscnn-opt"]
        more = f"{1000 * (own - first[1]) / (nodes - first[0]):.0f}" if first else ""
        first = first or (nodes, own)
        print(f"| {nodes} | {own:.0f} | {more} | {taken.get('onnxsim', np.nan):.0f} |", flush=True)


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="an ONNX model; the demo network without it")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100, 1000, 5000, 20000, 50000])
    given = parser.parse_args()
    pipeline = exact_pipeline()
    print(f"pipeline: {pipeline}\n")
    model = load_model(given.model) if given.model else demo_model()
    print_turns(f"command, {len(model.graph.node)} nodes", times_ms(model, pipeline, given.rounds))
    if given.sizes:
        print_growth(given.sizes, pipeline, max(1, given.rounds // 3))


if __name__ == "__main__":
    main()
