"""How far each variant of a network is from what this machine can do at best.

    python benchmarks/roofline.py MODEL.onnx [VARIANT.onnx ...] [--threads N] [--layers 12] [--rounds 10]

What the machine can do is measured in the same engine: multiply-adds per second of a large matrix product in float32
and in int8 (u8 x s8), and the bytes per second of a copy that no cache holds, with all threads. What a layer needs
follows from the graph: its multiply-adds, and the bytes of its inputs, weights and outputs, each read or written once.
Its bound is the longer of the two times (Williams, Waterman and Patterson, "Roofline", CACM 52(4), 2009); that of a
network is the sum over its layers, as an engine runs them one after another. An engine that keeps a tensor in a cache
between two layers can be faster than the bytes allow. QuantizeLinear and DequantizeLinear count as part of their
neighbours, and what lies between them as int8; element-wise layers behind a product, which engines fuse, cost nothing.

The variants must see the same: on a synthetic scene nine of ten labels must be those of the first.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from side_by_side import print_machine, take_turns

from fastscnn_opt.demo.scenes import render_scene
from fastscnn_opt.machine import usable_cores
from fastscnn_opt.measuring.image_input import image_input, model_size
from fastscnn_opt.measuring.label_map import label_map
from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.shapes import infer_shapes
from fastscnn_opt.scoring.bench import bench
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.targets.onnxruntime.target import OnnxRuntime
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_SIDE = 2048
"""Rows and columns of the matrices whose product is timed; large enough that reading them costs little."""

_COPIED = 1 << 28
"""Bytes that are copied, many times the caches."""

_AGREEMENT = 0.9
"""Share of labels that a variant of the same network has in common with the first, quantised ones included."""

_FUSED = ("Relu", "Clip", "Add", "QuantizeLinear", "DequantizeLinear", "Cast", "Constant", "Identity", "HardSwish")
_VIEWS = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Shape")
_PRODUCTS = ("Conv", "QLinearConv", "MatMul", "QLinearMatMul", "Gemm")


@dataclass(frozen=True)
class Peak:
    """Multiply-adds per second in float32 and int8, and bytes per second (read and written together)."""

    float_macs: float
    int_macs: float
    bandwidth: float


@dataclass(frozen=True)
class Layer:
    """A node that an engine has to run: its multiply-adds, whether in int8, and the bytes it moves."""

    name: str
    op: str
    macs: int
    quantised: bool
    moved: int

    def bound_ms(self, peak: Peak) -> float:
        """Return the least time it takes."""
        compute = self.macs / (peak.int_macs if self.quantised else peak.float_macs)
        return max(1000 * compute, 1000 * self.moved / peak.bandwidth)


class Graph:
    """Shapes, types and neighbours of the tensors of a model."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = infer_shapes(model).graph
        self.nodes = graph.node
        self.sizes: dict[str, tuple[list[int], int]] = {}
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            if not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
                raise SystemExit(f"the shape of {value.name!r} is open; export the model with a fixed size")
            kind = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
            self.sizes[value.name] = [dim.dim_value for dim in tensor.shape.dim], kind.itemsize
        for weight in graph.initializer:
            kind = onnx.helper.tensor_dtype_to_np_dtype(weight.data_type)
            self.sizes[weight.name] = list(weight.dims), kind.itemsize
        self.maker = {name: node for node in self.nodes for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)

    def shape(self, name: str) -> list[int]:
        """Return the shape of a tensor."""
        return self.sizes[name][0]

    def is_quantised(self, name: str) -> bool:
        """Tell whether a tensor is an integer tensor in disguise: between DequantizeLinear and QuantizeLinear."""
        made = self.maker.get(name)
        read = self.readers.get(name, [])
        return (made is not None and made.op_type == "DequantizeLinear") or (
            bool(read) and all(node.op_type == "QuantizeLinear" for node in read)
        )

    def moved(self, name: str) -> int:
        """Return the bytes of a tensor as it lies in memory."""
        shape, item = self.sizes.get(name, ([0], 0))
        return math.prod(shape) * (1 if self.is_quantised(name) else item)

    def end_of(self, node: onnx.NodeProto) -> str:
        """Return the tensor that a product writes once what engines fuse with it is done."""
        name = node.output[0]
        while len(read := self.readers.get(name, [])) == 1 and read[0].op_type in ("Relu", "Clip", "Add"):
            name = read[0].output[0]
        return name


def macs(graph: Graph, node: onnx.NodeProto) -> int:
    """Return the multiply-adds of a product; 0 for any other node."""
    if node.op_type not in _PRODUCTS:
        return 0
    out = math.prod(graph.shape(node.output[0]))
    if node.op_type.endswith("Conv"):
        weight = graph.shape(node.input[3 if node.op_type == "QLinearConv" else 1])
        return out * math.prod(weight[1:])
    return out * graph.shape(node.input[0])[-1]


def layers_of(model: onnx.ModelProto) -> Iterator[Layer]:
    """Yield what an engine has to run."""
    graph = Graph(model)
    fused = {graph.end_of(node) for node in graph.nodes if node.op_type in _PRODUCTS}
    for node in graph.nodes:
        if node.op_type in (*_FUSED, *_VIEWS) and not (node.op_type == "Add" and node.output[0] not in fused):
            continue
        written = graph.end_of(node) if node.op_type in _PRODUCTS else node.output[0]
        moved = sum(map(graph.moved, dict.fromkeys(filter(None, node.input)))) + graph.moved(written)
        quantised = node.op_type.startswith("QLinear") or graph.is_quantised(node.input[0] if node.input else "")
        yield Layer(node.name or node.output[0], node.op_type, macs(graph, node), quantised, moved)


