"""Find the operators that leave the AI Core."""

from __future__ import annotations

import re
from collections import Counter
from math import prod
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.chip import LARGEST_BILINEAR_SIDE
from fastscnn_opt.ascend.profile.hotspot import NO_CURE, Hotspot, UnassignedOperators, grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastscnn_opt.ascend.profile.profile import Operator

_WIDE = ("int64", "uint64", "float64")
_INTEGERS = re.compile(r"u?int\d+|bool")

_MOST_SHAPE_ELEMENTS = 16
"""The pads of a tensor of rank 8: an integer tensor that is larger holds data, not shapes."""


def find_off_core(unassigned: UnassignedOperators) -> Iterator[Hotspot]:
    """Find what leaves the AI Core, with the conversions around it."""
    for what, matches, cure, passes in _OFF_CORE:
        core = unassigned.take_off_core(matches)
        if core:
            around = [*unassigned.take_before(core), *unassigned.take_after(core)]
            if matches is _is_average_pool and all(tensor.shape is None for item in core for tensor in item.inputs):
                around += unassigned.take(lambda operator: operator.op_type == "TransposeD")
            yield Hotspot(f"{what}{_with(around)}", (*core, *around), cure, passes)
    # Most casts are conversions around something else, so that they come last.
    others = sorted(unassigned.take_off_core(), key=lambda operator: operator.op_type == "Cast")
    for (op_type, place), core in grouped(others, lambda operator: (operator.op_type, operator.core)).items():
        around = [*unassigned.take_before(core), *unassigned.take_after(core)]
        wide = any(tensor.dtype in _WIDE for operator in core for tensor in (*operator.inputs, *operator.outputs))
        cure = f"{NO_CURE}; export 64-bit tensors as int32 or float32" if wide else NO_CURE
        yield Hotspot(f"{op_type} on {place}{_with(around)}", (*core, *around), cure)


def _with(movers: Sequence[Operator]) -> str:
    """Say which conversions are counted with an operator."""
    counts = Counter(mover.op_type for mover in movers)
    return f", with {' and '.join(f'{count} {op_type}' for op_type, count in counts.items())}" if counts else ""


def _is_average_pool(operator: Operator) -> bool:
    return bool(re.search(r"(avg|average|adaptive).*pool", operator.op_type.lower()))


def _is_argmax(operator: Operator) -> bool:
    return operator.op_type.lower().startswith("argmax")


def is_resize(operator: Operator) -> bool:
    """Tell whether an operator resizes by interpolation; nearest neighbour is spelt out in the type."""
    return bool(re.search(r"resize(?!nearest)|upsamplebilinear", operator.op_type.lower()))


def _is_shape_arithmetic(operator: Operator) -> bool:
    tensors = (*operator.inputs, *operator.outputs)
    return bool(tensors) and all(
        tensor.shape is not None
        and len(tensor.shape) <= 2
        and prod(tensor.shape) <= _MOST_SHAPE_ELEMENTS
        and _INTEGERS.fullmatch(tensor.dtype)
        for tensor in tensors
    )


_OFF_CORE: tuple[tuple[str, Callable[[Operator], bool], str, str], ...] = (
    (
        "average pooling that leaves the AI Core",
        _is_average_pool,
        "turn adaptive pooling into matrix products with `adaptive-avgpool`, an AveragePool with `large-avgpool`",
        "adaptive-avgpool,large-avgpool",
    ),
    (
        "ArgMax that leaves the AI Core",
        _is_argmax,
        "leave out `argmax-output`, and use the pass `fp16-output` in its place",
        "fp16-output",
    ),
    (
        "Resize that leaves the AI Core",
        is_resize,
        (
            f"export the model for sides up to {LARGEST_BILINEAR_SIDE}, or judge by `fastscnn-opt score` what the pass "
            "`resize-nearest` costs"
        ),
        "resize-nearest",
    ),
    (
        "shape arithmetic that leaves the AI Core",
        _is_shape_arithmetic,
        "fold it with the pass `simplify`, after `static-batch` or `static-shape` if the model leaves dimensions open",
        "simplify",
    ),
)
"""What leaves the AI Core, how to know it, the cure, and its passes."""
