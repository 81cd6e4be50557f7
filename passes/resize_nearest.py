"""The pass `resize-nearest`: nearest neighbour instead of bilinear interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step
from fastscnn_opt.rewriting.select import Select

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs

_UPSAMPLE_ENDS = 10
"""Opset from which Resize takes the place of Upsample."""

_ROUNDING_BEGINS = 11
"""Opset from which Resize has a coordinate transformation and a rounding; before it, nearest rounds down."""

_INTERPOLATION_ONLY = ("antialias", "cubic_coeff_a", "exclude_outside")
"""Attributes that mean nothing for nearest neighbour; onnxruntime refuses some of them."""


class Rounding(StrEnum):
    """Which neighbour is the nearest: how a coordinate between two elements is rounded."""

    HALF_UP = "half-up"
    HALF_DOWN = "half-down"
    FLOOR = "floor"
    CEIL = "ceil"

    @property
    def onnx(self) -> str:
        """The value of the attribute ``nearest_mode``."""
        return {"half-up": "round_prefer_ceil", "half-down": "round_prefer_floor"}.get(self.value, self.value)


@dataclass(frozen=True)
class ResizeNearest(Pass):
    """Turn bilinear Resize into nearest neighbour.

    1. A selected Resize with mode ``linear`` gets mode ``nearest``. It keeps its coordinate transformation.
    2. ``nearest_mode`` follows ``rounding``. The default rounds half up, which is what the Ascend 310 does with
       ``align_corners`` whatever the file says. ``floor`` moves every edge by half a pixel and costs about half the
       mIoU.
    3. ``only`` selects by role (``head``: the Resize makes a graph output, ``body``: all others), by name pattern
       (``Resize_1*``), or ``all``.
    4. Any other Resize is left alone and reported with the reason.
    5. Before opset 11 (Upsample of opset 9, Resize of opset 10) nearest always rounds down, so only ``rounding=floor``
       is possible.
    """

    name: ClassVar[str] = "resize-nearest"
    contract: ClassVar[Contract] = Contract.LOSSY
    operators: ClassVar[tuple[str, ...]] = ("Resize", "Upsample")

    only: Select = Select.ALL
    rounding: Rounding = Rounding.HALF_UP

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Change the mode of the selected nodes.

        Raises
        ------
        PassError
            A name pattern matches nothing, or the opset cannot express the rounding.
        """
        op = "Upsample" if graph.opset < _UPSAMPLE_ENDS else "Resize"
        selected = {id(node) for node in self.only.nodes(graph, op)}
        for node in graph.nodes:
            if node.op != op:
                continue
            mode = node.attrs.get("mode", "nearest")
            if id(node) not in selected:
                yield Skip(node, f"not selected by only={self.only}")
            elif mode != "linear":
                yield Skip(node, f"mode is {mode}, not linear")
            else:
                yield self._make_nearest(node, graph.opset)

    def _make_nearest(self, node: gs.Node, opset: int) -> Change:
        node.attrs["mode"] = "nearest"
        if opset >= _ROUNDING_BEGINS:
            node.attrs["nearest_mode"] = self.rounding.onnx
            for attribute in _INTERPOLATION_ONLY:
                node.attrs.pop(attribute, None)
        elif self.rounding is not Rounding.FLOOR:
            raise PassError(
                f"{node.op} of opset {opset} always rounds down",
                where=node.name,
                cure=f"use rounding=floor, or export the model with opset {_ROUNDING_BEGINS} or newer",
            )
        return Change(node, f"linear -> nearest, {self.rounding.onnx}")
