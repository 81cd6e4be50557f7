"""Adaptive average pooling that was made for one size: windows of AveragePool, and matrices of averages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.model.adaptive_pooling import windows

from .._graph import constant_value
from .._pooling.products import adaptive_averages

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

    from .dimensions import Dim
    from .flow import SizeFlow

_MOST_BINS = 8
"""More square windows than this along an axis are a window that slides; fewer may be the bins of a pyramid."""


def average_pool(flow: SizeFlow, node: gs.Node) -> None:
    """Give an AveragePool that stands for adaptive pooling the windows of the new size; leave any other as it is."""
    dims = flow.dims(node.inputs[0], node)[2:]
    bins = flow.old_shape(node.outputs[0], node)[2:]
    if len(dims) != len(bins):
        flow.refuse(node, "the graph declares a result with another number of axes")
    forms = [(dim.old, count) for dim, count in zip(dims, bins, strict=True)]
    if all(dim.old == dim.new for dim in dims) or max(_windows(node)[0]) == 1 or not _is_adaptive(node, forms):
        return
    kernel = _windows(node)[0]
    if len(set(kernel)) == 1 and max(bins) > 1:
        if min(bins) > _MOST_BINS:
            return
        flow.refuse(
            node,
            f"its window {_times(kernel)} may be fixed, or made for {_times(bins)} bins",
            "if it is adaptive pooling, run large-avgpool{area=0} first, whose matrices count as that",
        )
    if any(not _fits(dim, count) for dim, count in zip(dims, bins, strict=True)):
        flow.refuse(
            node,
            f"AveragePool cannot make {_times(bins)} bins of {_times([dim.new for dim in dims])} elements",
            "run large-avgpool{area=0} first, whose matrices can",
        )
    made = [_window(dim.new, count) for dim, count in zip(dims, bins, strict=True)]
    node.attrs["kernel_shape"], node.attrs["strides"] = (list(part) for part in zip(*made, strict=True))
    flow.note(node, f"kernel {_times(kernel)} -> {_times(node.attrs['kernel_shape'])}")


def averaging_matrices(flow: SizeFlow, node: gs.Node) -> None:
    """Make the constant matrix of a MatMul that averages along height or width for the new length."""
    for index in (0, 1):
        matrix = constant_value(node.inputs[index])
        dims = flow.dims(node.inputs[1 - index], node)
        if matrix is None or matrix.ndim != 2 or len(dims) < 2:
            continue
        summed = dims[-2 if index == 0 else -1]
        if summed.old == summed.new:
            continue
        averages = _resized(matrix if index == 0 else matrix.T, summed)
        if averages is None:
            flow.refuse(
                node,
                f"its matrix {node.inputs[index].name!r} was made for {summed.old} elements",
                "run input-size before the pass that made it, such as large-avgpool",
            )
        values = np.ascontiguousarray(averages if index == 0 else averages.T, dtype=matrix.dtype)
        flow.set_constant(node, index, values, f"averages of {summed.old} -> {summed.new} elements")


def _resized(averages: NDArray[np.floating], dim: Dim) -> NDArray[np.float64] | None:
    """Return the matrix of averages for the new length if `averages` (bins, length) is one of adaptive pooling."""
    bins = len(averages)
    tolerance = 4 * float(np.finfo(averages.dtype).eps)
    if np.allclose(adaptive_averages(dim.old, bins), averages, rtol=tolerance, atol=0):
        return adaptive_averages(dim.new, bins)
    fits = bins <= min(dim.old, dim.new)
    if fits and np.allclose(_window_averages(dim.old, bins), averages, rtol=tolerance, atol=0):
        return _window_averages(dim.new, bins)
    return None


def _window_averages(length: int, bins: int) -> NDArray[np.float64]:
    """Return the matrix of an AveragePool that stands for adaptive pooling."""
    kernel, stride = _window(length, bins)
    places = np.arange(length) - stride * np.arange(bins)[:, None]
    return ((places >= 0) & (places < kernel)) / kernel


def _window(length: int, bins: int) -> tuple[int, int]:
    """Return kernel and stride of the AveragePool that stands for adaptive pooling, as exporters write it."""
    stride = length // bins
    return length - (bins - 1) * stride, stride


def _fits(dim: Dim, bins: int) -> bool:
    """Return whether AveragePool can make the bins at the new length as well as at the old one."""
    return dim.new >= bins and (_is_exact(dim.new, bins) or not _is_exact(dim.old, bins))


def _is_exact(length: int, bins: int) -> bool:
    """Return whether AveragePool gives the true windows."""
    kernel, stride = _window(length, bins)
    return windows(length, bins) == [(i * stride, i * stride + kernel) for i in range(bins)]


def _windows(node: gs.Node) -> tuple[list[int], list[int]]:
    kernel = list(node.attrs["kernel_shape"])
    return kernel, list(node.attrs.get("strides", [1] * len(kernel)))


def _is_adaptive(node: gs.Node, forms: list[tuple[int, int]]) -> bool:
    """Return whether the windows are those of adaptive pooling of lengths to bins."""
    plain = ("dilations", "pads", "ceil_mode")
    if any(set(np.ravel(node.attrs.get(name, 0))) - {0, int(name == "dilations")} for name in plain):
        return False
    if node.attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        return False
    return list(zip(*_windows(node), strict=True)) == [_window(*form) for form in forms]


def _times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
