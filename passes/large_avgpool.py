"""The pass `large-avgpool`: average pooling over large windows becomes matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastscnn_opt.model.element_types import type_name
from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step

from ._graph import constant_value, what_fixes
from ._pooling.products import Products

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray


@dataclass(frozen=True)
class LargeAvgPool(Pass):
    """Turn average pooling over large windows into products with two constant matrices.

    1. The pass matches AveragePool nodes whose kernel has more than ``area`` elements or whose stride is above
       ``stride``, and GlobalAveragePool and ReduceMean over a height and width of more than ``area`` elements. The
       defaults are the limits of the AI Core of the Ascend 310, which moves any larger AveragePool to its CPU.
    2. One matrix averages along the height, one along the width. Each row belongs to a window, and holds the reciprocal
       of the number of elements at the elements of that window. Pads, auto_pad, ceil_mode, count_include_pad and
       dilations are in the matrices, so the result is exact for all of them. Nodes with the same windows share the
       matrices.
    3. The pass leaves alone and reports smaller windows, an input that is not N, C, H, W with a known height and width,
       a window that lies entirely in the padding, and a ReduceMean that drops the axes it averages.
    4. A product multiplies every element, those outside a window by zero. So an infinity or NaN in the input makes NaN
       of the other windows of its channel, too.
    5. The work grows with the size of the input times the number of windows. The pass pays on the NPU for a few bins.
       For windows that slide over every pixel it pays nowhere.
    """

    name: ClassVar[str] = "large-avgpool"
    contract: ClassVar[Contract] = Contract.EXACT
    operators: ClassVar[tuple[str, ...]] = ("AveragePool", "GlobalAveragePool")

    # The limits of the Ascend 310 live in `fastscnn_opt.ascend.chip`; a test holds the two together.
    area: int = 255
    stride: int = 63

    def __post_init__(self) -> None:
        """Refuse limits that no window could keep. Raises ValueError."""
        if self.area < 0 or self.stride < 0:
            raise ValueError(f"area={self.area} stride={self.stride}: a limit is 0 or more")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Replace every average pooling beyond the limits."""
        products = Products(graph)
        for node in list(graph.nodes):
            axes = _pooled_axes(node)
            if axes is None:
                continue
            why = axes if isinstance(axes, str) else self._why_not(axes)
            if isinstance(axes, str) or why:
                yield Skip(node, why)
                continue
            result = node.outputs[0]
            result.shape = [*(result.shape or node.inputs[0].shape)[:2], *(axis.windows for axis in axes)]
            what = products.replace(node, *(axis.averages() for axis in axes))
            yield Change(node, f"{node.op} of kernel {_times(axes, 'kernel')}: {what}")

    def _why_not(self, axes: tuple[_PooledAxis, _PooledAxis]) -> str:
        area = axes[0].kernel * axes[1].kernel
        if area <= self.area and all(axis.stride <= self.stride for axis in axes):
            return (
                f"its kernel {_times(axes, 'kernel')} has {area} elements and its stride is {_times(axes, 'stride')}, "
                f"within area={self.area} and stride={self.stride}"
            )
        if not all(axis.windows for axis in axes):
            return f"its kernel {_times(axes, 'kernel')} is larger than its padded input"
        if any((axis.elements() == 0).any() for axis in axes):
            return "one of its windows lies entirely in the padding, so it has no average"
        return ""


