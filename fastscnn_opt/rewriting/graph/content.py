"""Gives passes the model that a graph makes, and takes one back, for libraries that work on ONNX models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.documentation import document, document_value
from fastscnn_opt.model.external_data import is_outside, load_values, stored_bytes
from fastscnn_opt.model.interface import graphs_of
from fastscnn_opt.model.saving import MOST_INLINE_BYTES
from fastscnn_opt.model.shapes import enter_types
from fastscnn_opt.model.skeleton import Skeleton
from fastscnn_opt.rewriting.graph.exporting import export_graph
from fastscnn_opt.rewriting.graph.importing import import_model
from fastscnn_opt.rewriting.graph.inference import Inferred
from fastscnn_opt.rewriting.graph.origins import BodyOrigin

if TYPE_CHECKING:
    import onnx
    import onnx_graphsurgeon as gs


def model_of(graph: gs.Graph) -> onnx.ModelProto:
    """Return the model that `graph` makes as it is now, with inferred types and with weights in files read into it.

    graphsurgeon's own export would lose documentation, metadata, and types and attributes that it does not know.

    Raises
    ------
    PassError
        The weights are larger than the 2 GB that a model of one piece can hold.
    """
    origins = replace(graph.origins, constants=dict(graph.origins.constants))  # the export notes what it writes
    model, _ = export_graph(graph, origins, graph.source)
    if sum(map(stored_bytes, model.graph.initializer)) >= MOST_INLINE_BYTES:
        raise PassError("the weights are larger than the 2 GB that one piece can hold", cure="leave the pass out")
    for tensor in filter(is_outside, model.graph.initializer):
        load_values(tensor)
    enter_types(model, Skeleton(model, "the model").infer())
    return model


def replace_content(graph: gs.Graph, model: onnx.ModelProto) -> None:
    """Make `graph` the graph of `model`; what it was made of does not count any more."""
    other, origins = import_model(model, Inferred(Skeleton(model, "the model").infer()).types)
    for field in (
        "name",
        "doc_string",
        "nodes",
        "inputs",
        "outputs",
        "opset",
        "import_domains",
        "functions",
        "defaults",
    ):
        setattr(graph, field, getattr(other, field))
    for key, origin in origins.constants.items():
        if origin.graph is other:
            origins.constants[key] = origin._replace(graph=graph)
    del origins.bodies[id(other)]
    origins.bodies[id(graph)] = BodyOrigin(graph, model.graph, [], [], [])
    graph.origins = origins


def restore_documentation(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Give every part of `after` that is in `before`, too, the documentation and metadata that it has there.

    Tensors are the same by name, and nodes by operator and results.
    """
    functions = {(each.domain, each.name, each.overload): each for each in before.functions}
    for function in after.functions:
        known = functions.get((function.domain, function.name, function.overload))
        if known is not None:
            function.CopyFrom(known)
    _restore_graph(before.graph, after.graph)


def _restore_graph(before: onnx.GraphProto, after: onnx.GraphProto) -> None:
    document(before, after)
    del after.quantization_annotation[:]
    after.quantization_annotation.extend(before.quantization_annotation)
    for field in ("input", "output"):
        declared = {info.name: info for info in getattr(before, field)}
        for info in getattr(after, field):
            if info.name in declared:
                document_value(declared[info.name], info)
    stored = {tensor.name: tensor for tensor in before.initializer}
    annotated = {entry.value for each in before.quantization_annotation for entry in each.quant_parameter_tensor_names}
    annotated -= {tensor.name for tensor in after.initializer}
    after.initializer.extend(stored[name] for name in sorted(annotated & stored.keys()))
    for tensor in after.initializer:
        if tensor.name in stored:
            document(stored[tensor.name], tensor)
    nodes = {(node.op_type, node.domain, tuple(node.output)): node for node in before.node}
    for node in after.node:
        known = nodes.get((node.op_type, node.domain, tuple(node.output)))
        if known is not None:
            document(known, node)
            for one, other in zip(_bodies(known), _bodies(node), strict=False):
                _restore_graph(one, other)


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs inside a node, in the order of the names of their attributes."""
    return [body for attribute in sorted(node.attribute, key=lambda one: one.name) for body in graphs_of(attribute)]
