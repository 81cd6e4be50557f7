"""The pass `fast-argmax`: a label map is interpolated only where the label is not certain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastscnn_opt.measuring.label_map import MOST_CLASSES
from fastscnn_opt.measuring.layout import Layout
from fastscnn_opt.model.element_types import element_type
from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.model.resize import source_coordinates
from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Pass, Runner, Skip, Step, Tensor
from fastscnn_opt.rewriting.graph.nodes import Readers

from ._emitter import Emitter
from ._fast_argmax.cells import Grid
from ._fast_argmax.sampling import group_by_cell
from ._fast_argmax.tail import write_tail
from ._graph import constant_value, scales_of, type_name, what_fixes
from ._labels import labels_of_outputs, take_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs

_FIRST_OPSET = 11
"""Resize has coordinate transformations from this opset on."""

_CLASS_AXIS = Layout.NCHW.class_axis

_RANK = 4

_TRANSFORMATIONS = ("align_corners", "half_pixel", "pytorch_half_pixel", "asymmetric")
"""The coordinate transformations that this pass takes."""


@dataclass(frozen=True)
class FastArgmax(Pass):
    """Compute the same label map, but interpolate only where the label is not certain.

    1. The pass matches an ArgMax over the classes (the second axis) of the result of a linear Resize, such as
       `argmax-output` leaves. With ``labels=true`` it first turns every output of logits into a label map, as
       `argmax-output` does.
    2. Bilinear interpolation mixes the logits at the four corners of a cell in shares that add up to one. Where the
       corners agree on the best class, all pixels between them have that class. Where only two classes can win, only
       their difference is interpolated. All classes are interpolated only in the few cells that are left. The labels
       are those of the full interpolation, except where the two best logits tie within rounding.
    3. Any size ratio and batch is possible, with the coordinate transformations align_corners, half_pixel,
       pytorch_half_pixel and asymmetric. Sizes must be static.
    4. In an image with very many uncertain cells, interpolating everything is faster. So a branch of the graph keeps
       the nodes that were there, and the graph takes that branch for such an image.
    5. The new nodes include NonZero, whose shape depends on the data. CPUs run that well. Compilers that need static
       shapes throughout, such as atc, do not take it.
    6. Any other ArgMax is left alone and reported with the reason.
    """

    name: ClassVar[str] = "fast-argmax"
    contract: ClassVar[Contract] = Contract.EXACT
    operators: ClassVar[tuple[str, ...]] = ("ArgMax",)

    labels: bool = False

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Replace every ArgMax behind a linear Resize.

        Raises
        ------
        PassError
            With ``labels=true``, what `argmax-output` raises.
        """
        if self.labels:
            yield from take_labels(graph)
        else:
            for output in graph.outputs:
                if output.inputs and output.inputs[0].op == "Resize":
                    yield Skip(output, "holds logits, not labels; labels=true, or argmax-output before, takes labels")
        for node in list(graph.nodes):
            if node.op == "ArgMax" and node.domain in ONNX_DOMAINS:
                problem = _mismatch(graph, node)
                yield Skip(node, problem) if problem else _replace(graph, node)

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs before the pass, logits as labels if ``labels=true``."""
        return labels_of_outputs(before, feeds) if self.labels else before(feeds)


def _mismatch(graph: gs.Graph, node: gs.Node) -> str:
    """Say why `node` is not the ArgMax of a linear Resize that can be replaced; the empty text if it is."""
    if node.attrs.get("axis", 0) not in (_CLASS_AXIS, _CLASS_AXIS - _RANK):
        return f"is over axis {node.attrs.get('axis', 0)}, not over the classes"
    if node.attrs.get("select_last_index", 0):
        return "takes the last of equal logits, not the first"
    resize = node.inputs[0].inputs[0] if node.inputs[0].inputs else None
    if resize is not None and resize.op in ("Resize", "Upsample") and graph.opset < _FIRST_OPSET:
        return (
            f"{resize.op} {resize.name} is of opset {graph.opset}, and only opset {_FIRST_OPSET} says where it samples"
        )
    if resize is None or resize.op != "Resize":
        return "its input is not made by a Resize" + ("" if resize is None else f" but by {resize.op} {resize.name}")
    others = [f"node {other.name}" for other in Readers(graph).of(node.inputs[0]) if other is not node]
    others += ["a graph output" for output in graph.outputs if output is node.inputs[0]]
    if others:
        return f"its input is needed in full by {others[0]}, too"
    return _resize_mismatch(resize)


def _resize_mismatch(resize: gs.Node) -> str:
    attributes = resize.attrs
    transformation = attributes.get("coordinate_transformation_mode", "half_pixel")
    if attributes.get("mode", "nearest") != "linear":
        return f"{resize.name} is {attributes.get('mode', 'nearest')}, not linear"
    if transformation not in _TRANSFORMATIONS:
        return f"{resize.name} has the coordinate transformation {transformation}"
    if attributes.get("antialias", 0):
        return f"{resize.name} has antialias set"
    if attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        return f"{resize.name} keeps the aspect ratio"
    return _shape_mismatch(resize.inputs[0], resize.outputs[0]) or (
        "" if _scales(resize) else f"the scales of {resize.name} are not constant"
    )


def _shape_mismatch(before: gs.Tensor, after: gs.Tensor) -> str:
    if before.dtype not in (np.float16, np.float32):
        return f"its logits are {type_name(before)}, not float32 or float16"
    for tensor in (before, after):
        if tensor.shape is None or not all(isinstance(size, int) for size in tensor.shape):
            return f"its shapes are not fixed; run {what_fixes(after)} first"
    if len(before.shape) != _RANK or list(before.shape[:2]) != list(after.shape[:2]):
        return "what is resized is not height and width alone"
    if before.shape[_CLASS_AXIS] > MOST_CLASSES:
        return f"{before.shape[_CLASS_AXIS]} classes are more than the {MOST_CLASSES} that uint16 can number"
    return "its logits have no elements" if 0 in (*before.shape, *after.shape) else ""


def _scales(resize: gs.Node) -> tuple[float, float] | None:
    """Return how many times the height and the width grow, as the node gives it; None if that is not constant."""
    before, after = resize.inputs[0].shape, resize.outputs[0].shape
    given = scales_of(resize)
    if given is not None:
        values = constant_value(given)
        if values is None:
            return None
        if values.size:
            axes = resize.attrs.get("axes", range(_RANK))
            by_axis = {axis % _RANK: float(value) for axis, value in zip(axes, values, strict=True)}
            return by_axis.get(2, 1.0), by_axis.get(3, 1.0)
    return after[2] / before[2], after[3] / before[3]


def _replace(graph: gs.Graph, node: gs.Node) -> Change:
    resize = node.inputs[0].inputs[0]
    emit = Emitter.under(graph, f"{node.name}_fast")
    logits = resize.inputs[0]
    if logits.dtype != np.float32:
        logits = emit.cast(logits, np.float32)
    if any(other.op == "DequantizeLinear" for other in graph.nodes):
        # onnxruntime 1.32 moves a DequantizeLinear across nodes that only move values or do nothing. Where it reaches a
        # branch of an If, an assertion of its QDQPropagationTransformer fails. It does not cross a Clip.
        limits = np.finfo(np.float32)
        logits = emit.node("Clip", logits, *(emit.constant(limit, np.float32) for limit in (limits.min, limits.max)))
    grid = _grid(resize)
    height, width = resize.outputs[0].shape[2:]
    labels = write_tail(emit, logits, grid, resize, (height, width))
    if node.attrs.get("keepdims", 1):
        labels = emit.node("Reshape", labels, emit.constant([grid.images, 1, height, width], np.int64))
    _replace_output(emit, node, labels)
    return Change(node, f"interpolates {grid.classes} classes to {height} x {width} only in uncertain cells")


def _replace_output(emit: Emitter, node: gs.Node, labels: gs.Variable) -> None:
    """Put `labels` in the place of the int64 output of `node`, or of a Cast that is its only reader."""
    result, kind = node.outputs[0], element_type(np.int64)
    readers = Readers(emit.graph).of(result)
    if len(readers) == 1 and readers[0].op == "Cast" and not any(output is result for output in emit.graph.outputs):
        node = readers[0]
        result, kind = node.outputs[0], node.attrs["to"]
    node.outputs.clear()
    if kind == element_type(labels.dtype):
        labels.inputs[0].outputs = [result]
    else:
        emit.node("Cast", labels, to=kind, output=result)


def _grid(resize: gs.Node) -> Grid:
    images, classes, *low = resize.inputs[0].shape
    scales = _scales(resize) or (1.0, 1.0)
    transformation = resize.attrs.get("coordinate_transformation_mode", "half_pixel")
    rows, columns = (
        group_by_cell(source_coordinates(transformation, before, after, scale), before)
        for before, after, scale in zip(low, resize.outputs[0].shape[2:], scales, strict=True)
    )
    return Grid(images, classes, low[0], low[1], rows, columns)