@dataclass(frozen=True)
class _PooledAxis:
    """Average pooling along one axis: lengths in elements, pads in front and behind, as ONNX defines AveragePool."""

    length: int
    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    dilation: int = 1
    ceil: bool = False
    count_pads: bool = False

    @property
    def windows(self) -> int:
        """How many windows there are, 0 if none fits. A window that starts in the padding at the end does not count."""
        free = self.length + self.before + self.after - self.dilation * (self.kernel - 1) - 1
        if free < 0:
            return 0
        count = (-(-free // self.stride) if self.ceil else free // self.stride) + 1
        return count - 1 if self.ceil and (count - 1) * self.stride >= self.length + self.before else count

    def places(self) -> NDArray[np.int64]:
        """Return the positions of the elements of each window, shape windows, kernel; those of pads lie outside."""
        starts = np.arange(self.windows) * self.stride - self.before
        return starts[:, None] + np.arange(self.kernel) * self.dilation

    def elements(self) -> NDArray[np.int64]:
        """Return by how many elements each window is divided. Pads count if `count_pads`, but nothing beyond them."""
        places = self.places()
        first, end = (-self.before, self.length + self.after) if self.count_pads else (0, self.length)
        counts: NDArray[np.int64] = ((places >= first) & (places < end)).sum(axis=1)
        return counts

    def averages(self) -> NDArray[np.float64]:
        """Return the matrix of shape windows, length whose rows average the windows."""
        places = self.places()
        rows, columns = np.nonzero((places >= 0) & (places < self.length))
        matrix = np.zeros((self.windows, self.length))
        matrix[rows, places[rows, columns]] = 1 / self.elements()[rows]
        return matrix


def _pooled_axes(node: gs.Node) -> tuple[_PooledAxis, _PooledAxis] | str | None:
    """Return how `node` pools H and W, or why that is not known; None if it is no average pooling of images."""
    pools = node.op in ("AveragePool", "GlobalAveragePool") or (node.op == "ReduceMean" and _averages_images(node))
    if node.domain not in ONNX_DOMAINS or not pools:
        return None
    shape, dtype = node.inputs[0].shape, node.inputs[0].dtype
    if isinstance(dtype, int):
        return f"its input is {type_name(dtype)}, in which the pass cannot compute"
    if shape is not None and len(shape) != 4:
        return f"its input of shape {shape} is not N, C, H, W"
    height, width = shape[2:] if shape else (None, None)
    if not isinstance(height, int) or not isinstance(width, int):
        return f"the height and width of its input are not known; run {what_fixes(node.inputs[0])} first"
    if node.op != "AveragePool":
        if not node.attrs.get("keepdims", 1):
            return "it drops the axes that it averages"
        return _PooledAxis(height, height), _PooledAxis(width, width)
    if node.attrs.get("auto_pad") == "VALID" and node.attrs.get("ceil_mode"):
        return "for auto_pad=VALID with ceil_mode=1 the definition and the runtimes count windows differently"
    return _axis_of(node, 0, height), _axis_of(node, 1, width)


def _averages_images(node: gs.Node) -> bool:
    """Tell whether a ReduceMean of an N, C, H, W float tensor is over H and W."""
    axes = node.attrs.get("axes")
    if axes is None and len(node.inputs) > 1:
        axes = constant_value(node.inputs[1])
    rank = len(node.inputs[0].shape or ())
    dtype = node.inputs[0].dtype or np.float32
    floats = isinstance(dtype, int) or np.issubdtype(np.dtype(dtype), np.floating)
    return rank == 4 and floats and axes is not None and {int(axis) % 4 for axis in np.ravel(axes)} == {2, 3}


def _axis_of(node: gs.Node, index: int, length: int) -> _PooledAxis:
    """Return what an AveragePool does along its spatial axis `index`."""
    attributes = node.attrs
    kernel, stride, dilation = (
        int(attributes.get(key, [1, 1])[index]) for key in ("kernel_shape", "strides", "dilations")
    )
    ceil, count_pads = bool(attributes.get("ceil_mode", 0)), bool(attributes.get("count_include_pad", 0))
    pads = attributes.get("pads", [0, 0, 0, 0])
    before, after = int(pads[index]), int(pads[index + 2])
    if (auto := attributes.get("auto_pad", "NOTSET")) != "NOTSET":  # sets the number of windows itself
        missing = max((-(-length // stride) - 1) * stride + dilation * (kernel - 1) + 1 - length, 0)
        smaller, larger = missing // 2, missing - missing // 2
        before, after = {"SAME_UPPER": (smaller, larger), "SAME_LOWER": (larger, smaller)}.get(auto, (0, 0))
        ceil = False
    return _PooledAxis(length, kernel, stride, before, after, dilation, ceil, count_pads)


def _times(axes: tuple[_PooledAxis, _PooledAxis], field: str) -> str:
    return "x".join(str(getattr(axis, field)) for axis in axes)
