"""Write FastSCNN as an ONNX model, straight from a checkpoint's weights.

The graph is built from the same wiring as the torch module, not traced: its shapes are static, batch normalisation is
folded into the convolutions, every node has a readable name, and adaptive pooling stays one node for a pass to lower.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.data.dataset import LONGEST_SIDE
from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.metadata import add_metadata
from fastscnn_opt.network.describing import describe
from fastscnn_opt.network.layout import (
    BATCH_NORM_EPSILON,
    Activation,
    Convolution,
    Head,
    Layout,
    Outputs,
    classes_in,
    convolutions,
)
from fastscnn_opt.network.wiring import SIZE_MULTIPLE, wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

CUSTOM_DOMAIN = "fastscnn_opt"
"""Operator domain of `AdaptiveAvgPool2d`, which ONNX does not have."""

OLDEST_OPSET = 11
"""First opset whose Resize knows ``align_corners`` and whose Clip takes its limits as inputs."""

SIZES_ALONE_OPSET = 13
"""First opset whose Resize may leave out `roi` and `scales`."""


def export_checkpoint(
    checkpoint: Path,
    *,
    batch: int = 1,
    height: int = 1024,
    width: int = 2048,
    outputs: Outputs = Outputs.MAIN,
    opset: int = 13,
    stem_padding: int | None = None,
) -> onnx.ModelProto:
    """Read a checkpoint and return the network as an ONNX model.

    Parameters
    ----------
    checkpoint
        File that `load_checkpoint` understands.
    batch, height, width
        Static shape of the input; height and width are multiples of 32.
    outputs
        ``main`` for ``output1`` alone, ``all`` for the auxiliary heads in the checkpoint, too (``output2``,
        ``output3``).
    opset
        Version of the default operator domain, 11 or newer.
    stem_padding
        Padding of the first convolution, 0 or 1, where it is not that of the layout.

    Returns
    -------
    onnx.ModelProto
        See `build_model`; ``metadata_props`` hold the layout's name and what `describe` says.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be read or does not fit.
    ModelError
        No network can be built for this size, opset or padding.
    """
    from fastscnn_opt.network.checkpoint import load_checkpoint

    if stem_padding not in (None, 0, 1):
        raise ModelError(f"cannot build FastSCNN for stem padding {stem_padding}: it must be 0 or 1")
    found = load_checkpoint(checkpoint, with_heads=outputs == Outputs.ALL)
    layout = found.layout.with_stem_padding(stem_padding)
    model = build_model(layout, found.weights, heads=found.heads, shape=(batch, height, width), opset=opset)
    add_metadata(model, describe(layout, found.classes, found.names, found.palette))
    return model


def build_model(
    layout: Layout,
    weights: Mapping[str, NDArray[np.float32]],
    *,
    heads: Sequence[Head] = (),
    shape: tuple[int, int, int] = (1, 1024, 2048),
    opset: int = 13,
) -> onnx.ModelProto:
    """Build the ONNX model of a network with these checkpoint `weights`.

    The input ``image`` is float32 N, 3, H, W, normalised; ``output1``, ``output2``, ... are logits, float32 N, C, H,
    W, the main output first. `shape` is N, H, W. Adaptive pooling is the node ``AdaptiveAvgPool2d`` of domain
    ``fastscnn_opt`` with the ints attribute ``output_size``.
    """
    _check_shape(*shape)
    _check_opset(opset)
    graph = _GraphBuilder(layout, weights, heads, batch=shape[0], opset=opset)
    results = wire(graph, layout, _Value("image", 3, *shape[1:]), shape[1:], heads)
    return graph.model([result.name for result in results], shape, layout)


def fold_batch_norm(
    convolution: Convolution, weights: Mapping[str, NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight and bias of `convolution` with its batch normalisation folded in.

    y = (w x + b - mean) * gamma / sqrt(variance + epsilon) + beta, computed in float64 and rounded once.
    """
    weight = weights[f"{convolution.conv}.weight"].astype(np.float64)
    bias = np.zeros(convolution.channels_out)
    if convolution.bias:
        bias = weights[f"{convolution.conv}.bias"].astype(np.float64)
    if convolution.norm is not None:
        gamma, beta, mean, variance = (weights[key].astype(np.float64) for key in convolution.norm_keys())
        scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
        weight = weight * scale[:, None, None, None]
        bias = (bias - mean) * scale + beta
    return weight.astype(np.float32), bias.astype(np.float32)


