"""Follow height and width from the image through every node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.model.adaptive_pooling import pooled_size
from fastscnn_opt.model.interface import ONNX_DOMAINS

from .._batch.flow import WRITTEN_OUT
from .._batch.inference import complete_shapes, has_fixed_shape, misfit
from .._graph import has_constant_condition
from .dimensions import Dim
from .flow import EXPORT, SIMPLIFY, NotYetError, SizeFlow, start_dims
from .rules import ADAPT, TRACK

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import onnx_graphsurgeon as gs

_BEFORE = "export the model at the new size; if fast-argmax made the node, run input-size before it"


def follow_sizes(
    graph: gs.Graph,
    image: gs.Tensor,
    places: Mapping[int, str],
    sides: Mapping[str, tuple[int, int]],
    whole: Collection[int] = (),
) -> SizeFlow:
    """Follow height and width from `image` through `graph`, and change the constants that fix them.

    Every tensor behind the image gets its new shape.

    Parameters
    ----------
    graph
        With the shapes of its inner tensors, all of them fixed.
    image
        The tensor that gets another size.
    places
        The names of its sides, by axis.
    sides
        Size before and after, by the name of the side.
    whole
        Ids of the Resize nodes whose results keep their size.

    Raises
    ------
    PassError
        A node is not understood, or has a constant that cannot be made for the new size.
    """
    flow = SizeFlow(graph, sides, whole)
    for node in graph.nodes:
        if any(True for _ in node.subgraphs()):
            cure = SIMPLIFY if has_constant_condition(node) else _BEFORE
            flow.refuse(node, "the size is not followed into its subgraph", cure)
    flow.set_dims(image, start_dims([int(size) for size in image.shape], places, sides))
    waiting = [node for node in graph.nodes if not any(tensor is image for tensor in node.outputs)]
    while waiting:
        later = []
        for node in waiting:
            try:
                _visit(flow, node)
            except NotYetError as error:
                later.append((node, str(error)))
        if len(later) == len(waiting):
            flow.refuse(*next((node, why) for node, why in later if why))
        waiting = [node for node, _ in later]
    flow.name_copies()
    return flow


def _visit(flow: SizeFlow, node: gs.Node) -> None:
    if not all(map(flow.is_visited, node.inputs)):
        raise NotYetError
    moved = any(map(flow.is_moved, node.inputs))
    outputs = [tensor for tensor in node.outputs if tensor.name]
    if not moved and not any(map(flow.is_recomputed, node.inputs)):
        flow.pass_by(outputs)
        return
    if moved:
        _adapt(flow, node)
    flow.evaluate(node)
    olds = [flow.old_shape(tensor, node) for tensor in outputs]
    _infer(flow, node)
    for tensor, old in zip(outputs, olds, strict=True):
        dims = TRACK[node.op](flow, node, len(old)) if moved else list(map(Dim.fixed, old))
        if len(dims) != len(tensor.shape) or len(dims) != len(old):
            flow.refuse(node, "its result has an unexpected number of dimensions")
        flow.set_dims(tensor, [dim.resized(*sizes) for dim, *sizes in zip(dims, old, tensor.shape, strict=True)])


def _adapt(flow: SizeFlow, node: gs.Node) -> None:
    """Refuse a node that is not understood, and change its constants."""
    if node.op not in TRACK or (node.domain not in ONNX_DOMAINS and pooled_size(node) is None):
        flow.refuse(
            node,
            "what this operator does with height and width is not known",
            WRITTEN_OUT if node.op == "GatherND" else EXPORT,
        )
    if node.op in ADAPT:
        ADAPT[node.op](flow, node)


def _infer(flow: SizeFlow, node: gs.Node) -> None:
    """Give the outputs of `node` their new shapes."""
    if pooled := pooled_size(node):
        node.outputs[0].shape = [*node.inputs[0].shape[:2], *pooled]
        return
    for tensor in node.outputs:
        tensor.shape = None
    values = [flow.new_values(tensor) for tensor in node.inputs]
    problem = complete_shapes(node, flow.graph.opset, values, 0)
    if problem:
        flow.refuse(node, misfit(node, "the new size", problem))
    if any(tensor.name and not has_fixed_shape(tensor) for tensor in node.outputs):
        flow.refuse(node, "the size of its result at the new size cannot be told")
    if any(tensor.name and 0 in tensor.shape for tensor in node.outputs):
        flow.refuse(node, "its result has no elements at the new size")
