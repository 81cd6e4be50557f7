"""Rewrite every Resize into the one that the device runs in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.ascend import chip
from fastscnn_opt.linting.graph import attribute

if TYPE_CHECKING:
    import onnx


def resize_as_on_device(graph: onnx.GraphProto) -> None:
    """Give each Resize of `graph` the transformation and the rounding that the device uses; it reads no more of it."""
    from onnx.helper import make_attribute

    for node in graph.node:
        if node.op_type != "Resize":
            continue
        mode = attribute(node, "mode", "nearest")
        transformation = chip.resize_transformation(attribute(node, "coordinate_transformation_mode", "half_pixel"))
        attributes = {"coordinate_transformation_mode": transformation, "mode": mode}
        if mode == "nearest":
            attributes["nearest_mode"] = chip.resize_rounding(transformation)
        del node.attribute[:]
        node.attribute.extend(make_attribute(name, value) for name, value in attributes.items())
