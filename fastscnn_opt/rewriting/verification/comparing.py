"""Compares the outputs of a graph with the expected ones, and checks the difference against a contract."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.rewriting.contract import HALF_NETWORK_TOLERANCE, Contract, Labels, Tensor
from fastscnn_opt.rewriting.verification.widening import is_float

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray

EXACT_TOLERANCE = 1e-4
"""For an exact pass: the largest deviation allowed, relative to the largest magnitude of the output.

Reordering the sums of a float32 network of FastSCNN's depth moves its logits by about 1e-6 of their range in the mean
and 1e-5 at worst; a window or a pixel that is off by one moves them by 1e-2 and more.
"""


@dataclass(frozen=True)
class _OutputDeviation:
    """Largest deviation of one output: its size, its place, and how much is allowed."""

    size: float
    place: tuple[int, ...]
    allowed: float


def compare(
    expected: dict[str, Tensor],
    actual: dict[str, Tensor],
    after: onnx.ModelProto,
    promise: Contract = Contract.LOSSY,
    tolerance: float = 0.0,
    terms: Mapping[str, float] = MappingProxyType({}),
    misdeclared: Collection[str] = (),
) -> tuple[float, str]:
    """Return the largest deviation over the outputs, and what is wrong ("" if the promise was kept).

    The deviation is infinite where names, shapes or kinds differ. `tolerance` is that of a rounding promise. In a graph
    with float16 constants, another order of a sum moves its result as far as float16 rounding does. `terms` gives the
    magnitude of the terms that each output is a sum of: an output in which they cancel is only as exact as they are.
    The declared shapes of the outputs `misdeclared`, which were wrong before the pass, count for nothing.
    """
    expected, actual = _elements(expected), _elements(actual)
    if list(expected) != list(actual):
        return float("inf"), f"outputs {list(expected)} were expected, the graph has {list(actual)}"
    outputs = (output for output in after.graph.output if output.name not in misdeclared)
    declared = {output.name: output.type.tensor_type.shape for output in outputs}
    promised = tolerance if promise is Contract.ROUNDING else EXACT_TOLERANCE
    if any(tensor.data_type == tensor.FLOAT16 for tensor in after.graph.initializer):
        promised = max(promised, HALF_NETWORK_TOLERANCE)
    worst = 0.0
    for name, value in expected.items():
        problem = _form_problem(name, values_in(value), values_in(actual[name]), declared.get(name))
        if problem:
            return float("inf"), problem
        relative = _relative_tolerance(value, promised)
        deviation = _deviation(value, values_in(actual[name]), relative, relative * terms.get(name, 0.0))
        worst = max(worst, deviation.size)
        if promise is not Contract.LOSSY and not deviation.size <= deviation.allowed:
            where = ", ".join(map(str, deviation.place))
            return worst, (
                f"output {name!r} deviates by {deviation.size:.6g} at [{where}], and {deviation.allowed:.3g} is "
                f"allowed by its contract ({promise})"
            )
    return worst, ""


def values_in(tensor: Tensor) -> NDArray[Any]:
    """Return the values of an output, without the logits of a label map."""
    return tensor.values if isinstance(tensor, Labels) else tensor


def _relative_tolerance(expected: Tensor, promised: float) -> float:
    """Return the tolerance promised; in a narrow type both values may have been rounded to the next number."""
    floats = expected.logits if isinstance(expected, Labels) else expected
    return max(promised, 2 * _epsilon(floats.dtype))


def _epsilon(dtype: np.dtype[Any]) -> float:
    """Return the distance of 1 to the next number of a type of floats; 0 for another type."""
    return float(np.spacing(np.ones((), dtype))) if is_float(dtype) else 0.0


def _elements(outputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors in the outputs: those of a sequence or map under their keys, none of an empty optional."""
    tensors: dict[str, Tensor] = {}
    for name, value in outputs.items():
        if isinstance(value, (list, dict)):
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            tensors |= _elements({f"{name}[{key}]": part for key, part in parts})
        elif value is not None:
            tensors[name] = value if isinstance(value, Labels) else np.asarray(value)
    return tensors


