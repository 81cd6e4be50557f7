"""Infers the types and shapes of inner tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.model.documentation import document_value
from fastscnn_opt.model.interface import graphs_of, with_subgraphs
from fastscnn_opt.model.skeleton import Skeleton, subgraphs

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def enter_types(model: onnx.ModelProto, inferred: onnx.GraphProto, documented: onnx.GraphProto | None = None) -> None:
    """Give `model` the types that inference on its skeleton found, also inside control flow.

    An inner tensor keeps the documentation and metadata that `documented`, by default the graph itself, has for it.
    """
    known = _documented_tensors(model.graph if documented is None else documented)
    _replace_types(model.graph, inferred, known)
    typed = {node.output[0]: node for node in with_subgraphs(inferred.node)}
    for node in with_subgraphs(model.graph.node) if typed else ():
        if node.output and node.output[0] in typed:
            _enter_inner_types(node, typed[node.output[0]], known)


def _documented_tensors(graph: onnx.GraphProto) -> dict[str, onnx.ValueInfoProto]:
    """Return what is said of inner tensors, by name: the types with documentation, metadata or a denotation."""
    graphs = [graph, *subgraphs(graph)] if with_subgraphs(graph.node) else [graph]
    infos = (info for each in graphs for info in each.value_info)
    return {info.name: info for info in infos if info.doc_string or info.metadata_props or info.type.denotation}


def _enter_inner_types(
    node: onnx.NodeProto, inferred: onnx.NodeProto, documented: Mapping[str, onnx.ValueInfoProto]
) -> None:
    pairs = zip(node.attribute, inferred.attribute, strict=True)
    for attribute, other in pairs:
        for body, typed in zip(graphs_of(attribute), graphs_of(other), strict=True):
            _replace_types(body, typed, documented)
            for inner, known in zip(body.node, typed.node, strict=True):
                _enter_inner_types(inner, known, documented)


def _replace_types(
    graph: onnx.GraphProto, inferred: onnx.GraphProto, documented: Mapping[str, onnx.ValueInfoProto]
) -> None:
    for field in ("value_info", "output"):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(getattr(inferred, field))
    for info in graph.value_info if documented else ():
        if info.name in documented:
            document_value(documented[info.name], info)
