"""Infer shapes node by node, with the values of shape arithmetic that inference over a whole graph loses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.element_types import element_type
from fastscnn_opt.model.interface import is_named
from fastscnn_opt.model.open_sizes import disputed_axes
from fastscnn_opt.rewriting.contract import Change

from .values import Symbol, Values, constant_entries, evaluate, shape_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx
    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

LARGEST_SIZE = 2**31 - 1
"""The largest size of a dimension that all runtimes can count."""

Shape: TypeAlias = "list[int | str | None]"


def complete_shapes(node: gs.Node, opset: int, values: list[Values | None], batch: int, *, again: bool = False) -> str:
    """Fill in the unknown shapes of the node's outputs at the batch size `batch`, where they can be inferred.

    A dimension that cannot be inferred stays as it is. `values` are the entries of the node's inputs; `again` infers
    known shapes too. Return why inference refuses the node, "" if it does not.
    """
    import onnx

    named = [(tensor, entries) for tensor, entries in zip(node.inputs, values, strict=True) if tensor.name]
    known = not again and all(not tensor.name or has_fixed_shape(tensor) for tensor in node.outputs)
    if known or any(tensor.dtype is None for tensor, _ in named):
        return ""
    if not onnx.defs.has(node.op, opset, node.domain or ""):
        return ""
    types = {tensor.name: _type(tensor) for tensor, _ in named}
    data = {tensor.name: made for tensor, entries in named if (made := _data(tensor, entries, batch)) is not None}
    try:
        schema = onnx.defs.get_schema(node.op, opset, node.domain or "")
        proto = _message(node, schema)
        inferred = onnx.shape_inference.infer_node_outputs(schema, proto, types, data)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return str(error).strip().split("\n", 1)[0]
    for tensor in node.outputs:
        if tensor.name in inferred and inferred[tensor.name].tensor_type.HasField("shape"):
            found = inferred[tensor.name].tensor_type
            shape = [_size(dim) for dim in found.shape.dim]
            sizes = [size if isinstance(size, int) else None for size in shape]
            source = node.inputs[0].shape if node.inputs else None
            for axis in disputed_axes(proto, source, sizes, lambda name: _array(data.get(name))):
                shape[axis] = None
            tensor.shape = merged_shape(shape, tensor.shape)
            if tensor.dtype is None:
                tensor.dtype = onnx.helper.tensor_dtype_to_np_dtype(found.elem_type)
    return ""


def _message(node: gs.Node, schema: onnx.defs.OpSchema) -> onnx.NodeProto:
    """Return `node` as a message; the `schema` gives the type of an empty list."""
    import onnx
    from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

    empty = [name for name, value in node.attrs.items() if isinstance(value, list) and not value]
    inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (node.inputs, node.outputs))
    proto = onnx.helper.make_node(node.op, inputs, outputs, node.name, domain=node.domain)
    proto.attribute.extend(OnnxExporter.export_attributes({k: v for k, v in node.attrs.items() if k not in empty}))
    attributes: Any = schema.attributes  # the stubs of onnx do not say that types are numbers
    for name in attributes.keys() & empty:
        proto.attribute.append(onnx.helper.make_attribute(name, [], attr_type=int(attributes[name].type)))
    return proto


def merged_shape(inferred: Shape, declared: Shape | None) -> Shape:
    """Return the shape that was inferred, with what was `declared` where nothing was."""
    if declared is None or len(declared) != len(inferred):
        return inferred
    return [size if isinstance(size, int) else before or size for size, before in zip(inferred, declared, strict=True)]


def complete_graph(graph: gs.Graph, cure: str = "") -> dict[str, Values]:
    """Fill in the unknown shapes of a sorted graph, where they can be inferred; return the entries of shape arithmetic.

    An entry that is not known before the graph runs is a symbol.

    Raises
    ------
    PassError
        With a `cure` only, which has all shapes inferred again: the inputs of a node do not fit together.
    """
    known: dict[str, Values] = {}
    for node in graph.nodes:
        values = [known.get(tensor.name, constant_entries(tensor)) for tensor in node.inputs]
        problem = complete_shapes(node, graph.opset, values, 0, again=bool(cure))
        if cure and (problem or _loses_elements(node)) and not any(True for _ in node.subgraphs()):
            raise PassError(misfit(node, "these sizes", problem), where=f"{node.name} ({node.op})", cure=cure)
        enter_values(known, node, values)
    return known


def fix_inputs(graph: gs.Graph, shapes: Mapping[str, Shape], cure: str) -> Iterator[Change]:
    """Give inputs their `shapes`, all inputs the sizes that the names of dimensions then have, and infer the rest.

    Raises
    ------
    PassError
        A name of a dimension gets two sizes, or the inputs of a node do not fit together, which the `cure` is for.
    """
    named = _sizes_of_names(graph, shapes)
    for tensor in graph.inputs:
        old = tensor.shape
        whole = shapes.get(tensor.name, old)
        if whole is not None:
            tensor.shape = [named.get(size, size) if isinstance(size, str) else size for size in whole]
        if tensor.shape != old:
            yield Change(tensor, f"{times(old)} -> {times(tensor.shape)}")
    before = {output.name: output.shape for output in graph.outputs if output.inputs}
    complete_graph(graph, cure)
    for output in graph.outputs:
        if output.shape != before.get(output.name, output.shape):
            yield Change(output, f"{times(before[output.name])} -> {times(output.shape)}")


def _sizes_of_names(graph: gs.Graph, shapes: Mapping[str, Shape]) -> dict[str, int | str | None]:
    """Return the sizes that the named dimensions of inputs have in their new `shapes`."""
    named: dict[str, int | str | None] = {}
    for tensor in graph.inputs:
        old = tensor.shape or []
        for before, after in zip(old, shapes.get(tensor.name, old), strict=bool(old)):
            if before != after and is_named(before) and named.setdefault(str(before), after) != after:
                raise PassError(
                    f"the dimension {before!r} would be {named[str(before)]} and, in input {tensor.name!r}, {after}",
                    cure="give all dimensions of that name one size",
                )
    return named


def times(shape: Sequence[int | str | None] | None) -> str:
    """Write a shape with ``?`` for sizes that are not known, or for all of it."""
    if shape is None:
        return "?"
    return "x".join("?" if size is None else str(size) for size in shape)


def _loses_elements(node: gs.Node) -> bool:
    """Tell whether the target of a Reshape holds more or fewer elements than its input, which inference lets pass."""
    if node.op != "Reshape" or not all(map(has_fixed_shape, (node.inputs[0], node.outputs[0]))):
        return False
    return bool(math.prod(node.inputs[0].shape) != math.prod(node.outputs[0].shape))


def misfit(node: gs.Node, sizes: str, problem: str) -> str:
    """Say that the inputs of `node` do not fit together at `sizes`, and which constants may be the cause."""
    import onnx_graphsurgeon as gs

    made = [tensor for tensor in node.inputs if isinstance(tensor, gs.Constant) and math.prod(tensor.shape) > 1]
    listed = ", ".join(f"{tensor.name!r} of shape {'x'.join(map(str, tensor.shape))}" for tensor in made)
    why = f"; its constant {listed} may be made for another one" if made else problem and f" ({problem})"
    return f"its inputs do not fit together at {sizes}{why}"


def enter_values(known: dict[str, Values], node: gs.Node, inputs: list[Values | None]) -> None:
    """Enter the entries of the output of `node` into `known`, those of its `inputs` given."""
    if node.op == "Shape" and node.inputs[0].shape is not None:
        entries = shape_entries(list(node.inputs[0].shape), None)
        known[node.outputs[0].name] = entries[node.attrs.get("start", 0) : node.attrs.get("end")]
    elif (result := evaluate(node, inputs)) is not None:
        known[node.outputs[0].name] = result


def has_fixed_shape(tensor: gs.Tensor) -> bool:
    """Tell whether all sizes of `tensor` are known."""
    return tensor.shape is not None and all(isinstance(size, int) for size in tensor.shape)


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    """Return the size of a dimension or its name, None for one that is not known or was inferred as negative."""
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return int(dim.dim_value)
    return dim.dim_param or None


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
