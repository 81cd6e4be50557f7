"""Writes single messages for new parts of a graph: nodes, their attributes, and types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.documentation import document_value
from fastscnn_opt.model.interface import plain_operator

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs


def write_signature(node: gs.Node, target: onnx.NodeProto) -> None:
    """Write operator, name, inputs and outputs of `node`."""
    operator = plain_operator(node.op, node.domain)
    if (target.op_type, target.domain) != (operator, node.domain or ""):
        target.op_type, target.domain, target.overload = operator, node.domain or "", ""
    target.name = node.name
    target.input[:] = [tensor.name for tensor in node.inputs]
    target.output[:] = [tensor.name for tensor in node.outputs]


def write_attribute(name: str, value: Any, target: onnx.NodeProto) -> None:
    """Append an attribute to a node: a number, a text, a list of these, a type, or a message as it is.

    Raises
    ------
    PassError
        ONNX has no such values.
    """
    if isinstance(value, onnx.AttributeProto):
        target.attribute.append(value)
        return
    try:
        if isinstance(value, type):
            value = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value))
        target.attribute.append(onnx.helper.make_attribute(name, value))
    except (TypeError, ValueError) as error:
        raise PassError(
            f"the attribute {name!r} of the node {target.name!r} cannot be {value!r}",
            cure="it takes numbers, texts, lists of these that are not empty, types, tensors and graphs",
        ) from error


def new_type(tensor: gs.Tensor, before: onnx.ValueInfoProto | None, *, optional: bool) -> onnx.ValueInfoProto:
    """Return the declaration of a graph input or output, with the documentation and denotation of that `before`.

    `optional` allows it to have no type, as in control flow.
    """
    if tensor.dtype is None and not optional:
        raise PassError(f"the graph input or output {tensor.name!r} has no type")
    info: onnx.ValueInfoProto = OnnxExporter.export_value_info_proto(tensor, do_type_check=False)
    if before is not None:
        document_value(before, info)
    return info