def _check_shape(batch: int, height: int, width: int) -> None:
    if batch < 1:
        raise ModelError(f"cannot build FastSCNN for batch {batch}: it must be 1 or more")
    for name, length in (("height", height), ("width", width)):
        if length > LONGEST_SIDE:
            raise ModelError(f"cannot build FastSCNN for {name} {length}: it must be at most {LONGEST_SIDE}")
        if length < SIZE_MULTIPLE or length % SIZE_MULTIPLE:
            below = max(length // SIZE_MULTIPLE, 1) * SIZE_MULTIPLE
            nearest = f"{below} or {below + SIZE_MULTIPLE}" if length > SIZE_MULTIPLE else f"{below}"
            raise ModelError(
                f"cannot build FastSCNN for {name} {length}: it must be a multiple of {SIZE_MULTIPLE}",
                cure=f"use {nearest}",
            )


def _check_opset(opset: int) -> None:
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise ModelError(f"cannot build FastSCNN for opset {opset}: it must be between {OLDEST_OPSET} and {newest}")


@dataclass(frozen=True)
class _Value:
    """A tensor of the graph: name, channels, height, width."""

    name: str
    channels: int
    height: int
    width: int


class _GraphBuilder:
    """Backend of `wire` that writes ONNX nodes."""

    def __init__(
        self,
        layout: Layout,
        weights: Mapping[str, NDArray[np.float32]],
        heads: Sequence[Head],
        *,
        batch: int,
        opset: int,
    ) -> None:
        self._convolutions = convolutions(layout, classes_in(layout, weights), heads)
        self._weights = weights
        self._batch = batch
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}
        self._values: list[_Value] = []

    def conv(self, name: str, image: _Value) -> _Value:
        """Write a Conv with folded batch normalisation, and its activation."""
        convolution = self._convolutions[name]
        weight, bias = fold_batch_norm(convolution, self._weights)
        inputs = [image.name, self._constant(f"{name}.weight", weight), self._constant(f"{name}.bias", bias)]
        height, width = (
            (length + sum(convolution.padding) - convolution.kernel) // convolution.stride + 1
            for length in self.size(image)
        )
        result = self._node(
            "Conv",
            name,
            inputs,
            (convolution.channels_out, height, width),
            kernel_shape=[convolution.kernel] * 2,
            strides=[convolution.stride] * 2,
            pads=[padding for padding in convolution.padding for _ in range(2)],
            dilations=[1, 1],
            group=convolution.groups,
        )
        match convolution.activation:
            case Activation.RELU:
                return self.relu(name, result)
            case Activation.RELU6:
                return self._relu6(name, result)
            case Activation.NONE:
                return result

    def relu(self, name: str, image: _Value) -> _Value:
        """Write a Relu."""
        return self._node("Relu", name, [image.name], (image.channels, *self.size(image)))

    def _relu6(self, name: str, image: _Value) -> _Value:
        limits = [self._constant("relu6.min", np.float32(0)), self._constant("relu6.max", np.float32(6))]
        return self._node("Clip", name, [image.name, *limits], (image.channels, *self.size(image)))

    def add(self, name: str, first: _Value, second: _Value) -> _Value:
        """Write an Add."""
        return self._node("Add", name, [first.name, second.name], (first.channels, *self.size(first)))

    def concat(self, name: str, images: Sequence[_Value]) -> _Value:
        """Write a Concat along the channels."""
        shape = (sum(image.channels for image in images), *self.size(images[0]))
        return self._node("Concat", name, [image.name for image in images], shape, axis=1)

    def pool(self, name: str, image: _Value, bins: int) -> _Value:
        """Write an AdaptiveAvgPool2d of the custom domain."""
        size = (bins, bins)
        shape = (image.channels, *size)
        return self._node("AdaptiveAvgPool2d", name, [image.name], shape, domain=CUSTOM_DOMAIN, output_size=size)

    def resize(self, name: str, image: _Value, size: tuple[int, int], *, align_corners: bool) -> _Value:
        """Write a Resize to a constant size; `sizes` because scales such as 64 / 3 are not exact."""
        sizes = np.array([self._batch, image.channels, *size], dtype=np.int64)
        # The two half-pixel modes differ for sides of one pixel only, and Ascend's compiler honours the second alone.
        half_pixel = "half_pixel" if 1 in size else "pytorch_half_pixel"
        unused = ""
        if self._opset < SIZES_ALONE_OPSET:
            unused = self._constant("resize.unused", np.empty(0, dtype=np.float32))
        return self._node(
            "Resize",
            name,
            [image.name, unused, unused, self._constant(f"{name}.sizes", sizes)],
            (image.channels, *size),
            mode="linear",
            coordinate_transformation_mode="align_corners" if align_corners else half_pixel,
        )

    def size(self, image: _Value) -> tuple[int, int]:
        """Return height and width."""
        return image.height, image.width

    def model(self, results: Sequence[str], shape: tuple[int, int, int], layout: Layout) -> onnx.ModelProto:
        """Return the checked model whose outputs are `results`, in order."""
        from onnx import checker, helper

        renamed = {result: f"output{index}" for index, result in enumerate(results, start=1)}
        for node in self._nodes:
            node.output[0] = renamed.get(node.output[0], node.output[0])
        graph = helper.make_graph(
            self._nodes,
            "FastSCNN",
            [self._info(_Value("image", 3, *shape[1:]))],
            [
                self._info(_Value(renamed[value.name], *_shape(value)))
                for value in self._values
                if value.name in renamed
            ],
            initializer=list(self._initializers.values()),
            value_info=[self._info(value) for value in self._values if value.name not in renamed],
        )
        opsets = [helper.make_opsetid("", self._opset), helper.make_opsetid(CUSTOM_DOMAIN, 1)]
        model = helper.make_model(
            graph,
            producer_name="fastscnn-opt",
            producer_version=version("fastscnn-opt"),
            ir_version=helper.find_min_ir_version_for(opsets, ignore_unknown=True),
            opset_imports=opsets,
        )
        helper.set_model_props(model, {"layout": str(layout)})
        checker.check_model(model)
        return model

    def _node(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        shape: tuple[int, int, int],
        **attributes: Any,
    ) -> _Value:
        """Append a node called after its place in the network and its operator, and return its output."""
        from onnx import helper

        path = f"/{name.replace('.', '/')}/{kind}"
        value = _Value(f"{path}_output", *shape)
        self._nodes.append(helper.make_node(kind, inputs, [value.name], name=path, **attributes))
        self._values.append(value)
        return value

    def _constant(self, name: str, array: NDArray[Any] | np.float32) -> str:
        from onnx import numpy_helper

        self._initializers.setdefault(name, numpy_helper.from_array(np.asarray(array), name))
        return name

    def _info(self, value: _Value) -> onnx.ValueInfoProto:
        from onnx import TensorProto, helper

        return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [self._batch, *_shape(value)])


def _shape(value: _Value) -> tuple[int, int, int]:
    return value.channels, value.height, value.width
