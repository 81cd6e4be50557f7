"""Recognises adaptive average pooling, which ONNX does not define, and writes it out in operators of ONNX.

The expansion follows the definition window by window, so that onnxruntime can run a graph. It shares nothing with the
faster forms that a pass writes, which are checked against it. Definition (PyTorch documentation of AdaptiveAvgPool2d):
along an axis of n elements, bin i of k averages the elements from floor(i n / k) to ceil((i + 1) n / k), the last
excluded.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.interface import static_shape
from fastscnn_opt.model.shapes import infer_shapes
from fastscnn_opt.model.skeleton import ADAPTIVE_POOL

if TYPE_CHECKING:
    from pathlib import Path

    import onnx
    import onnx_graphsurgeon as gs


_MOST_WINDOWS = 10_000


def windows(length: int, bins: int) -> list[tuple[int, int]]:
    """Return start and end (excluded) of each of the `bins` windows over `length` elements."""
    return [(i * length // bins, -(-(i + 1) * length // bins)) for i in range(bins)]


def pooled_size(node: gs.Node) -> tuple[int, int] | None:
    """Return the output height and width if `node` is an adaptive average pooling, else None.

    Recognised are ``AdaptiveAvgPool2d`` of any domain with ``output_size``, and the ATen node of PyTorch's exporter
    with operator ``adaptive_avg_pool2d`` and the size as its second input; a node that lacks any of this is none.
    """
    if node.op == ADAPTIVE_POOL:
        size = node.attrs.get("output_size")
    elif node.op == "ATen" and node.attrs.get("operator") == "adaptive_avg_pool2d":
        size = _constant(node.inputs[1]) if len(node.inputs) > 1 else None
    else:
        return None
    values = np.atleast_1d(np.asarray(size))
    whole = values.dtype.kind == "i" and values.size in (1, 2)
    return (int(values[0]), int(values[-1])) if whole and node.inputs and len(node.outputs) == 1 else None


def _constant(tensor: gs.Tensor) -> np.ndarray | None:
    import onnx_graphsurgeon as gs

    if isinstance(tensor, gs.Constant):
        return np.asarray(tensor.values)
    producer = tensor.inputs[0] if tensor.inputs else None
    if producer is not None and producer.op == "Constant":
        value = producer.attrs.get("value", producer.attrs.get("value_ints"))
        return np.asarray(getattr(value, "values", value))
    return None


def expand_adaptive_pooling(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return `model`, or a copy in which every adaptive average pooling is written out in ONNX operators.

    Raises
    ------
    ModelError
        A pooling's input height or width is not known, or the type of an output.
    """
    import onnx_graphsurgeon as gs
    from onnx_graphsurgeon.logger import G_LOGGER

    if not any(node.op_type in (ADAPTIVE_POOL, "ATen") for node in model.graph.node):
        return model
    G_LOGGER.severity = G_LOGGER.CRITICAL + 1  # it prints to stdout, which belongs to the result
    graph = gs.import_onnx(infer_shapes(model))
    for node in list(graph.nodes):
        size = pooled_size(node)
        if size is not None and min(size) > 0:
            _expand(graph, node, size)
    for output in graph.outputs:
        if output.dtype is None:  # behind a pooling to no size
            raise ModelError(f"the type of the output {output.name!r} is not known", cure="export the model again")
    graph.cleanup().toposort(recurse_functions=False, mode="nodes")  # which never ends for functions beside bodies
    expanded: onnx.ModelProto = gs.export_onnx(graph)
    expanded.ir_version = model.ir_version
    return expanded


def _expand(graph: gs.Graph, node: gs.Node, size: tuple[int, int]) -> None:
    """Replace `node` by one Slice and GlobalAveragePool per window, joined by Concat along W and then H."""
    source, result = node.inputs[0], node.outputs[0]
    height, width = source.shape[2:] if source.shape and len(source.shape) == 4 else (None, None)
    if not isinstance(height, int) or not isinstance(width, int):
        raise ModelError(
            "the height and width of its input are not known",
            where=node.name,
            cure=f"run {static_shape({tensor.name: tensor.shape for tensor in graph.inputs}) or 'simplify'} first",
        )
    if math.prod(size) > _MOST_WINDOWS:
        raise ModelError(
            f"the pooling to {size[0]} x {size[1]} has more than {_MOST_WINDOWS} windows, too many to write them out",
            where=node.name,
            cure="lower it with the pass adaptive-avgpool",
        )
    rows = []
    for row, (top, bottom) in enumerate(windows(height, size[0])):
        means = []
        for column, (left, right) in enumerate(windows(width, size[1])):
            part = _slice(graph, source, (top, left), (bottom, right), f"{node.name}_{row}_{column}")
            means.append(_emit(graph, "GlobalAveragePool", [part], f"{part.name}_mean"))
        rows.append(_emit(graph, "Concat", means, f"{node.name}_row_{row}", axis=3))
    node.outputs.clear()
    _emit(graph, "Concat", rows, f"{node.name}_rows", axis=2, output=result)


def _slice(
    graph: gs.Graph, source: gs.Tensor, starts: tuple[int, int], ends: tuple[int, int], name: str
) -> gs.Variable:
    import onnx_graphsurgeon as gs

    if graph.opset < 10:
        return _emit(graph, "Slice", [source], name, starts=list(starts), ends=list(ends), axes=[2, 3])
    parts = {"starts": starts, "ends": ends, "axes": (2, 3)}
    constants = [gs.Constant(f"{name}_{key}", np.array(value, dtype=np.int64)) for key, value in parts.items()]
    return _emit(graph, "Slice", [source, *constants], name)


def _emit(
    graph: gs.Graph, op: str, inputs: list[gs.Tensor], name: str, *, output: gs.Variable | None = None, **attrs: object
) -> gs.Variable:
    import onnx_graphsurgeon as gs

    output = output if output is not None else gs.Variable(f"{name}_out")
    graph.nodes.append(gs.Node(op, name=name, inputs=inputs, outputs=[output], attrs=attrs))
    return output


def explain_adaptive_pooling(file: Path, engine: str) -> str | None:
    """Name the node of an ONNX file that `engine` does not support, and the cure; None if there is no such node.

    Raises ModelError if `file` is no model.
    """
    from fastscnn_opt.model.loading import load_model

    for node in load_model(file).graph.node:
        if node.op_type == ADAPTIVE_POOL:
            named = node.name or node.output[0]
            return (
                f"node {named!r} is an {ADAPTIVE_POOL}, which {engine} does not have; "
                "lower it with `--passes adaptive-avgpool`"
            )
    return None
