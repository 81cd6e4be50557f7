"""Find the nodes of a graph that can compute in int8: the layers, and the nodes between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.model.interface import ONNX_DOMAINS

from .._graph import constant_value, parameters_of, why_not_constant

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable

    import onnx_graphsurgeon as gs

LAYERS = ("Conv", "Gemm")
"""Operators with weights that onnxruntime computes in int8."""

FOLLOWERS = (
    "Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "LeakyRelu", "MaxPool", "Mul", "Relu",
    "Reshape", "Resize", "Sigmoid", "Squeeze", "Unsqueeze",
)  # fmt: skip
"""Operators without weights that stay in int8 between two layers that do."""

ACTIVATIONS = ("Relu", "Clip")
"""Operators that the clipping of the layer before them replaces."""

QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul")
"""Operators of a graph that is quantised already."""


@dataclass(frozen=True)
class NetworkBody:
    """The nodes of a graph that can compute in int8, and the reasons why others cannot.

    Attributes
    ----------
    layers
        The nodes with weights that can compute in int8, in the order of the graph.
    others
        By name, the reason why each of the other nodes of the same operators cannot compute in int8, nor a Clip that a
        range cannot replace.
    between
        Nodes without weights that compute in int8 when their neighbours do.
    inside
        Names of all nodes up to the last layers. All other nodes form the tail, such as the Resize of the logits and
        an ArgMax.
    """

    layers: list[gs.Node]
    others: dict[str, str]
    between: list[gs.Node]
    inside: frozenset[str]

    @property
    def made(self) -> list[gs.Tensor]:
        """The tensors that the layers and the nodes between them make."""
        return [tensor for node in (*self.layers, *self.between) for tensor in node.outputs if not tensor.is_empty()]

    def nodes(self, layers: Collection[str], endless: Collection[str] = ()) -> list[str]:
        """Return the names of the nodes that compute in int8 if the layers called `layers` do.

        A node without weights computes in int8 if all its inputs come from nodes in int8. So the nodes around a layer
        in float stay in float, too, and those that read or make a tensor named in `endless`, which has no range.
        """
        chosen = [layer for layer in self.layers if layer.name in layers]
        made = {id(tensor) for layer in chosen for tensor in layer.outputs}
        names = [layer.name for layer in chosen]
        for node in self.between:
            ends = {tensor.name for tensor in (*node.inputs, *node.outputs)}
            if all(id(tensor) in made for tensor in _data_inputs(node)) and ends.isdisjoint(endless):
                made.update(id(tensor) for tensor in node.outputs)
                names.append(node.name)
        return names

    @property
    def ends(self) -> list[str]:
        """Names of the tensors at which the body ends: its nodes make them, and none of its nodes reads them."""
        last = {id(tensor): tensor.name for node in (*self.layers, *self.between) for tensor in node.outputs}
        for node in (*self.layers, *self.between):
            for tensor in node.inputs:
                last.pop(id(tensor), None)
        return list(last.values())


def find_body(graph: gs.Graph) -> NetworkBody:
    """Find the layers of `graph`, which must be in topological order, and the nodes between them."""
    candidates = [node for node in graph.nodes if node.op in LAYERS and node.domain in ONNX_DOMAINS]
    others = {node.name: reason for node in candidates if (reason := _reason(node, graph.defaults))}
    layers = [node for node in candidates if node.name not in others]
    leading = _leading_to(layers)
    behind = {id(tensor) for layer in layers for tensor in layer.outputs}
    between = [
        node
        for node in graph.nodes
        if node.op in FOLLOWERS
        and node.domain in ONNX_DOMAINS
        and (id(node) in leading or (node.op in ACTIVATIONS and any(id(tensor) in behind for tensor in node.inputs)))
    ]
    limited = {node.name: reason for node in between if node.op == "Clip" and (reason := _reason_of_clip(node))}
    between = [node for node in between if node.name not in limited]
    others |= limited
    inside = leading | {id(node) for node in (*layers, *between)}
    return NetworkBody(layers, others, between, frozenset(node.name for node in graph.nodes if id(node) in inside))


def _reason(node: gs.Node, defaults: Container[str]) -> str:
    """Return why a node is not a layer; the empty text if it is one."""
    for tensor, what in zip(parameters_of(node), ("weights are", "bias is"), strict=False):
        value = constant_value(tensor)
        if value is None and tensor.name in defaults:
            return why_not_constant(tensor, defaults)
        if value is None:
            return f"its {what} computed in the graph, so it stays in float"
        if value.dtype != np.float32:
            return f"its {what} {value.dtype}, and only float32 is quantised"
        if node.op == "Gemm" and what == "bias is" and value.ndim == 2 and value.shape[0] > 1:
            return "its bias differs from row to row, so it stays in float"
    return ""


def _reason_of_clip(node: gs.Node) -> str:
    """Return why the range of a tensor, which always holds 0, cannot replace a Clip; the empty text if it can."""
    if any(not tensor.is_empty() and constant_value(tensor) is None for tensor in node.inputs[1:]):
        return "its limits are computed in the graph, so it stays in float"
    low, high = limits_of(node)
    return "" if low <= 0 <= high and low < high else "its limits leave no range around 0, so it stays in float"


def limits_of(clip: gs.Node) -> tuple[float, float]:
    """Return the smallest and the largest value that a Clip with constant limits makes."""
    limits = [-np.inf, np.inf]
    for index, tensor in enumerate(clip.inputs[1:]):
        if not tensor.is_empty():
            limits[index] = np.asarray(constant_value(tensor)).item()
    return limits[0], limits[1]


def _leading_to(layers: Iterable[gs.Node]) -> set[int]:
    """Return the ids of all nodes from which a layer can be reached."""
    found: set[int] = set()
    pending = [producer for layer in layers for tensor in layer.inputs for producer in tensor.inputs]
    while pending:
        node = pending.pop()
        if id(node) not in found:
            found.add(id(node))
            pending.extend(producer for tensor in node.inputs for producer in tensor.inputs)
    return found


def _data_inputs(node: gs.Node) -> list[gs.Tensor]:
    """Return the inputs that hold activations: not the constants, sizes or scales."""
    given = node.inputs if node.op in ("Add", "Concat", "Mul") else node.inputs[:1]
    return [tensor for tensor in given if not tensor.is_empty()]
