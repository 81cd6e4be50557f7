"""Infer the shapes of inner tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.model.skeleton import Outline, has_subgraphs

if TYPE_CHECKING:
    import onnx


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` with fresh shapes of all inner tensors, through ``AdaptiveAvgPool2d`` too.

    Shapes that the file carried are dropped first, but for those behind operators that ONNX does not define: after a
    rewrite they may no longer be true.
    """
    import onnx

    inferred = onnx.ModelProto()
    inferred.CopyFrom(model)
    enter_types(inferred, Outline(model, "the model").infer())
    return inferred


def enter_types(model: onnx.ModelProto, inferred: onnx.GraphProto) -> None:
    """Give `model` the types that the inference on its outline found, inside control flow too."""
    graph = model.graph
    for field in ("value_info", "output"):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(getattr(inferred, field))
    bodies = {node.output[0]: node for node in inferred.node if has_subgraphs(node)}
    for node in graph.node if bodies else ():
        if node.output and node.output[0] in bodies and has_subgraphs(node):
            node.CopyFrom(bodies[node.output[0]])
