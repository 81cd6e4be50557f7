"""What each operator does with height and width: where dimensions go, and which constants fix their sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from .._batch import rules as batch_rules
from .._batch.shapes import NO_ORDER
from .._batch.values import numbers
from .._graph import constant_value
from .._rows import order_of
from . import pooling, targets
from .dimensions import Dim, Extent, regroup

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

    from .flow import SizeFlow

Track: TypeAlias = "Callable[[SizeFlow, gs.Node, int], list[Dim]]"
"""Takes the flow, a node and the rank of a result; returns the dimensions of the inputs that lie where those of the
result do. Their sizes follow from shape inference."""


def _aligned(flow: SizeFlow, node: gs.Node, rank: int) -> list[Dim]:
    """Operators whose result has the axes of the first input."""
    del rank
    return flow.dims(node.inputs[0], node)


def _broadcast(flow: SizeFlow, node: gs.Node, rank: int) -> list[Dim]:
    """Operators that combine tensors of aligned axes; a dimension from the image counts more than a constant one."""
    return _meet([flow.dims(tensor, node) for tensor in node.inputs if tensor.name], rank)


def _expanded(flow: SizeFlow, node: gs.Node, rank: int) -> list[Dim]:
    """Expand puts axes in front of those of its first input."""
    return _meet([flow.dims(node.inputs[0], node)], rank)


def _meet(shapes: list[list[Dim]], rank: int) -> list[Dim]:
    """Return for each of `rank` axes, aligned at the end, the dimension that comes from the image, or the largest."""
    padded = [[Dim.fixed(1)] * (rank - len(dims)) + dims for dims in shapes]
    return [max(dims, key=lambda dim: (dim.old > 1, bool(dim.sides), dim.old)) for dims in zip(*padded, strict=True)]


def _reduced(flow: SizeFlow, node: gs.Node, rank: int) -> list[Dim]:
    """Operators that make one element of an axis, or drop it."""
    dims = flow.dims(node.inputs[0], node)
    if rank == len(dims):
        return dims
    if node.op in ("ArgMax", "ArgMin"):
        axes = [int(node.attrs.get("axis", 0))]
    elif "axes" in node.attrs or len(node.inputs) < 2:
        axes = list(node.attrs.get("axes", range(len(dims))))
    else:
        axes = numbers(flow.new_values(node.inputs[1])) or []
    dropped = {axis % len(dims) for axis in axes}
    return [dim for axis, dim in enumerate(dims) if axis not in dropped]


def _regrouped(flow: SizeFlow, node: gs.Node, rank: int) -> list[Dim]:
    """Operators that keep the order of the elements."""
    del rank
    groups = regroup(flow.dims(node.inputs[0], node), flow.old_shape(node.outputs[0], node))
    return groups if groups is not None else targets.refuse_split(flow, node)


def _transposed(flow: SizeFlow, node: gs.Node, rank: int) -> list[Dim]:
    del rank
    dims = flow.dims(node.inputs[0], node)
    if (order := order_of(node)) is None:
        flow.refuse(node, NO_ORDER, "export it again")
    return [dims[axis] for axis in order]


def _matmul(flow: SizeFlow, node: gs.Node, rank: int) -> list[Dim]:
    first, second = (flow.dims(tensor, node) for tensor in node.inputs)
    if min(len(first), len(second)) < 2:
        flow.refuse(node, "the size is not followed through products of vectors")
    row, column = first[-2], second[-1]
    if constant_value(node.inputs[0]) is not None:  # its rows average along the height, or the like
        row = Dim((Extent(row.old, row.new, second[-2].side),))
    elif constant_value(node.inputs[1]) is not None:
        column = Dim((Extent(column.old, column.new, first[-1].side),))
    return [*_meet([first[:-2], second[:-2]], rank - 2), row, column]


def _gemm(flow: SizeFlow, node: gs.Node, rank: int) -> list[Dim]:
    del rank
    rows, columns = (flow.dims(tensor, node) for tensor in node.inputs[:2])
    return [rows[bool(node.attrs.get("transA", 0))], columns[not node.attrs.get("transB", 0)]]


def _gathered(flow: SizeFlow, node: gs.Node, rank: int) -> list[Dim]:
    del rank
    data, indices = (flow.dims(tensor, node) for tensor in node.inputs)
    axis = node.attrs.get("axis", 0) % len(data)
    if data[axis].sides:
        flow.refuse(node, f"takes places along the {' and '.join(sorted(data[axis].sides))} of the old size")
    return [*data[:axis], *indices, *data[axis + 1 :]]


def _shape(flow: SizeFlow, node: gs.Node, rank: int) -> list[Dim]:
    del rank
    return [Dim.fixed(size) for size in flow.old_shape(node.outputs[0], node)]


TRACK: Mapping[str, Track] = {
    **dict.fromkeys([*batch_rules.PER_IMAGE.split(), *batch_rules.POINTWISE.split()], _aligned),
    **dict.fromkeys([*batch_rules.BROADCAST.split(), "Concat"], _broadcast),
    **dict.fromkeys([*batch_rules.REDUCE.split(), "ArgMax", "ArgMin"], _reduced),
    **dict.fromkeys(["Hardmax", "LayerNormalization", "LogSoftmax", "LpNormalization", "Softmax"], _aligned),
    **dict.fromkeys(["Pad", "Resize", "Slice", "Split", "Tile", "TopK", "Upsample"], _aligned),
    **dict.fromkeys(["Flatten", "Reshape", "Squeeze", "Unsqueeze"], _regrouped),
    "Expand": _expanded,
    "Gather": _gathered,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Shape": _shape,
    "Transpose": _transposed,
}
"""Where the dimensions go, for every known operator."""

ADAPT: Mapping[str, Callable[[SizeFlow, gs.Node], None]] = {
    "AveragePool": pooling.average_pool,
    **dict.fromkeys(["BatchNormalization", "Conv", "GroupNormalization", "InstanceNormalization"], targets.per_channel),
    "ConvTranspose": targets.conv_transpose,
    "Expand": targets.expand,
    "LayerNormalization": targets.layer_normalization,
    "MatMul": pooling.averaging_matrices,
    "Reshape": targets.reshape,
    "Resize": targets.resize,
    "Slice": targets.slice_,
    "SpaceToDepth": targets.space_to_depth,
    "Split": targets.split,
    "Upsample": targets.resize,
}
"""What is changed in the node itself."""
