"""Follow the batch axis from the graph inputs through every node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.model.interface import ONNX_DOMAINS

from .._graph import has_constant_condition
from .flow import BATCH, SIMPLIFY, WRITTEN_OUT, BatchFlow
from .inference import complete_shapes
from .rules import CREATORS, RULES, SHAPED
from .values import Symbol, Values, depends_on_batch, evaluate, shape_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_graphsurgeon as gs


def follow_batch(graph: gs.Graph, inputs: Sequence[gs.Tensor], old: int | None, new: int) -> BatchFlow:
    """Follow the batch from `inputs`, whose first axis it is, through `graph`, and change the constants that fix it.

    Parameters
    ----------
    graph
        Topologically sorted, with the shapes of its inner tensors.
    inputs
        The graph inputs that carry the batch.
    old, new
        Batch sizes before and after. An open batch, which is None, is followed as that of one image.

    Raises
    ------
    PassError
        A node mixes the batch with something else, or is not understood.
    """
    if old is None:
        for tensor in inputs:
            tensor.shape = [1, *tensor.shape[1:]]
    flow = BatchFlow(graph, old, new)
    flow.axes.update((tensor.name, 0) for tensor in inputs)
    for node in list(graph.nodes):
        _visit(flow, node)
    flow.name_copies()
    return flow


def _visit(flow: BatchFlow, node: gs.Node) -> None:
    values = [flow.values(tensor) for tensor in node.inputs]
    complete_shapes(node, flow.graph.opset, values, flow.old)
    if any(True for _ in node.subgraphs()):
        if _reads_batch(flow, node):
            cure = SIMPLIFY if has_constant_condition(node) else BATCH
            flow.refuse(node, "the batch is not followed into its subgraph", cure)
        return
    if node.op == "Shape":
        flow.set_values(node, _shape_of(flow, node))
    elif any(flow.axis(tensor) is not None for tensor in _data_of(node)):
        flow.set_axis(node, _axis_behind(flow, node, values))
    elif (result := evaluate(node, values)) is not None:
        flow.set_values(node, result)
    elif any(map(depends_on_batch, values)):
        if node.op not in CREATORS:
            flow.refuse(node, "computes with the batch size in a way that is not followed", cure=SIMPLIFY)
        flow.set_axis(node, CREATORS[node.op](flow, node))


def _reads_batch(flow: BatchFlow, node: gs.Node) -> bool:
    """Tell whether a node reads the batch, or its size, itself or in a graph inside it."""
    graphs = list(node.subgraphs(recursive=True))
    inner = [tensor for graph in graphs for one in graph.nodes for tensor in one.inputs]
    tensors = [*node.inputs, *inner, *(tensor for graph in graphs for tensor in graph.outputs)]
    return any(flow.axis(tensor) is not None or depends_on_batch(flow.values(tensor)) for tensor in tensors)


def _data_of(node: gs.Node) -> list[gs.Tensor]:
    """Return the inputs of which `node` reads more than the type."""
    return list(node.inputs[:1] if node.op == "CastLike" else node.inputs)


def _axis_behind(flow: BatchFlow, node: gs.Node, values: list[Values | None]) -> int:
    """Return the axis of the batch behind a node that reads it in its data."""
    if node.op not in RULES or (node.domain not in ONNX_DOMAINS and node.op not in ("AdaptiveAvgPool2d", "ATen")):
        cure = WRITTEN_OUT if node.op == "GatherND" else BATCH
        flow.refuse(node, "what this operator does with the batch is not known", cure)
    if node.op not in SHAPED and any(map(depends_on_batch, values)):
        flow.refuse(node, "computes with the batch size, so its result for one image depends on the others")
    return RULES[node.op](flow, node)


def _shape_of(flow: BatchFlow, node: gs.Node) -> Values:
    tensor = node.inputs[0]
    entries = shape_entries(flow.shape(tensor, node), flow.axis(tensor))
    if flow.times(tensor) > 1:
        entries[flow.axis(tensor)] = Symbol.MIXED
    return entries[node.attrs.get("start", 0) : node.attrs.get("end")]