def fits_declared(shape: Sequence[int], declared: onnx.TensorShapeProto) -> bool:
    """Tell whether a shape is as `declared`; open dimensions, and no dimensions at all, fit any."""
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in declared.dim]
    return not sizes or (len(sizes) == len(shape) and all(map(_is_size, sizes, shape)))


def sizes_in_words(declared: onnx.TensorShapeProto) -> str:
    """Return a declared shape as it is written, with ? for a dimension that has neither a size nor a name."""
    return str([dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in declared.dim])


def _is_size(declared: int | None, size: int) -> bool:
    return declared in (None, size)


def _form_problem(
    name: str, expected: NDArray[Any], actual: NDArray[Any], declared: onnx.TensorShapeProto | None
) -> str:
    if expected.shape != actual.shape:
        return f"output {name!r} has the shape {list(actual.shape)}, and {list(expected.shape)} was expected"
    if declared is not None and not fits_declared(actual.shape, declared):
        return f"output {name!r} is declared as {sizes_in_words(declared)} and has the shape {list(actual.shape)}"
    if is_float(expected.dtype) != is_float(actual.dtype):
        return f"output {name!r} has the type {actual.dtype}, and {expected.dtype} was expected"
    return ""


def _deviation(expected: Tensor, actual: NDArray[Any], relative: float, least: float) -> _OutputDeviation:
    """Compare two values; a difference of `least` is allowed, or of `relative` times the largest expected value."""
    if isinstance(expected, Labels):
        return _label_deviation(expected, actual, relative)
    if expected.dtype == object:  # text
        return _largest(np.asarray(expected != actual, dtype=np.float64), allowed=0.0)
    is_complex = expected.dtype.kind == "c"
    if not is_complex and not is_float(expected.dtype):
        difference = np.abs(expected.astype(np.float64) - actual.astype(np.float64))
        return _largest(np.where(expected == actual, 0.0, np.maximum(difference, 1.0)), allowed=0.0)
    wide = expected.dtype if is_complex or expected.dtype == np.float64 else np.float32
    with np.errstate(invalid="ignore"):
        difference = np.array(np.abs(expected.astype(wide) - actual.astype(wide)))
    same = expected == actual  # infinities of the same sign are equal; their difference is not a number
    difference[same | (np.isnan(expected) & np.isnan(actual))] = 0
    allowed = max(relative * magnitude(expected.astype(wide)), least)
    return _largest(np.where(np.isnan(difference), np.inf, difference), allowed)


def _label_deviation(expected: Labels, actual: NDArray[Any], relative: float) -> _OutputDeviation:
    """Measure labels that differ by how far apart their two logits are."""
    logits = np.atleast_2d(np.moveaxis(expected.logits, expected.axis, -1))  # a single label has no axis
    wanted = expected.values.reshape(logits.shape[:-1]).astype(np.int64)
    given = actual.reshape(logits.shape[:-1]).astype(np.int64)
    places = np.nonzero(wanted != given)
    if not places[0].size:
        return _OutputDeviation(0.0, (), 0.0)
    if given.min() < 0 or given.max() >= logits.shape[-1]:
        place = np.argwhere((given < 0) | (given >= logits.shape[-1]))[0]
        return _OutputDeviation(float("inf"), tuple(map(int, place)), 0.0)
    scores = logits[places].astype(np.float64)
    rows = np.arange(len(scores))
    best, other = scores[rows, wanted[places]], scores[rows, given[places]]
    with np.errstate(invalid="ignore"):
        gaps = np.where(best == other, 0.0, np.abs(best - other))  # infinities of the same sign tie
    gaps[np.isnan(gaps)] = np.inf
    worst = int(gaps.argmax())
    place = tuple(int(axis[worst]) for axis in places)
    return _OutputDeviation(float(gaps[worst]), place, relative * magnitude(expected.logits))


def magnitude(values: NDArray[np.generic]) -> float:
    """Return the largest magnitude among the finite values, which a tolerance is relative to; 0 without any."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def _largest(difference: NDArray[np.floating[Any]], allowed: float) -> _OutputDeviation:
    if not difference.size:
        return _OutputDeviation(0.0, (), allowed)
    index = int(difference.argmax())
    place = tuple(int(axis) for axis in np.unravel_index(index, difference.shape))
    return _OutputDeviation(float(difference.reshape(-1)[index]), place, allowed)
