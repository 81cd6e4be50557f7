"""The pass `upsample-output`: logits leave the graph at the size of the image."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.measuring.image_input import has_channels_last
from fastscnn_opt.measuring.layout import may_end_in_classes
from fastscnn_opt.measuring.resampling import interpolate
from fastscnn_opt.model.interface import static_shape
from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Labels, Pass, Runner, Skip, Step, Tensor

from ._emitter import Emitter
from ._graph import detach_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_FIRST_OPSET = 11
"""Resize has coordinate transformations and sizes from this opset on."""

_UNUSED_MAY_BE_MISSING = 13
"""First opset in which a Resize with sizes needs no empty tensors in the place of its other inputs."""

_RANK = 4

_TYPES = (np.float16, np.float32)


class Size(StrEnum):
    """What gives the height and width of the outputs."""

    INPUT = "input"


@dataclass(frozen=True)
class UpsampleOutput(Pass):
    """Resize logits to the size of the image inside the graph, for networks that leave this to the host.

    1. SegFormer, DDRNet, PIDNet and most networks of mmsegmentation give logits of a fourth or eighth of the image.
       The pass appends a linear Resize (half_pixel, that is ``align_corners=False`` of PyTorch) to the height and width
       of the input. `fast-argmax{labels=true}` behind it makes label maps of that size, at a fraction of its time.
    2. The output keeps its name, type and place.
    3. If the input leaves its height and width open, nodes read them at run time. Each of them must have a name.
    4. An output that has the size of the image already is left alone and reported. So is one that is no float32 or
       float16 of four dimensions, and one whose classes may lie along the last axis.
    """

    name: ClassVar[str] = "upsample-output"
    contract: ClassVar[Contract] = Contract.EXACT

    size: Size = Size.INPUT

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Append a Resize to every output of logits.

        Raises
        ------
        PassError
            No input is an image, or its height or width is open and has no name, or the opset is below 11.
        """
        image = next((value for value in graph.inputs if value.shape is not None and len(value.shape) == _RANK), None)
        if image is None:
            raise PassError("no input has the four dimensions of images")
        for output in graph.outputs:
            reason = _mismatch(output.dtype, output.shape, _size(image.shape)) or _no_node(output)
            yield Skip(output, reason) if reason else _append(graph, output, image)

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Return the outputs before the pass, logits interpolated in numpy."""
        from fastscnn_opt.rewriting.graph.importing import TypeReader

        read = TypeReader().read
        inputs = [(value.name, read(value)[1]) for value in before.model.graph.input]
        name, declared = next((name, shape) for name, shape in inputs if shape is not None and len(shape) == _RANK)
        height, width = _size(feeds[name].shape)
        outputs = before(feeds)
        for output in before.model.graph.output:
            dtype, shape, _ = read(output)
            value = outputs[output.name]
            if not isinstance(value, Labels) and not _mismatch(dtype, shape or value.shape, _size(declared)):
                outputs[output.name] = _interpolated(value, (height, width))
        return outputs


def _size(image: Sequence[Any]) -> tuple[Any, Any]:
    """Return the height and width of the images of that shape."""
    return (image[1], image[2]) if has_channels_last(image) else (image[2], image[3])


def _mismatch(dtype: Any, shape: Sequence[Any] | None, size: tuple[Any, Any]) -> str:
    """Say why an output is not logits of another size than `size`, that of the image; the empty text if it is."""
    if dtype not in _TYPES:
        return "is not of float32 or float16, as logits are"
    if shape is None or len(shape) != _RANK:
        return "does not have the four dimensions of logits N, C, H, W"
    if may_end_in_classes(shape, size if all(isinstance(side, int) for side in size) else None):
        return "may have its classes along the last axis"
    return "has the size of the image" if tuple(shape[2:]) == size and None not in size else ""


def _no_node(output: gs.Tensor) -> str:
    return "" if output.inputs else "is no result of a node"


def _append(graph: gs.Graph, output: gs.Variable, image: gs.Variable) -> Change:
    import onnx_graphsurgeon as gs

    if graph.opset < _FIRST_OPSET:
        raise PassError(f"opset {graph.opset} has no Resize to a size", cure="export the model with opset 11 or later")
    size = _size(image.shape)
    if None in size:
        cure = f"fix them with {static_shape({image.name: image.shape})}"
        raise PassError(f"input {image.name!r} leaves its height or width open, without a name", cure=cure)
    before, after = output.shape[2:], [*output.shape[:2], *size]
    logits = detach_output(graph, output, "logits")
    emit = Emitter.under(graph, f"{output.name}_upsample")
    if all(isinstance(side, int) for side in after):
        sizes: gs.Tensor = emit.constant(after, np.int64)
    else:
        first = 1 if has_channels_last(image.shape) else 2
        ends = ((logits, 0), (image, first))
        parts = [emit.slice(emit.node("Shape", tensor, dtype=np.int64), [at], [at + 2], [0]) for tensor, at in ends]
        sizes = emit.node("Concat", *parts, axis=0)
    unused = emit.constant([], np.float32) if graph.opset < _UNUSED_MAY_BE_MISSING else gs.Variable.empty()
    attributes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    emit.node("Resize", logits, unused, unused, sizes, output=output, **attributes)
    output.shape = after
    return Change(output, f"{_by(before)} -> {_by(size)}, that of input {image.name}")


def _interpolated(value: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if value.shape[2:] == size:
        return value
    return np.stack([interpolate(one, size) for one in value]).astype(value.dtype)


def _by(size: Iterable[object]) -> str:
    return " x ".join("?" if side is None else str(side) for side in size)
