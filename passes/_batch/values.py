"""Evaluate the shape arithmetic of a graph entry by entry, with a symbol for the batch size.

Shape, Gather, Slice, Concat and a few other operators compute the target shapes of Reshape, Resize and the like. The
symbol shows which entries of such a shape already change with the batch size, and which are constants.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .._graph import constant_value

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

LARGEST = 256
"""Largest number of elements of a constant that is read; shapes, pads and their indices have far fewer."""


class Symbol(Enum):
    """An entry that is not a number."""

    BATCH = "the batch size"
    MIXED = "computed from the batch size"
    UNKNOWN = "not known before the graph runs"


ShapeEntry: TypeAlias = "int | float | Symbol"
Values: TypeAlias = "NDArray[np.object_]"
"""Entries of a tensor of rank 0 or 1 (or of an index matrix), dtype object."""


def depends_on_batch(values: Values | None) -> bool:
    """Return whether any entry changes with the batch size."""
    return values is not None and any(entry in (Symbol.BATCH, Symbol.MIXED) for entry in values.flat)


def numbers(values: Values | None) -> list[int] | None:
    """Return the entries as whole numbers, or None if any is not known."""
    if values is None or any(isinstance(entry, Symbol) for entry in values.flat):
        return None
    return [int(entry) for entry in values.flat]


def constant_entries(tensor: gs.Tensor) -> Values | None:
    """Return the entries of a small numeric constant; empty for an omitted input, None for other tensors."""
    import onnx_graphsurgeon as gs

    if not tensor.name:
        return np.empty(0, dtype=object)
    if isinstance(tensor, gs.Constant) and math.prod(tensor.shape) > LARGEST:
        return None
    value = constant_value(tensor)
    if value is None or value.size > LARGEST or value.dtype.kind not in "iufb":
        return None
    return value.astype(object)


def shape_entries(shape: list[int | str | None], batch_axis: int | None) -> Values:
    """Return the result of the operator Shape for a tensor of this shape whose batch lies along `batch_axis`."""
    entries: list[ShapeEntry] = [size if isinstance(size, int) else Symbol.UNKNOWN for size in shape]
    if batch_axis is not None:
        entries[batch_axis] = Symbol.BATCH
    return _array(entries)


def evaluate(node: gs.Node, inputs: list[Values | None]) -> Values | None:
    """Return the entries of the node's output from those of its inputs; None if they cannot be followed."""
    followed = [values for values in inputs if values is not None]
    if node.op not in _RULES or not followed or len(followed) < len(inputs) or len(node.outputs) != 1:
        return None
    try:
        return _RULES[node.op](node, followed)
    except (IndexError, ValueError):  # the shapes do not fit together, or an index is out of range
        return None


_Rule: TypeAlias = "Callable[[gs.Node, list[Values]], Values | None]"


def _array(entries: Any) -> Values:
    made = np.empty(np.shape(entries), dtype=object)
    made[...] = entries
    return made


def _elementwise(compute: Callable[..., ShapeEntry]) -> _Rule:
    """Apply `compute` entry by entry; the result is a symbol if an operand is one."""

    def rule(node: gs.Node, inputs: list[Values]) -> Values | None:
        dtype = node.outputs[0].dtype

        def entry(*operands: ShapeEntry) -> ShapeEntry:
            if not any(isinstance(operand, Symbol) for operand in operands):
                result = compute(*operands)
                return _rounded(result, dtype) if isinstance(result, float) else result
            mixed = any(operand in (Symbol.BATCH, Symbol.MIXED) for operand in operands)
            return Symbol.MIXED if mixed else Symbol.UNKNOWN

        return _by_entry(entry)(node, inputs)

    return rule


def _rounded(number: float, dtype: Any) -> float:
    """Round to what an engine keeps; shape arithmetic is in float32 unless the graph says otherwise."""
    kept = np.dtype(np.float32) if dtype is None or isinstance(dtype, int) else np.dtype(dtype)
    return float(kept.type(number))


def _by_entry(compute: Callable[..., ShapeEntry]) -> _Rule:
    """Apply `compute` entry by entry, to symbols too, with broadcasting."""

    def rule(_: gs.Node, inputs: list[Values]) -> Values:
        arrays = np.broadcast_arrays(*inputs)
        entries = [compute(*operands) for operands in zip(*(array.flat for array in arrays), strict=True)]
        return _array(entries).reshape(arrays[0].shape)

    return rule


def _divide(dividend: float, divisor: float) -> ShapeEntry:
    """Divide as ONNX does: whole numbers are truncated towards zero."""
    if not divisor:
        return Symbol.UNKNOWN
    if isinstance(dividend, int) and isinstance(divisor, int):
        quotient = abs(dividend) // abs(divisor)
        return quotient if (dividend < 0) == (divisor < 0) else -quotient
    return dividend / divisor


