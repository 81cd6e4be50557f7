"""Single messages that say what a pass made: nodes, their attributes, types and tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from fastscnn_opt.errors import PassError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx_graphsurgeon as gs


def copy_tensors(tensors: Iterable[onnx.TensorProto], target: onnx.GraphProto) -> None:
    """Append `tensors` to the initializers of `target`; `extend` would copy large ones ten times as slowly."""
    for tensor in tensors:
        target.initializer.add().CopyFrom(tensor)


def named(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    """Return `tensor`, or a copy of it that is called `name`."""
    if tensor.name == name:
        return tensor
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    copy.name = name
    return copy


def write_ends(target: onnx.NodeProto, node: gs.Node) -> None:
    """Write operator, name, inputs and outputs."""
    if (target.op_type, target.domain) != (node.op, node.domain or ""):
        target.op_type, target.domain, target.overload = node.op, node.domain or "", ""
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
    try:
        _append_attribute(name, value, target)
    except (TypeError, ValueError) as error:
        raise PassError(
            f"the attribute {name!r} of the node {target.name!r} cannot be {value!r}",
            cure="it takes numbers, texts, lists of these that are not empty, types, tensors and graphs",
        ) from error


def _append_attribute(name: str, value: Any, target: onnx.NodeProto) -> None:
    if isinstance(value, onnx.AttributeProto):
        target.attribute.append(value)
        return
    if isinstance(value, type):
        value = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(value))
    if type(value) is int:  # by far the most, and `make_attribute` takes long
        target.attribute.add(name=name, type=onnx.AttributeProto.INT, i=value)
    elif type(value) is list and value and all(type(one) is int for one in value):
        target.attribute.add(name=name, type=onnx.AttributeProto.INTS, ints=value)
    else:
        target.attribute.append(onnx.helper.make_attribute(name, value))


def new_type(tensor: gs.Tensor, *, optional: bool) -> onnx.ValueInfoProto:
    """Return the declaration of a graph input or output; `optional` allows it to have no type, as in control flow."""
    if tensor.dtype is None and not optional:
        raise PassError(f"the graph input or output {tensor.name!r} has no type")
    info: onnx.ValueInfoProto = OnnxExporter.export_value_info_proto(tensor, do_type_check=False)
    return info
