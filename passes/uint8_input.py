"""The pass `uint8-input`: raw images as input, with their normalisation in the first convolution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastscnn_opt.data.preprocess import IMAGENET
from fastscnn_opt.data.source import carried_table
from fastscnn_opt.errors import PassError
from fastscnn_opt.model.element_types import element_type
from fastscnn_opt.model.metadata import Metadata, format_metadata, metadata_of, parse
from fastscnn_opt.rewriting.contract import Change, Contract, Feeds, Pass, Runner, Skip, Step, Tensor
from fastscnn_opt.rewriting.graph.nodes import Readers

from ._graph import (
    append_cast,
    append_node,
    bias_of,
    constant_value,
    parameters_of,
    type_name,
    unique_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_CHANNELS = (1, 3)
_LARGEST = 255
"""The largest value of a pixel."""

_SIZE_ONLY = ("Shape", "Size")
"""Operators that do not read the values of the image; they go on reading the float32 image, which has its old shape."""


class ImageLayout(StrEnum):
    """In which order the axes of the image stand."""

    NHWC = "nhwc"
    NCHW = "nchw"


@dataclass(frozen=True)
class Uint8Input(Pass):
    """Let the graph take raw RGB images of uint8, and fold their normalisation into the first convolution.

    1. A float32 input N, C, H, W with three channels or one becomes uint8: N, H, W, C as images are decoded
       (``layout=nhwc``, the default) or N, C, H, W (``layout=nchw``). It keeps its name. A Transpose and a Cast follow.
    2. The network was trained on (x / 255 - mean) / std. ``mean`` and ``std`` give the value of each channel, in the
       model's order, or one for all. Without them the preprocessing in the model's metadata counts, and without that
       ImageNet's, which is reported. If only convolutions without padding read the input, scale and mean move into
       their weights and biases, and no node of the normalisation is left.
    3. A convolution that pads its input with zeros pads the normalised image, in which zero stands for the mean colour.
       In that case a node subtracts 255 * mean, so that zero keeps its meaning, and only the scale moves into the
       weights. The result is exact at the border, too.
    4. A uint8 input is left alone. So is an input whose values any node but a convolution with constant weights reads,
       for instance after `int8`. So run this pass before `int8`.
    5. The metadata then say that the model takes plain bytes, and which normalisation is in its weights.
    """

    name: ClassVar[str] = "uint8-input"
    contract: ClassVar[Contract] = Contract.EXACT

    layout: ImageLayout = ImageLayout.NHWC
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for option, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) not in _CHANNELS:
                raise ValueError(f"{option} takes one value, or three joined by |, not {len(values)}")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std takes values above 0")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Change every image input of the graph.

        Raises
        ------
        PassError
            The input has one channel, and its mean or deviation is not stated, or is stated for three.
        """
        metadata = parse(graph.metadata)
        for image in list(graph.inputs):
            problem = _mismatch(graph, image)
            if problem:
                yield Skip(image, problem)
                continue
            normalisation = self._normalisation(metadata, image.shape[1])
            yield self._change(graph, image, normalisation)
            if normalisation.assumed:
                yield Skip(image, "nothing states its mean and deviation, so ImageNet's are assumed")
            plain = metadata.preprocess | {"image_mean": [0.0], "image_std": [1.0], "rescale_factor": 1.0}
            stated = replace(metadata, preprocess=plain, folded=normalisation.stated())
            graph.metadata = format_metadata(stated, graph.metadata)

    def expected(self, before: Runner, feeds: Feeds) -> dict[str, Tensor]:
        """Run the old graph on the images of `feeds`, normalised."""
        float32 = element_type(np.float32)
        floats = {value.name for value in before.model.graph.input if value.type.tensor_type.elem_type == float32}
        metadata = metadata_of(before.model)
        return before(
            {
                name: self._normalised(value, metadata) if value.dtype == np.uint8 and name in floats else value
                for name, value in feeds.items()
            }
        )

    def _normalised(self, images: NDArray[Any], metadata: Metadata) -> NDArray[np.float32]:
        last = images if self.layout is ImageLayout.NHWC else images.transpose(0, 2, 3, 1)
        by = self._normalisation(metadata, last.shape[3])
        return np.ascontiguousarray(((last / _LARGEST - by.mean) / by.std).transpose(0, 3, 1, 2), dtype=np.float32)

    def _normalisation(self, metadata: Metadata, channels: int) -> _Normalisation:
        carried = carried_table(metadata)
        known = carried.complete(IMAGENET)
        one = _LARGEST * known.rescale_factor  # what the brightest byte is before mean and deviation
        mean = np.array(known.image_mean) / one if self.mean is None else np.array(self.mean)
        std = np.array(known.image_std) / one if self.std is None else np.array(self.std)
        assumed = (self.mean or carried.image_mean) is None or (self.std or carried.image_std) is None
        if channels == 1 and max(len(mean), len(std)) > 1:
            raise PassError(
                "the input has one channel, and its mean or deviation is not stated, or is stated for three",
                cure="say uint8-input{mean=... std=...} with one value each",
            )
        return _Normalisation(np.broadcast_to(mean, channels), np.broadcast_to(std, channels), assumed)

    def _change(self, graph: gs.Graph, image: gs.Variable, normalisation: _Normalisation) -> Change:
        raw = self._raw_input(graph, image)
        readers = [node for node in Readers(graph).of(image) if node.op == "Conv"]
        padded = any(_pads(node) for node in readers)
        for node in readers:
            _fold(graph, node, normalisation, with_mean=not padded)
        pixels = raw
        if self.layout is ImageLayout.NHWC:
            pixels = append_node(graph, "Transpose", [raw], f"{raw.name}_to_nchw", perm=[0, 3, 1, 2])
        floats = None if padded else image
        floats = append_cast(graph, pixels, np.float32, f"{raw.name}_to_float", floats)
        if padded:
            mean = (_LARGEST * normalisation.mean).astype(np.float32).reshape(1, -1, 1, 1)
            inputs = [floats, _constant(graph, f"{raw.name}_mean", mean)]
            append_node(graph, "Sub", inputs, f"{raw.name}_centre", output=image)
        folded = f"the {'scale' if padded else 'normalisation'} folded into {', '.join(node.name for node in readers)}"
        return Change(raw, f"float32 N, C, H, W -> uint8 {self.layout}, {folded}")

    def _raw_input(self, graph: gs.Graph, image: gs.Variable) -> gs.Variable:
        """Put a new uint8 input in the place of `image`, which becomes an inner tensor, and return it."""
        import onnx_graphsurgeon as gs

        number, channels, height, width = image.shape
        shape = [number, height, width, channels] if self.layout is ImageLayout.NHWC else list(image.shape)
        raw = gs.Variable(image.name, dtype=np.dtype(np.uint8), shape=shape)
        graph.inputs = [raw if value is image else value for value in graph.inputs]
        image.name = unique_name(graph, f"{raw.name}_float")
        return raw


