"""Rules about Resize: the Ascend 310 may sample other pixels than the file says, or leave the AI Core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.ascend import chip
from fastscnn_opt.linting.graph import Graph, attribute, label
from fastscnn_opt.linting.rules import Problem, Severity, rule
from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.model.resize import TRANSFORMATIONS, source_coordinates

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx
    from numpy.typing import NDArray

_TRANSFORMATIONS_BEGIN = 11
"""Opset from which Resize has a coordinate transformation and a rounding; before, it is asymmetric, rounding down."""

_SAME = 1e-3
"""Pixels of the source below which two coordinates count as equal: rounding of a scale in float32 stays below it."""

_ROUNDINGS = {"round_prefer_floor": "half-down", "round_prefer_ceil": "half-up", "floor": "floor", "ceil": "ceil"}
"""Values of ``nearest_mode``, and their names in the pass `resize-nearest`."""


@dataclass(frozen=True)
class Sampling:
    """How a Resize picks its source pixels."""

    mode: str
    transformation: str
    rounding: str

    @property
    def on_device(self) -> Sampling:
        """How the device picks them instead."""
        transformation = chip.resize_transformation(self.transformation)
        return Sampling(self.mode, transformation, chip.resize_rounding(transformation))


@dataclass(frozen=True)
class Axis:
    """A spatial axis of a Resize: its name, its lengths, and how many times it grows."""

    name: str
    source: int
    result: int
    scale: float

    def pixels(self, sampling: Sampling) -> NDArray[np.float64] | None:
        """Return the source pixel of every result pixel, between two for ``linear``; None for an unknown formula."""
        if sampling.transformation not in TRANSFORMATIONS:
            return None
        coordinates = source_coordinates(sampling.transformation, self.source, self.result, self.scale)
        if sampling.mode == "nearest":
            # A coordinate such as 2.9999999 is a whole number that a float scale has missed.
            coordinates = np.round(coordinates, 6)
            roundings = {
                "round_prefer_floor": np.ceil(coordinates - 0.5),
                "round_prefer_ceil": np.floor(coordinates + 0.5),
                "floor": np.floor(coordinates),
                "ceil": np.ceil(coordinates),
            }
            coordinates = roundings[sampling.rounding]
        return np.clip(coordinates, 0, self.source - 1)


@rule("A111", Severity.ERROR, "Resize whose coordinates the device computes differently")
def coordinates(graph: Graph) -> Iterator[Problem]:
    """Find Resize nodes that sample elsewhere on the device because of their coordinate transformation.

    Only `align_corners` and `pytorch_half_pixel` are honoured. Any other value, ONNX's default `half_pixel` included,
    runs as `asymmetric`, which shifts the image. A node that samples the same pixels either way is not reported.

    Cure: write `pytorch_half_pixel` instead of `half_pixel`, which is the same for outputs of more than one pixel a
    side. Export with `align_corners=True` only if the network was trained so, as FastSCNN of SegmenTron and Tramac was.
    """
    for node, sampling, axes in _resizes(graph):
        device = sampling.on_device
        if sampling.transformation != device.transformation and (shift := _difference(sampling, axes)):
            yield Problem(
                label(node),
                f"coordinate_transformation_mode {sampling.transformation} runs as {device.transformation}: {shift}",
                "write pytorch_half_pixel, which computes the same"
                if sampling.transformation == "half_pixel"
                else "export the model with align_corners or pytorch_half_pixel, as it was trained",
            )


@rule("A112", Severity.ERROR, "nearest Resize that the device rounds differently")
def rounding(graph: Graph) -> Iterator[Problem]:
    """Find nearest Resize nodes that pick other pixels on the device because of their rounding.

    `nearest_mode` is ignored: with `align_corners` the device rounds half up, otherwise it rounds down. A file that
    says `floor` with `align_corners` loses about half its mIoU in any other engine, and none of it on the device, so
    the figures of other engines are wrong for the device.

    Cure: make the node from the bilinear one with the pass `resize-nearest`, whose default `rounding=half-up` is what
    the device does with `align_corners`.
    """
    for node, sampling, axes in _resizes(graph):
        device = sampling.on_device
        same_coordinates = sampling.transformation == device.transformation
        if sampling.mode == "nearest" and same_coordinates and (moved := _difference(sampling, axes)):
            wanted = f"resize-nearest{{rounding={_ROUNDINGS[device.rounding]}}}"
            yield Problem(
                label(node),
                f"nearest_mode {sampling.rounding} with {sampling.transformation} runs as {device.rounding}: {moved}",
                f"make it from the bilinear model with the pass `{wanted}`",
            )


@rule("A113", Severity.ERROR, "cubic Resize")
def cubic(graph: Graph) -> Iterator[Problem]:
    """Find Resize nodes of mode `cubic`, which atc refuses.

    Cure: export the model with bilinear interpolation.
    """
    for node in _resize_nodes(graph):
        if attribute(node, "mode", "nearest") == "cubic":
            yield Problem(label(node), "mode cubic is refused", "export the model with bilinear interpolation")


@rule("A114", Severity.ERROR, "Resize without its inputs")
def inputs(graph: Graph) -> Iterator[Problem]:
    """Find Resize nodes with less than three inputs, such as those of opset 10; atc needs three or four.

    Cure: export the model with opset 11 to 13 (`fastscnn-opt export --opset 13`).
    """
    for node in _resize_nodes(graph):
        if not 3 <= len(node.input) <= 4:
            yield Problem(
                label(node),
                f"has {len(node.input)} inputs, and atc needs 3 or 4",
                f"export the model with opset {chip.OPSETS}",
            )


@rule("A115", Severity.ERROR, "bilinear Resize that leaves the AI Core")
def side(graph: Graph) -> Iterator[Problem]:
    """Find bilinear Resize nodes with a height or width above 2048, in or out, which the AI Core does not run.

    Cure: a smaller input, or nearest neighbour there with the pass `resize-nearest{only=NODE}`, which changes the
    result.
    """
    for node, sampling, axes in _resizes(graph):
        obstacle = chip.bilinear_obstacle([length for axis in axes for length in (axis.source, axis.result)])
        if sampling.mode == "linear" and obstacle:
            yield Problem(
                label(node),
                f"leaves the AI Core, since {obstacle}",
                f"export the model for smaller images, or use the pass `resize-nearest{{only={label(node)}}}`",
            )


def _resize_nodes(graph: Graph) -> Iterator[onnx.NodeProto]:
    return (node for node in graph.nodes if node.op_type == "Resize" and node.domain in ONNX_DOMAINS)


def _resizes(graph: Graph) -> Iterator[tuple[onnx.NodeProto, Sampling, list[Axis]]]:
    """Yield the Resize nodes that are not cubic, how they sample, and their axes as far as the lengths are known."""
    for node in _resize_nodes(graph):
        mode = attribute(node, "mode", "nearest")
        if mode == "cubic":
            continue
        sampling = Sampling(mode, "asymmetric", "floor")
        if graph.opset >= _TRANSFORMATIONS_BEGIN:
            transformation = attribute(node, "coordinate_transformation_mode", "half_pixel")
            sampling = Sampling(mode, transformation, attribute(node, "nearest_mode", "round_prefer_floor"))
        yield node, sampling, list(_axes(graph, node))


def _axes(graph: Graph, node: onnx.NodeProto) -> Iterator[Axis]:
    source, result = graph.shape(node.input[0]) or (), graph.shape(node.output[0]) or ()
    scales_at = 2 if graph.opset >= _TRANSFORMATIONS_BEGIN else 1
    given = graph.constant(node.input[scales_at]) if len(node.input) > scales_at and node.input[scales_at] else None
    for index in range(2, len(source)):
        before, after = source[index], result[index] if index < len(result) else None
        if before and after:
            scale = after / before
            if given is not None and given.shape == (len(source),) and given[index] > 0:
                scale = float(given[index])
            yield Axis(("height", "width")[index - 2] if len(source) == 4 else f"axis {index}", before, after, scale)


def _difference(sampling: Sampling, axes: list[Axis]) -> str:
    """Return in words how the device differs from the file; empty where it samples the same pixels."""
    device = sampling.on_device
    if not axes:
        rounded = sampling.mode == "nearest" and sampling.rounding != device.rounding
        return "its size is not known" if rounded or sampling.transformation != device.transformation else ""
    texts = []
    for axis in axes:
        here, there = axis.pixels(sampling), axis.pixels(device)
        if here is None or there is None:
            return "another formula"
        moved = np.abs(here - there)
        if sampling.mode == "nearest" and moved.any():
            texts.append(f"{np.count_nonzero(moved)} of {axis.result} along the {axis.name} come from another pixel")
        elif moved.max(initial=0) > _SAME:
            texts.append(f"off by up to {moved.max():.2f} pixels along the {axis.name}")
    return ", ".join(texts)
