"""The pass `adaptive-avgpool`: adaptive average pooling becomes operators that every runtime has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.adaptive_pooling import pooled_size, windows
from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.model.skeleton import ADAPTIVE_POOL
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step

from ._graph import what_fixes
from ._pooling.ladder import Ladder, find_ladders
from ._pooling.products import Products, adaptive_averages

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs

_FIXED = ("AveragePool", "GlobalAveragePool")

_WRITTEN_OUT = "written_out"
"""Domain of the node that replaces a pooling that the exporter wrote out, until that node is lowered."""


class Lowering(StrEnum):
    """What an adaptive average pooling becomes."""

    MATMUL = "matmul"
    AVGPOOL = "avgpool"
    NATIVE = "native"


@dataclass(frozen=True)
class AdaptiveAvgPool(Pass):
    """Lower adaptive average pooling, which ONNX does not have, to operators that it has.

    1. The pass lowers ``AdaptiveAvgPool2d`` of any domain with the attribute ``output_size``, and the ATen node that
       PyTorch exports for it. The height and width of the input must be known.
    2. It also lowers what today's PyTorch exporter writes where the bins do not divide the size: a GatherND, then
       either a ReduceMean, or a Where, up to hundreds of Gather and Add, and a Div. The pass runs these nodes in
       float64 on random input, and replaces them only if they give the adaptive averages. Otherwise it leaves them
       alone and reports the reason.
    3. ``lower=matmul`` (default) multiplies by two constant matrices, one along the height and one along the width.
       Bin i of k over n elements averages the window from floor(i n / k) to ceil((i + 1) n / k), and a row of the
       matrix holds that average. This is the definition of the pooling, so the result is exact for any size. Nodes of
       the same size share the matrices. An infinity or NaN in the input makes NaN of other windows of its rows and
       columns too.
    4. ``lower=avgpool`` writes one AveragePool of stride n // k and kernel n - (k - 1) * (n // k). Its windows are the
       true ones only where k divides n. Elsewhere it is another function, so this lowering is lossy.
    5. ``lower=native`` writes ``AdaptiveAvgPool2d`` of the default domain and drops the custom domain. The vendor
       compiler atc takes that operator for opset 8 to 13, though ONNX does not define it. A node in that form already
       is left alone.
    """

    name: ClassVar[str] = "adaptive-avgpool"
    contract: ClassVar[Contract] = Contract.EXACT
    operators: ClassVar[tuple[str, ...]] = (ADAPTIVE_POOL,)

    lower: Lowering = Lowering.MATMUL

    def promise(self) -> Contract:
        """Return LOSSY for ``lower=avgpool``, EXACT otherwise."""
        return Contract.LOSSY if self.lower is Lowering.AVGPOOL else Contract.EXACT

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Lower every adaptive average pooling of the graph.

        Raises
        ------
        PassError
            An input size is unknown, a number of bins is not positive, or AveragePool cannot make so many bins.
        """
        products = Products(graph)
        written_out: dict[int, int] = {}
        for found in find_ladders(graph):
            if isinstance(found, Skip):
                yield found
            else:
                written_out[id(_merge_into_one(found))] = len(found.nodes)
        for node in list(graph.nodes):
            bins = _bins(node)
            if bins is None:
                if node.op in _FIXED and node.domain in ONNX_DOMAINS:
                    yield Skip(node, f"is {node.op}, whose windows are fixed, so nothing adaptive is left to lower")
                continue
            what = self._lower(node, bins, products)
            if isinstance(what, Skip):
                yield what
            else:
                count = written_out.get(id(node))
                yield Change(node, f"{count} nodes that compute it: {what}" if count else what)

    def _lower(self, node: gs.Node, bins: tuple[int, int], products: Products) -> str | Skip:
        """Lower one pooling; return what was done, or why it was left alone."""
        if self.lower is Lowering.NATIVE:
            return _make_native(node, bins)
        size = _input_size(node)
        if self.lower is Lowering.AVGPOOL:
            return _make_avgpool(node, size, bins)
        return products.replace(node, adaptive_averages(size[0], bins[0]), adaptive_averages(size[1], bins[1]))


def _merge_into_one(ladder: Ladder) -> gs.Node:
    """Replace all nodes of a pooling that is written out by one AdaptiveAvgPool2d, and return that node.

    The last of the nodes becomes the AdaptiveAvgPool2d; nothing reads the others any more.
    """
    node = ladder.nodes[-1]
    node.op, node.domain = ADAPTIVE_POOL, _WRITTEN_OUT
    node.inputs = [ladder.source]
    node.attrs = {"output_size": list(ladder.bins)}
    return node


def _bins(node: gs.Node) -> tuple[int, int] | None:
    """Return the output height and width of an adaptive average pooling, None for any other node."""
    bins = pooled_size(node)
    if bins is None and (node.op == ADAPTIVE_POOL or node.attrs.get("operator") == "adaptive_avg_pool2d"):
        raise PassError("has no constant output_size", where=node.name, cure="export it with a fixed pooling size")
    if bins is not None and min(bins) < 1:
        raise PassError(
            f"output_size {list(bins)} is not positive", where=node.name, cure="export it with a fixed pooling size"
        )
    return bins


def _input_size(node: gs.Node) -> tuple[int, int]:
    """Return the height and width of the node's input."""
    height, width = (node.inputs[0].shape or [None, None])[-2:]
    if not isinstance(height, int) or not isinstance(width, int):
        raise PassError(
            "the height and width of its input are not known",
            where=node.name,
            cure=f"run {what_fixes(node.inputs[0])} first, or use lower=native",
        )
    return height, width


def _make_native(node: gs.Node, bins: tuple[int, int]) -> str | Skip:
    if node.op == ADAPTIVE_POOL and node.domain in ONNX_DOMAINS:
        return Skip(node, "is AdaptiveAvgPool2d of the default domain already")
    node.op, node.domain = ADAPTIVE_POOL, None
    node.inputs = [node.inputs[0]]
    node.attrs = {"output_size": list(bins)}
    return f"AdaptiveAvgPool2d of the default domain, output_size {list(bins)}"


def _make_avgpool(node: gs.Node, size: tuple[int, int], bins: tuple[int, int]) -> str:
    if any(bins[axis] > size[axis] for axis in (0, 1)):
        raise PassError(
            f"AveragePool cannot make {_times(bins)} bins of {_times(size)} elements",
            where=node.name,
            cure="use lower=matmul",
        )
    strides = [size[axis] // bins[axis] for axis in (0, 1)]
    kernel = [size[axis] - (bins[axis] - 1) * strides[axis] for axis in (0, 1)]
    exact = all(
        [(i * strides[axis], i * strides[axis] + kernel[axis]) for i in range(bins[axis])]
        == windows(size[axis], bins[axis])
        for axis in (0, 1)
    )
    node.op, node.domain = "AveragePool", None
    node.inputs = [node.inputs[0]]
    node.attrs = {"kernel_shape": kernel, "strides": strides}
    note = "the true windows" if exact else f"not the true windows, since {_times(bins)} does not divide {_times(size)}"
    return f"AveragePool of kernel {_times(kernel)}, stride {_times(strides)} ({note})"


def _times(pair: tuple[int, int] | list[int]) -> str:
    return f"{pair[0]}x{pair[1]}"
