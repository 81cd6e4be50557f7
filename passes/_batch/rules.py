"""What each operator does with the batch axis: one rule per kind of operator.

A rule takes the flow and a node that reads a batched tensor, and returns the axis along which the batch lies in the
node's outputs. It raises `PassError` where the batch would mix with something else. The rules here are of operators
that compute; those of operators that only move or select elements are in `shapes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from fastscnn_opt.model.adaptive_pooling import pooled_size

from .._graph import in_training
from . import shapes
from .shapes import axes_of, only_axis

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from .flow import BatchFlow

Rule: TypeAlias = "Callable[[BatchFlow, gs.Node], int]"


def _per_image(flow: BatchFlow, node: gs.Node) -> int:
    """Operators on images N, C, ... that compute every image on its own."""
    if node.op == "ATen" and pooled_size(node) is None:
        flow.refuse(node, "what this operator does with the batch is not known")
    if only_axis(flow, node) != 0:
        flow.refuse(node, "the batch is not the first axis of its input")
    if in_training(node):
        flow.refuse(node, "in training mode it computes its statistics over the batch")
    if node.op == "MaxPool" and len(node.outputs) > 1 and flow.is_read(node.outputs[1]):
        flow.refuse(node, "its indices count through the whole batch")
    return 0


def _broadcast(flow: BatchFlow, node: gs.Node) -> int:
    """Element by element with broadcasting: all batches must meet, and constants must have size 1 there."""
    sizes = [flow.shape(tensor, node) for tensor in node.inputs]
    rank = max(map(len, sizes))
    axes = {
        axis + rank - len(shape)
        for tensor, shape in zip(node.inputs, sizes, strict=True)
        if (axis := flow.axis(tensor)) is not None
    }
    if len(axes) != 1:
        flow.refuse(node, "the batch lies along different axes of its inputs")
    batch = axes.pop()
    for tensor, shape in zip(node.inputs, sizes, strict=True):
        place = batch - (rank - len(shape))
        if flow.axis(tensor) is None and place >= 0 and shape[place] != 1:
            flow.refuse(node, f"its operand {tensor.name!r} has size {shape[place]} where the batch is")
    return batch


def _reduce(flow: BatchFlow, node: gs.Node) -> int:
    axis = only_axis(flow, node)
    axes = axes_of(flow, node, len(flow.shape(node.inputs[0], node)))
    if not axes and node.attrs.get("noop_with_empty_axes"):
        return axis
    if not axes or axis in axes:
        flow.refuse(node, "reduces over the batch")
    return axis if node.attrs.get("keepdims", 1) else axis - sum(removed < axis for removed in axes)


def _along(default: int) -> Rule:
    """Return the rule of an operator along ``axis`` (`default` if left out), which must not be the batch."""

    def rule(flow: BatchFlow, node: gs.Node) -> int:
        batch = only_axis(flow, node)
        axis = node.attrs.get("axis", default) % len(flow.shape(node.inputs[0], node))
        if axis == batch:
            flow.refuse(node, "works along the batch")
        keeps = node.op not in ("ArgMax", "ArgMin") or node.attrs.get("keepdims", 1)
        return batch if keeps or axis > batch else batch - 1

    return rule


def _from_axis(flow: BatchFlow, node: gs.Node) -> int:
    """Normalisation with weights and old Softmax work on all axes from ``axis`` on, Softmax since opset 13 on one."""
    batch = only_axis(flow, node)
    normalises = node.op in ("LayerNormalization", "RMSNormalization")
    older_softmax = not normalises and flow.graph.opset < 13
    axis = node.attrs.get("axis", 1 if older_softmax else -1) % len(flow.shape(node.inputs[0], node))
    if axis == batch or ((normalises or older_softmax) and axis < batch):
        flow.refuse(node, "works along the batch")
    rank = len(flow.shape(node.inputs[0], node))
    for tensor in node.inputs[1:]:
        shape = flow.shape(tensor, node) if tensor.name else []
        if len(shape) >= rank - batch and shape[batch - rank] != 1:
            flow.refuse(node, f"its operand {tensor.name!r} has size {shape[batch - rank]} where the batch is")
    return batch


def _cast_like(flow: BatchFlow, node: gs.Node) -> int:
    """CastLike reads only the type of its second input."""
    axis = flow.axis(node.inputs[0])
    return axis if axis is not None else only_axis(flow, node)


def _dropout(flow: BatchFlow, node: gs.Node) -> int:
    if in_training(node):
        flow.refuse(node, "in training mode it draws other numbers for another batch")
    return only_axis(flow, node)


def _quantized(flow: BatchFlow, node: gs.Node) -> int:
    """QuantizeLinear and DequantizeLinear have one scale, or one for each place along ``axis``."""
    batch = only_axis(flow, node)
    scales = flow.shape(node.inputs[1], node)
    if len(scales) > 1:
        flow.refuse(node, "scales that are given in blocks are not followed")
    rank = len(flow.shape(node.inputs[0], node))
    if len(scales) == 1 and scales != [1] and node.attrs.get("axis", 1) % rank == batch:
        flow.refuse(node, "has a scale for every image of the batch")
    return batch


def _matmul(flow: BatchFlow, node: gs.Node) -> int:
    """A product of matrices in the last two axes; in front of them the axes are broadcast."""
    sizes = [flow.shape(tensor, node) for tensor in node.inputs]
    if min(map(len, sizes)) < 2:
        flow.refuse(node, "the batch is not followed through products of vectors")
    rank = max(map(len, sizes))
    from_end = [
        None if (axis := flow.axis(tensor)) is None else axis - len(shape)
        for tensor, shape in zip(node.inputs, sizes, strict=True)
    ]
    if from_end[0] == -1 or from_end[1] == -2:
        flow.refuse(node, "sums over the batch")
    places = {place for place in from_end if place is not None}
    place = places.pop()
    if places or (None not in from_end and place >= -2):
        flow.refuse(node, "multiplies images of the batch with each other")
    for own, shape in zip(from_end, sizes, strict=True):
        if own is None and place < -2 and len(shape) >= -place and shape[place] != 1:
            flow.refuse(node, f"its operand has size {shape[place]} where the batch is")
    return rank + place


def _grid_sample(flow: BatchFlow, node: gs.Node) -> int:
    if [flow.axis(tensor) for tensor in node.inputs] != [0, 0]:
        flow.refuse(node, "the batch is not the first axis of both inputs")
    return 0


def _gemm(flow: BatchFlow, node: gs.Node) -> int:
    if only_axis(flow, node) != (1 if node.attrs.get("transA", 0) else 0):
        flow.refuse(node, "sums over the batch")
    if len(node.inputs) > 2 and node.inputs[2].name:
        shape = flow.shape(node.inputs[2], node)
        if len(shape) == 2 and shape[0] != 1:
            flow.refuse(node, f"its operand {node.inputs[2].name!r} has size {shape[0]} where the batch is")
    return 0


PER_IMAGE = """
AdaptiveAvgPool2d ATen AveragePool BatchNormalization Conv ConvInteger ConvTranspose DepthToSpace GlobalAveragePool
GlobalLpPool GlobalMaxPool GroupNormalization InstanceNormalization LRN LpPool MaxPool QLinearConv SpaceToDepth
"""
POINTWISE = """
Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh DequantizeLinear Dropout Elu Erf
Exp Floor Gelu HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not QuantizeLinear Reciprocal Relu
Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu
"""
BROADCAST = """
Add And BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu
Pow Sub Sum Where Xor
"""
REDUCE = """
ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare
"""

RULES: Mapping[str, Rule] = {
    **dict.fromkeys(PER_IMAGE.split(), _per_image),
    **dict.fromkeys(POINTWISE.split(), only_axis),
    **dict.fromkeys(["DequantizeLinear", "QuantizeLinear"], _quantized),
    "CastLike": _cast_like,
    "Dropout": _dropout,
    **dict.fromkeys(BROADCAST.split(), _broadcast),
    **dict.fromkeys(REDUCE.split(), _reduce),
    **dict.fromkeys(["Hardmax", "LayerNormalization", "LogSoftmax", "RMSNormalization", "Softmax"], _from_axis),
    **dict.fromkeys(["ArgMax", "ArgMin", "Split"], _along(0)),
    **dict.fromkeys(["LpNormalization", "TopK"], _along(-1)),
    **dict.fromkeys(["Resize", "Upsample"], shapes.resize),
    "Concat": shapes.concat,
    "Expand": shapes.expand,
    "Flatten": shapes.flatten,
    "Gather": shapes.gather,
    "Gemm": _gemm,
    "GridSample": _grid_sample,
    "MatMul": _matmul,
    "Pad": shapes.pad,
    "Reshape": shapes.reshape,
    "Slice": shapes.slice_,
    "Squeeze": shapes.squeeze,
    "Tile": shapes.tile,
    "Transpose": shapes.transpose,
    "Unsqueeze": shapes.unsqueeze,
}
"""The rule of every known operator."""

SHAPED = frozenset({"Expand", "Pad", "Reshape", "Resize", "Slice", "Tile", "Upsample"})
"""Operators that take a shape as an input, which may hold the batch size."""

CREATORS: Mapping[str, Rule] = dict.fromkeys(["ConstantOfShape", "Expand", "Tile"], shapes.create)
"""Operators that make a batched tensor out of constants and the batch size."""