def _equal(first: ShapeEntry, second: ShapeEntry) -> ShapeEntry:
    """Compare two entries. A batch size is at least 1, so it differs from the -1 that exporters look for."""
    symbols = [operand for operand in (first, second) if isinstance(operand, Symbol)]
    others = [operand for operand in (first, second) if not isinstance(operand, Symbol)]
    if not symbols:
        return first == second
    if symbols == [Symbol.BATCH] and others[0] < 1:
        return False
    return Symbol.UNKNOWN if set(symbols) == {Symbol.UNKNOWN} else Symbol.MIXED


def _where(condition: ShapeEntry, first: ShapeEntry, second: ShapeEntry) -> ShapeEntry:
    if isinstance(condition, Symbol):
        return condition
    return first if condition else second


def _cast(node: gs.Node, inputs: list[Values]) -> Values | None:
    import onnx

    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(node.attrs["to"])).kind
    if kind not in "iuf":
        return None
    number: Callable[[Any], ShapeEntry] = float if kind == "f" else int
    entries = [entry if isinstance(entry, Symbol) else number(entry) for entry in inputs[0].flat]
    if kind == "f":
        dtype = onnx.helper.tensor_dtype_to_np_dtype(node.attrs["to"])
        entries = [_rounded(entry, dtype) if isinstance(entry, float) else entry for entry in entries]
    return _array(entries).reshape(inputs[0].shape)


def _concat(_: gs.Node, inputs: list[Values]) -> Values | None:
    return np.concatenate(inputs) if all(values.ndim == 1 for values in inputs) else None


def _gather(_: gs.Node, inputs: list[Values]) -> Values | None:
    indices = numbers(inputs[1])
    if indices is None or inputs[0].ndim != 1:
        return None
    return _array([inputs[0][index] for index in indices]).reshape(inputs[1].shape)


def _slice(node: gs.Node, inputs: list[Values]) -> Values | None:
    data = inputs[0]
    bounds = slice_bounds(node, inputs[1:])
    if bounds is None:
        return None
    for start, end, axis, step in bounds:
        whole = [slice(None)] * data.ndim
        whole[axis] = slice(start, end, step)
        data = data[tuple(whole)]
    return data


def slice_bounds(node: gs.Node, inputs: Sequence[Values | None]) -> list[tuple[int, int, int, int]] | None:
    """Return start, end, axis and step of every axis of a Slice; None if one is not known.

    `inputs` are the entries of its inputs after the first.
    """
    if "starts" in node.attrs:  # before opset 10
        starts, ends = node.attrs["starts"], node.attrs["ends"]
        axes, steps = node.attrs.get("axes"), None
    else:
        given = [numbers(values) for values in inputs]
        if len(given) < 2 or any(part is None for part in given):
            return None
        starts, ends, axes, steps = (*given, None, None)[:4]
    columns = [starts, ends, axes or range(len(starts)), steps or [1] * len(starts)]
    return None if len({*map(len, columns)}) > 1 else list(zip(*columns, strict=True))


def _reshape(_: gs.Node, inputs: list[Values]) -> Values | None:
    target = numbers(inputs[1])
    return None if target is None or 0 in target else inputs[0].reshape(target)


def _unsqueeze(_: gs.Node, inputs: list[Values]) -> Values | None:
    return inputs[0].reshape(1) if inputs[0].ndim == 0 and (len(inputs) < 2 or inputs[1].size == 1) else None


def _squeeze(_: gs.Node, inputs: list[Values]) -> Values | None:
    return inputs[0].reshape(()) if inputs[0].shape == (1,) else None


def _transpose(node: gs.Node, inputs: list[Values]) -> Values:
    return inputs[0].transpose(node.attrs.get("perm"))


def _constant_of_shape(node: gs.Node, inputs: list[Values]) -> Values | None:
    shape = numbers(inputs[0])
    if shape is None or math.prod(shape) > LARGEST:
        return None
    fill = node.attrs.get("value")
    return np.full(shape, 0.0 if fill is None else np.asarray(fill.values).item(), dtype=object)


_RULES: Mapping[str, _Rule] = {
    "Add": _elementwise(operator.add),
    "Cast": _cast,
    "Ceil": _elementwise(lambda number: float(math.ceil(number))),
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Div": _elementwise(_divide),
    "Equal": _by_entry(_equal),
    "Floor": _elementwise(lambda number: float(math.floor(number))),
    "Gather": _gather,
    "Identity": lambda _, inputs: inputs[0],
    "Max": _elementwise(lambda *operands: max(operands)),
    "Min": _elementwise(lambda *operands: min(operands)),
    "Mul": _elementwise(operator.mul),
    "Reshape": _reshape,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": _elementwise(operator.sub),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _by_entry(_where),
}