@dataclass(frozen=True)
class _Normalisation:
    """Mean and deviation of each channel, of values between 0 and 1, and whether they are only assumed."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    assumed: bool

    def stated(self) -> dict[str, Any]:
        """Return the normalisation as metadata state it."""
        return {"image_mean": self.mean.tolist(), "image_std": self.std.tolist(), "rescale_factor": 1 / _LARGEST}


def _fold(graph: gs.Graph, node: gs.Node, normalisation: _Normalisation, *, with_mean: bool) -> None:
    """Give a convolution of normalised images weights and a bias for raw images, computed in float64."""
    mean, std = normalisation.mean, normalisation.std
    weight = np.asarray(constant_value(node.inputs[1]), dtype=np.float64)
    channel = _input_channels(weight, int(node.attrs.get("group", 1)))
    scaled = weight / (_LARGEST * std)[channel][:, :, None, None]
    inputs = [node.inputs[0], _constant(graph, f"{node.inputs[1].name}_uint8", scaled.astype(np.float32))]
    given = bias_of(node)
    old = np.zeros(len(weight)) if given is None else constant_value(given)
    shift = (weight * (mean / std)[channel][:, :, None, None]).sum(axis=(1, 2, 3))
    bias = np.asarray(old, dtype=np.float64) - (shift if with_mean else 0)
    node.inputs = [*inputs, _constant(graph, f"{node.name}_bias_uint8", bias.astype(np.float32))]


def _constant(graph: gs.Graph, name: str, values: NDArray[np.float32]) -> gs.Constant:
    import onnx_graphsurgeon as gs

    return gs.Constant(unique_name(graph, name), values)


def _input_channels(weight: NDArray[np.float64], groups: int) -> NDArray[np.int64]:
    """Return which input channel each weight (out, in / groups, kernel) multiplies: int64 (out, in / groups)."""
    filters, per_group = weight.shape[:2]
    first = np.arange(filters) // (filters // groups) * per_group
    channels: NDArray[np.int64] = first[:, None] + np.arange(per_group)
    return channels


def _mismatch(graph: gs.Graph, image: gs.Tensor) -> str:
    """Say why an input cannot become a raw image; the empty text if it can."""
    if image.dtype == np.uint8:
        return "is uint8 already"
    if image.dtype != np.float32:
        return f"is {type_name(image)}, not float32"
    if image.shape is None or len(image.shape) != 4 or image.shape[1] not in _CHANNELS:
        return f"its shape is {image.shape}, not that of images N, C, H, W of three channels or one"
    if any(output is image for output in graph.outputs):
        return "is a graph output, too"
    readers = [node for node in Readers(graph).of(image) if node.op not in _SIZE_ONLY]
    problems = (_no_convolution(node, image.shape[1]) for node in readers)
    return next(filter(None, problems), "" if readers else "no node reads its values")


def _no_convolution(node: gs.Node, channels: int) -> str:
    """Say why no normalisation of `channels` can be folded into `node`; the empty text if one can."""
    if node.op in ("QuantizeLinear", "DynamicQuantizeLinear"):
        return f"is quantised by {node.name}; run uint8-input before int8"
    if node.op != "Conv":
        return f"{node.op} {node.name} reads it, and only a convolution can take over the normalisation"
    if any(constant_value(tensor) is None for tensor in parameters_of(node)):
        return f"the weights of {node.name} are not constant"
    shape, *bias = (np.asarray(constant_value(tensor)).shape for tensor in parameters_of(node))
    groups = int(node.attrs.get("group", 1))
    fits = len(shape) == 4 and shape[1] * groups == channels and shape[0] % groups == 0
    if not fits or bias not in ([], [shape[:1]]):
        return f"the weights or the bias of {node.name} do not fit an image of {channels} channels"
    return ""


def _pads(node: gs.Node) -> bool:
    return any(node.attrs.get("pads", [])) or node.attrs.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID")
