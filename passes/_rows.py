"""Joins two nodes in a row that one node can do, such as two Transpose: the second reads what the first reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastscnn_opt.model.interface import ONNX_DOMAINS

from ._graph import constant_value, unique_name

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs

_RESHAPING = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")

Rule: TypeAlias = "Callable[[gs.Graph, gs.Node, gs.Node, set[int]], bool]"
"""Makes the second node do the work of the first; returns False, and changes nothing, if it cannot."""


def join(graph: gs.Graph, second: gs.Node, interface: set[int], declared: set[int]) -> str:
    """Let `second` do what the nodes in front of it do as well, and take those out; return their names, "" for none.

    A node in front goes only if nothing else reads its result. `interface` are the inputs and outputs of the graph,
    `declared` the tensors whose shapes nothing but the file states.
    """
    if second.op == "Concat":
        return _join_concats(second, interface)
    first = _only_in_front(second.inputs[0], interface) if second.inputs else None
    if first is None:
        return ""
    rule = _RULES.get((first.op, second.op))
    if rule is None and _keeps_elements(first) and _keeps_elements(second):
        rule = _reshapes
    if rule is None or not rule(graph, first, second, declared):
        return ""
    second.inputs[0] = first.inputs[0]
    first.inputs.clear()
    first.outputs.clear()
    return str(first.name)


def _keeps_elements(node: gs.Node) -> bool:
    """Tell whether the elements keep their order, as they do in a Transpose that moves axes of size 1 only."""
    if node.op != "Transpose":
        return node.op in _RESHAPING
    shape, order = node.inputs[0].shape, order_of(node)
    if shape is None or order is None:
        return False
    moved = [axis for axis in order if shape[axis] != 1]
    return moved == sorted(moved)


def _only_in_front(tensor: gs.Tensor, interface: set[int]) -> gs.Node | None:
    """Return the node of ONNX that makes `tensor`, if `tensor` has one reader and is no output."""
    if len(tensor.inputs) != 1 or len(tensor.outputs) != 1 or id(tensor) in interface:
        return None
    maker = tensor.inputs[0]
    return maker if maker.domain in ONNX_DOMAINS and len(maker.outputs) == 1 else None


def _transposes(_: gs.Graph, first: gs.Node, second: gs.Node, __: set[int]) -> bool:
    before, after = order_of(first), order_of(second)
    if before is None or after is None or len(before) != len(after):
        return False
    second.attrs["perm"] = [before[axis] for axis in after]
    return True


def order_of(transpose: gs.Node) -> list[int] | None:
    """Return the order of the axes, which is reversed by default; None if their number is unknown or another one."""
    shape = transpose.inputs[0].shape
    default = None if shape is None else [*reversed(range(len(shape)))]
    order = transpose.attrs.get("perm", default)
    if order is None or sorted(order) != [*range(len(order if shape is None else shape))]:
        return None
    return list(order)


def _casts(_: gs.Graph, first: gs.Node, second: gs.Node, __: set[int]) -> bool:
    """Where every value is a value of both other types, too, each of the two ways keeps it."""
    source, between, result = first.inputs[0].dtype, first.outputs[0].dtype, second.outputs[0].dtype
    return _holds(between, source) and _holds(result, source)


def _holds(wide: Any, narrow: Any) -> bool:
    """Tell whether the first type has every value of the second; False for types that numpy does not have."""
    if isinstance(wide, int) or isinstance(narrow, int) or wide is None or narrow is None:
        return False
    to, of = np.dtype(wide), np.dtype(narrow)
    if to.kind not in "biuf" or of.kind not in "biuf" or (of.kind in "iu" and of.itemsize == 8 and to.kind == "f"):
        return False  # numpy calls int64 to float64 safe
    return np.can_cast(of, to, "safe")


def _reshapes(graph: gs.Graph, _: gs.Node, second: gs.Node, declared: set[int]) -> bool:
    """A Reshape to a constant shape does not care what shape it reads, unless it copies a size from there."""
    import onnx_graphsurgeon as gs

    shape = constant_value(second.inputs[1]) if second.op == "Reshape" else None
    if shape is not None and (shape.all() or second.attrs.get("allowzero")):
        return True
    known = second.outputs[0].shape
    if known is None or id(second.outputs[0]) in declared:  # what a file says about an output may be wrong
        return False
    sizes = [size if isinstance(size, int) else -1 for size in known]
    if sizes.count(-1) > 1 or min(sizes, default=1) < -1 or 0 in sizes:
        return False
    target = gs.Constant(unique_name(graph, f"{second.name}_shape"), np.array(sizes, np.int64))
    second.op, second.attrs, second.inputs = "Reshape", {}, [second.inputs[0], target]
    return True


def _slices(graph: gs.Graph, first: gs.Node, second: gs.Node, _: set[int]) -> bool:
    import onnx_graphsurgeon as gs

    shape = first.inputs[0].shape
    parts = [_ranges(node, shape) for node in (first, second)]
    if shape is None or None in parts:
        return False
    joined = dict(parts[0] or {})
    for axis, part in (parts[1] or {}).items():
        if axis not in joined:
            joined[axis] = part
            continue
        size = shape[axis]
        if not isinstance(size, int) or not (left := range(size)[joined[axis]][part]):
            return False
        stop = left.stop if left.stop >= 0 else -size - 1  # -1 would be the last element
        joined[axis] = slice(left.start, stop, left.step)
    columns = [[part.start, part.stop, axis, part.step] for axis, part in sorted(joined.items())]
    arrays = np.array(columns, np.int64).reshape(-1, 4).T
    names = (f"{second.name}_{word}" for word in ("starts", "ends", "axes", "steps"))
    constants = [
        gs.Constant(unique_name(graph, name), np.ascontiguousarray(array))
        for name, array in zip(names, arrays, strict=True)
    ]
    second.inputs = [second.inputs[0], *constants]
    return True


def _ranges(node: gs.Node, shape: list[Any] | None) -> dict[int, slice] | None:
    """Return the range that a Slice takes from each axis; None if it is not constant."""
    if shape is None or len(node.inputs) < 3:
        return None
    given: list[list[int] | None] = []
    for tensor in node.inputs[1:]:
        value = constant_value(tensor)
        if value is None and not tensor.is_empty():
            return None
        given.append(None if value is None else value.tolist())
    starts, ends, axes, steps = [*given, None, None][:4]
    if starts is None or ends is None:
        return None
    axes = [*range(len(starts))] if axes is None else [axis % len(shape) for axis in axes]
    steps = [1] * len(starts) if steps is None else steps
    return {axis: slice(*part) for axis, *part in zip(axes, starts, ends, steps, strict=True)}


def _join_concats(last: gs.Node, interface: set[int]) -> str:
    """Take the inputs of the Concats in front of `last` that join along the same axis.

    Only the last one of a row does so: one after the other would copy the first inputs again and again.
    """
    reader = last.outputs[0].outputs[0] if len(last.outputs[0].outputs) == 1 else None
    if id(last.outputs[0]) not in interface and reader is not None and _same_axis(reader, last):
        return ""
    inputs, joined = [], []
    waiting = list(reversed(last.inputs))
    while waiting:
        tensor = waiting.pop()
        first = _only_in_front(tensor, interface)
        if first is None or not _same_axis(first, last):
            inputs.append(tensor)
            continue
        joined.append(first)
        waiting += reversed(first.inputs)
    if joined:
        last.inputs = inputs
    for node in joined:
        node.inputs.clear()
        node.outputs.clear()
    return ", ".join(node.name for node in reversed(joined))


def _same_axis(node: gs.Node, other: gs.Node) -> bool:
    if node.op != "Concat" or node.domain not in ONNX_DOMAINS:
        return False
    axes = [one.attrs["axis"] for one in (node, other)]
    rank = next((len(tensor.shape) for tensor in (*node.inputs, *other.inputs) if tensor.shape is not None), None)
    return axes[0] == axes[1] or (rank is not None and axes[0] % rank == axes[1] % rank)


_RULES: dict[tuple[str, str], Rule] = {
    ("Transpose", "Transpose"): _transposes,
    ("Cast", "Cast"): _casts,
    ("Slice", "Slice"): _slices,
}
