"""Infer shapes node by node, with the values of shape arithmetic that inference over a whole graph loses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.model.element_types import element_type
from fastscnn_opt.model.open_sizes import disputed_axes

from .values import Symbol, Values, constant_entries, evaluate, shape_entries

if TYPE_CHECKING:
    import onnx
    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray


def complete_shapes(node: gs.Node, opset: int, values: list[Values | None], batch: int) -> str:
    """Fill in the unknown shapes of the node's outputs at the batch size `batch`, where they can be inferred.

    `values` are the entries of the node's inputs. Return why inference refuses the node, "" if it does not.
    """
    import onnx
    from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

    named = [(tensor, entries) for tensor, entries in zip(node.inputs, values, strict=True) if tensor.name]
    if all(_is_known(tensor) for tensor in node.outputs) or any(tensor.dtype is None for tensor, _ in named):
        return ""
    types = {tensor.name: _type(tensor) for tensor, _ in named}
    data = {tensor.name: made for tensor, entries in named if (made := _data(tensor, entries, batch)) is not None}
    try:
        schema = onnx.defs.get_schema(node.op, opset, node.domain or "")
        proto = OnnxExporter.export_node(node)
        inferred = onnx.shape_inference.infer_node_outputs(schema, proto, types, data)
    except (onnx.defs.SchemaError, onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        return str(error).strip().split("\n", 1)[0]
    for tensor in node.outputs:
        if tensor.name in inferred and inferred[tensor.name].tensor_type.HasField("shape"):
            found = inferred[tensor.name].tensor_type
            shape = [dim.dim_value if dim.HasField("dim_value") else None for dim in found.shape.dim]
            for axis in disputed_axes(proto, node.inputs[0].shape, shape, lambda name: _array(data.get(name))):
                shape[axis] = None
            tensor.shape = shape
            tensor.dtype = onnx.helper.tensor_dtype_to_np_dtype(found.elem_type)
    return ""


def complete_graph(graph: gs.Graph) -> dict[str, Values]:
    """Fill in the unknown shapes of a sorted graph, where they can be inferred; return the entries of shape arithmetic.

    An entry that is not known before the graph runs is a symbol.
    """
    known: dict[str, Values] = {}
    for node in graph.nodes:
        values = [known.get(tensor.name, constant_entries(tensor)) for tensor in node.inputs]
        complete_shapes(node, graph.opset, values, 0)
        enter_values(known, node, values)
    return known


def enter_values(known: dict[str, Values], node: gs.Node, inputs: list[Values | None]) -> None:
    """Enter the entries of the output of `node` into `known`, those of its `inputs` given."""
    if node.op == "Shape" and node.inputs[0].shape is not None:
        entries = shape_entries(list(node.inputs[0].shape), None)
        known[node.outputs[0].name] = entries[node.attrs.get("start", 0) : node.attrs.get("end")]
    elif (result := evaluate(node, inputs)) is not None:
        known[node.outputs[0].name] = result


def _is_known(tensor: gs.Tensor) -> bool:
    return not tensor.name or (tensor.shape is not None and all(isinstance(size, int) for size in tensor.shape))


def _type(tensor: gs.Tensor) -> onnx.TypeProto:
    import onnx

    shape = None if tensor.shape is None else list(tensor.shape)
    return onnx.helper.make_tensor_type_proto(element_type(tensor.dtype), shape)


def _array(data: onnx.TensorProto | None) -> NDArray[Any] | None:
    import onnx

    return None if data is None else np.asarray(onnx.numpy_helper.to_array(data))


def _data(tensor: gs.Tensor, entries: Values | None, batch: int) -> onnx.TensorProto | None:
    import onnx

    if entries is None:
        return None
    plain = [batch if entry is Symbol.BATCH else entry for entry in entries.ravel().tolist()]
    if any(isinstance(entry, Symbol) for entry in plain):
        return None
    dtype = onnx.helper.tensor_dtype_to_np_dtype(element_type(tensor.dtype))
    return onnx.numpy_helper.from_array(np.array(plain, dtype=dtype).reshape(entries.shape), tensor.name)