def product(kind: str) -> onnx.ModelProto:
    """Return a model with one large matrix product, float32 or u8 x s8."""
    a, c = ("float", "float") if kind == "float" else ("uint8", "int32")
    op = "MatMul" if kind == "float" else "MatMulInteger"
    shape = f"[{_SIDE},{_SIDE}]"
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 13]> peak ({a}{shape} a) => ({c}{shape} c) {{ c = {op}(a, b) }}'
    )
    values = np.random.default_rng(0).integers(-7, 8, (_SIDE, _SIDE)).astype(np.float32 if kind == "float" else np.int8)
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, "b"))
    return model


def measure_peak(threads: int, rounds: int, folder: Path) -> Peak:
    """Measure the machine; the products are compared with numpy's."""
    rng = np.random.default_rng(1)
    rates = {}
    for kind, dtype in (("float", np.float32), ("int", np.uint8)):
        model, file = product(kind), folder / f"{kind}.onnx"
        onnx.save(model, file)
        session = OnnxRuntime(threads=threads).open(file)
        feed = rng.integers(0, 8, (_SIDE, _SIDE)).astype(dtype)
        weight = onnx.numpy_helper.to_array(model.graph.initializer[0]).astype(np.float32)
        if not np.array_equal(session.run({"a": feed})["c"], feed.astype(np.float32) @ weight):
            raise SystemExit(f"the {kind} product of the engine is wrong")
        best = min(session.timer({"a": feed})(rounds + 3)[3:])
        rates[kind] = _SIDE**3 / best * 1000
        session.close()
    source, target, step = np.ones(_COPIED, np.uint8), np.zeros(_COPIED, np.uint8), -(-_COPIED // threads)
    parts = [slice(start, start + step) for start in range(0, _COPIED, step)]
    with ThreadPoolExecutor(threads) as pool:

        def copy() -> None:
            list(pool.map(lambda part: np.copyto(target[part], source[part]), parts))

        best_ms = min(take_turns({"copy": copy}, rounds)["copy"].ravel())
    return Peak(rates["float"], rates["int"], 2 * _COPIED / best_ms * 1000)


def labels_of(file: Path, threads: int) -> NDArray[np.integer[Any]]:
    """Return what a model sees in a synthetic scene, as labels H, W."""
    session = OnnxRuntime(threads=threads).open(file)
    height, width = model_size(session.inputs) or (1024, 2048)
    image, _ = render_scene(0, height=height, width=width)
    source = image_input(session.inputs)
    feed = source.buffer((height, width))
    source.fill(feed, 0, image)
    output = session.run({source.name: feed})[session.outputs[0].name]
    if np.issubdtype(output.dtype, np.floating):
        return label_map(output)[0]  # type: ignore[arg-type]  # logits are floats
    return output.reshape(height, width)  # type: ignore[return-value]  # label maps are integers


def main() -> None:
    """Print the peaks, the layers of the first model, and how far each model is from its bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs="+", help="variants of one network, with a fixed size")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--layers", type=int, default=12, help="how many layers of each model to show")
    parser.add_argument("--rounds", type=int, default=10)
    given = parser.parse_args()
    print_machine("fastscnn-opt", "onnxruntime", "numpy")
    labels = [labels_of(file, given.threads) for file in given.models]
    for file, found in zip(given.models, labels, strict=True):
        if (agreement := float((found == labels[0]).mean())) < _AGREEMENT:
            raise SystemExit(f"{file}: only {agreement:.1%} of its labels are those of {given.models[0]}")
    with tempfile.TemporaryDirectory() as folder:
        peak = measure_peak(given.threads, given.rounds, Path(folder))
    print(f"float32 {peak.float_macs / 1e9:.1f} GMAC/s, int8 {peak.int_macs / 1e9:.1f} GMAC/s, ", end="")
    print(f"memory {peak.bandwidth / 1e9:.1f} GB/s, {given.threads} threads\n")
    table = bench(given.models, TargetSpec("onnxruntime", {"threads": given.threads}), effort=Effort(given.rounds))
    summary = []
    for file, row in zip(given.models, table.rows, strict=True):
        layers = list(layers_of(load_model(file)))
        print_layers(file, layers, peak, given.layers)
        bound = sum(layer.bound_ms(peak) for layer in layers)
        total, narrow = (
            sum(layer.macs for layer in layers if layer.quantised or not only) / 1e9 for only in (False, True)
        )
        summary.append(
            f"{total:10.2f}{narrow:10.2f}{sum(layer.moved for layer in layers) / 1e6:10.0f}"
            f"{bound:10.1f}{row.median_ms:10.1f}{bound / row.median_ms:10.0%}  {file.name}"
        )
    print(f"{'GMAC':>10}{'in int8':>10}{'MB':>10}{'bound ms':>10}{'ms':>10}{'reached':>10}  variant")
    print("\n".join(summary))


def print_layers(file: Path, layers: list[Layer], peak: Peak, count: int) -> None:
    """Print the layers with the longest bounds."""
    print(f"{file.name}: {len(layers)} layers, those with the longest bounds")
    print(f"{'MMAC':>10}{'MB':>10}{'bound ms':>10}  limited by  layer")
    for layer in sorted(layers, key=lambda layer: -layer.bound_ms(peak))[:count]:
        bound = layer.bound_ms(peak)
        by = "memory" if 1000 * layer.moved / peak.bandwidth >= bound else "int8" if layer.quantised else "float32"
        print(f"{layer.macs / 1e6:10.1f}{layer.moved / 1e6:10.1f}{bound:10.2f}  {by:10}  {layer.op} {layer.name}")
    print()


if __name__ == "__main__":
    main()
