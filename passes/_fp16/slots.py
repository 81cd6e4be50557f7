"""Find the inputs and outputs of a node that may be float16, by the ONNX schema of its operator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.model.skeleton import ADAPTIVE_POOL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_graphsurgeon as gs
    from onnx.defs import OpSchema

_FLOAT32 = "tensor(float)"
_FLOAT16 = "tensor(float16)"

_TYPED_BY_ATTRIBUTE = ("Cast", "ConstantOfShape")
"""Operators whose attribute chooses the type of the result, and for which the conversion rewrites it."""

_COORDINATES = {("GridSample", 1), ("Resize", 1)}
"""Inputs (operator, index) that may be float16 but hold coordinates, such as the region of interest of Resize."""

_BOUND_TO_FLOAT32 = {
    "MeanVarianceNormalization": "ONNX defines it by nodes that mix float16 with constants of float32",
    "BitCast": "it takes the bits of a value for another type",
    "Unique": "values that rounding makes equal would be one",
    **dict.fromkeys(("AffineGrid", "MaxRoiPool", "RoiAlign"), "float16 is too coarse for its coordinates"),
}
"""Operators that ONNX defines for float16, and why they mean something else there."""


@dataclass(frozen=True)
class Slots:
    """The indices of a node's inputs and outputs that are float32 and may be float16."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def slots_of(node: gs.Node, opset: int) -> Slots | str:
    """Return the slots of `node` at `opset`, or the reason why it has to stay float32.

    An input that the schema fixes at float32, such as the scales of Resize, is no slot. ``AdaptiveAvgPool2d``, which
    ONNX does not define, takes any float type.
    """
    if node.op == ADAPTIVE_POOL:
        return Slots((0,), (0,)) if is_float32(node.inputs[0]) else Slots((), ())
    if (reason := _bound_to_float32(node)) and any(map(is_float32, _tensors(node))):
        return reason
    if node.op in ("Cast", "CastLike") and any(map(_is_text, node.outputs)):
        return "it writes the digits of a number as text"
    schema = _schema(node, opset)
    if schema is None:
        return f"ONNX does not define {node.op} at opset {opset}, so its types are not known"
    inputs = _parameters(node.inputs, schema.inputs)
    outputs = _parameters(node.outputs, schema.outputs)
    free_inputs = {
        index: formal
        for index, formal in inputs.items()
        if formal.type_str != _FLOAT32 and (node.op, index) not in _COORDINATES
    }
    free_outputs = {index: formal for index, formal in outputs.items() if formal.type_str != _FLOAT32}
    for formal in (*free_inputs.values(), *free_outputs.values()):
        if _FLOAT16 not in formal.types:
            return f"ONNX defines {formal.name} of {node.op} without float16 at opset {opset}"
    if (inputs or outputs) and not (free_inputs or free_outputs) and not _is_half_already(node):
        return f"ONNX defines {node.op} for float32 alone at opset {opset}"
    bound = {formal.type_str for formal in schema.inputs}
    if node.op not in _TYPED_BY_ATTRIBUTE and any(formal.type_str not in bound for formal in free_outputs.values()):
        return "an attribute chooses the type of its result"
    return Slots(tuple(free_inputs), tuple(free_outputs))


def _bound_to_float32(node: gs.Node) -> str:
    if node.op.startswith("Scatter") and node.attrs.get("reduction", "none") != "none":
        return "engines do not sum or compare float16 while they scatter"
    return _BOUND_TO_FLOAT32.get(node.op, "") if node.domain in ONNX_DOMAINS else ""


def is_float32(tensor: gs.Tensor) -> bool:
    """Tell whether `tensor` is known to be float32."""
    return _is(tensor, np.float32)


def is_float16(tensor: gs.Tensor) -> bool:
    """Tell whether `tensor` is known to be float16."""
    return _is(tensor, np.float16)


def _is(tensor: gs.Tensor, dtype: type[np.generic]) -> bool:
    known = not tensor.is_empty() and tensor.dtype is not None and not isinstance(tensor.dtype, int)
    return known and np.dtype(tensor.dtype) == dtype


def _is_text(tensor: gs.Tensor) -> bool:
    return tensor.dtype is not None and not isinstance(tensor.dtype, int) and np.dtype(tensor.dtype).kind in "OSU"


def _is_half_already(node: gs.Node) -> bool:
    return any(map(is_float16, _tensors(node)))


def _tensors(node: gs.Node) -> list[gs.Tensor]:
    return [*node.inputs, *node.outputs]


def _schema(node: gs.Node, opset: int) -> OpSchema | None:
    from onnx import defs

    if node.domain not in ONNX_DOMAINS:
        return None
    try:
        return defs.get_schema(node.op, opset, "")
    except defs.SchemaError:
        return None


def _parameters(
    tensors: Sequence[gs.Tensor], formals: Sequence[OpSchema.FormalParameter]
) -> dict[int, OpSchema.FormalParameter]:
    """Return the formal parameter of every float32 tensor by index; the last parameter of a schema may repeat."""
    return {index: formals[min(index, len(formals) - 1)] for index, tensor in enumerate(tensors) if is_float32(tensor)}
