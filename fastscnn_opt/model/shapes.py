"""Infers the types and shapes of inner tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.model.skeleton import Skeleton, graphs_of, with_subgraphs

if TYPE_CHECKING:
    import onnx


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` with fresh shapes of all inner tensors, through ``AdaptiveAvgPool2d`` too.

    Shapes in the file are dropped first, because they may be wrong after a rewrite. Only those behind operators that
    ONNX does not define are kept.
    """
    import onnx

    inferred = onnx.ModelProto()
    inferred.CopyFrom(model)
    enter_types(inferred, Skeleton(model, "the model").infer())
    return inferred


def enter_types(model: onnx.ModelProto, inferred: onnx.GraphProto) -> None:
    """Give `model` the types that inference on its skeleton found, also inside control flow."""
    _replace_types(model.graph, inferred)
    typed = {node.output[0]: node for node in with_subgraphs(inferred.node)}
    for node in with_subgraphs(model.graph.node) if typed else ():
        if node.output and node.output[0] in typed:
            _enter_inner_types(node, typed[node.output[0]])


def _enter_inner_types(node: onnx.NodeProto, inferred: onnx.NodeProto) -> None:
    pairs = zip(node.attribute, inferred.attribute, strict=True)
    for attribute, other in pairs:
        for body, typed in zip(graphs_of(attribute), graphs_of(other), strict=True):
            _replace_types(body, typed)
            for inner, known in zip(body.node, typed.node, strict=True):
                _enter_inner_types(inner, known)


def _replace_types(graph: onnx.GraphProto, inferred: onnx.GraphProto) -> None:
    for field in ("value_info", "output"):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(getattr(inferred, field))
