"""The pass `space-to-depth`: neighbouring pixels become channels of a first convolution in int8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastscnn_opt.rewriting.contract import Change, Contract, Pass, Skip, Step
from fastscnn_opt.rewriting.graph.nodes import Readers

from ._emitter import Emitter
from ._graph import constant_value, parameters_of, type_name, what_fixes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray

_ACTIVATIONS = ("Relu", "Clip")


@dataclass(frozen=True)
class SpaceToDepth(Pass):
    """Let a quantised first convolution read neighbouring pixels as channels, with the same results.

    1. The pass matches a convolution in int8 (as `int8` leaves it, behind `uint8-input`) that reads a uint8 image
       N, H, W, 3. There, gathering three bytes at a time takes several times as long as the products of them.
    2. ``pixels`` (4) neighbours in a row become one pixel with ``pixels`` x 3 channels, which moves nothing in memory.
       A convolution of stride s then makes ``pixels`` / s neighbouring results at once, as channels. Behind it they
       become neighbours in a row again. The new weights are the old ones and zeros, so the sums are the same integers.
    3. The width must be a multiple of ``pixels``, and ``pixels`` a multiple of the stride.
    4. A convolution in float is left alone: there the products take most of the time, and more of them would not pay.
    """

    name: ClassVar[str] = "space-to-depth"
    contract: ClassVar[Contract] = Contract.EXACT

    pixels: int = 4

    def __post_init__(self) -> None:
        if self.pixels < 2:
            raise ValueError(f"pixels={self.pixels} groups nothing; use 2 or more")

    def rewrite(self, graph: gs.Graph) -> Iterator[Step]:
        """Change the first convolution behind every uint8 image."""
        outputs, readers = {id(tensor) for tensor in graph.outputs}, Readers(graph)
        for image in graph.inputs:
            found = [node for node in readers.of(image) if node.op == "Transpose" or image.dtype == np.uint8]
            for reader in {id(node): node for node in found}.values():
                stem = _find_stem(reader, readers)
                problem = stem if isinstance(stem, str) else self._misfit(stem, outputs)
                if isinstance(stem, str) or problem:
                    yield Skip(reader, problem)
                else:
                    yield self._group(graph, stem)

    def _misfit(self, stem: _Stem, outputs: set[int]) -> str:
        for node in (stem.transpose, *stem.conv.inputs[0].inputs, stem.conv, *stem.activations):
            if id(node.outputs[0]) in outputs:
                return f"{node.outputs[0].name}, whose shape would change, is a graph output"
        if stem.image.shape[2] % self.pixels:
            return f"the width {stem.image.shape[2]} is no multiple of pixels={self.pixels}"
        if self.pixels % stem.stride or self.pixels == stem.stride:
            return f"pixels={self.pixels} is no larger multiple of the stride {stem.stride} of {stem.conv.name}"
        if self._taps(stem).pads[1] < 0:
            return f"{stem.conv.name} leaves out columns at the right border"
        return ""

    def _taps(self, stem: _Stem) -> _Taps:
        return _Taps(stem.weight, self.pixels, stem.stride, stem.dilation, stem.left, stem.image.shape[2], stem.size[3])

    def _group(self, graph: gs.Graph, stem: _Stem) -> Change:
        taps, conv = self._taps(stem), stem.conv
        emit = Emitter.under(graph, f"{conv.name}_grouped")
        number, height, width, channels = stem.image.shape
        shape = [number, height, width // self.pixels, self.pixels * channels]
        stem.transpose.inputs = [emit.node("Reshape", stem.image, emit.constant(shape, np.int64))]
        for tensor in (conv.inputs[0], *(reader.outputs[0] for reader in (stem.transpose, conv, *stem.activations))):
            tensor.shape = None
        weight, *bias = parameters_of(conv)
        conv.inputs = [
            conv.inputs[0],
            _repeat(emit, weight, taps.results, taps.weights),
            *(_repeat(emit, tensor, taps.results) for tensor in bias),
        ]
        top, _, bottom, _ = conv.attrs.get("pads", [0, 0, 0, 0])
        conv.attrs |= {
            "kernel_shape": list(taps.weights.shape[2:]),
            "strides": [conv.attrs.get("strides", [1, 1])[0], 1],
            "dilations": [conv.attrs.get("dilations", [1, 1])[0], 1],
            "pads": [top, taps.pads[0], bottom, taps.pads[1]],
        }
        _ungroup(emit, stem, taps.results)
        what = f"reads {self.pixels} pixels as {self.pixels * channels} channels, {taps.results} results at once"
        return Change(conv, what)


@dataclass(frozen=True)
class _Stem:
    """A uint8 image N, H, W, C, and the nodes behind it up to the QuantizeLinear.

    `weight` is int8 (filters, C, rows, columns). `stride`, `dilation` and the padding `left` are those along W. `size`
    is the shape of the result: N, filters, height, width.
    """

    image: gs.Variable
    transpose: gs.Node
    conv: gs.Node
    activations: list[gs.Node]
    quantize: gs.Node
    weight: NDArray[Any]
    stride: int
    dilation: int
    left: int
    size: list[int]


def _find_stem(transpose: gs.Node, readers: Readers) -> _Stem | str:
    """Return the stem that begins with `transpose`, or the reason why there is none."""
    image, (dequantize, conv) = transpose.inputs[0], _only_readers(transpose, readers, 2)
    problem = _begins_otherwise(transpose, dequantize, conv)
    if problem or conv is None:
        return problem
    weight, size = _bytes(conv.inputs[1]), conv.outputs[0].shape
    if weight is None or weight.ndim != 4 or conv.attrs.get("group", 1) != 1:
        return f"{conv.name} is grouped, or its weights are not int8 constants"
    if not all(isinstance(length, int) for length in (*(image.shape or "?"), *(size or "?"))):
        return f"its shapes are not fixed; run {what_fixes(conv.outputs[0])} first"
    if conv.attrs.get("auto_pad", "NOTSET") != "NOTSET":
        return f"the padding of {conv.name} is not written out; run simplify before"
    activations = []
    (node,) = _only_readers(conv, readers, 1)
    while node is not None and node.op in _ACTIVATIONS:
        activations.append(node)
        (node,) = _only_readers(node, readers, 1)
    if node is None or node.op != "QuantizeLinear":
        return f"the result of {conv.name} is not quantised at once"
    stride, dilation = (conv.attrs.get(key, [1, 1])[1] for key in ("strides", "dilations"))
    left = conv.attrs.get("pads", [0, 0, 0, 0])[1]
    return _Stem(image, transpose, conv, activations, node, weight, stride, dilation, left, list(size))


def _begins_otherwise(transpose: gs.Node, dequantize: gs.Node | None, conv: gs.Node | None) -> str:
    """Say why the three nodes are no beginning of a stem; the empty text if they are."""
    image = transpose.inputs[0]
    if transpose.op != "Transpose" or list(transpose.attrs.get("perm", [])) != [0, 3, 1, 2]:
        return "is no Transpose that puts the channels of a uint8 image first, as uint8-input{layout=nhwc} makes it"
    if image.dtype != np.uint8:
        return f"its image {image.name} is {type_name(image)}, not uint8; run uint8-input and int8 before"
    if dequantize is None:
        return f"not one node alone reads its result, but {len(transpose.outputs[0].outputs)}"
    if dequantize.op != "DequantizeLinear":
        return f"{dequantize.op} {dequantize.name} reads its result, so the image is not quantised; run int8 before"
    is_alone = conv is not None and conv.op == "Conv"
    return "" if is_alone else f"not one convolution alone reads the result of {dequantize.name}"


def _only_readers(node: gs.Node, readers: Readers, count: int) -> list[gs.Node | None]:
    """Return the only reader of `node`, the only reader of that, and so on; None once there is not exactly one."""
    found: list[gs.Node | None] = []
    current: gs.Node | None = node
    for _ in range(count):
        behind = readers.of(current.outputs[0]) if current is not None else []
        current = behind[0] if len(behind) == 1 else None
        found.append(current)
    return found


def _bytes(tensor: gs.Tensor) -> NDArray[Any] | None:
    """Return the int8 constant from which a DequantizeLinear makes `tensor`; None for any other tensor."""
    if not tensor.inputs or tensor.inputs[0].op != "DequantizeLinear":
        return None
    value = constant_value(tensor.inputs[0].inputs[0])
    return value if value is not None and value.dtype == np.int8 else None


@dataclass(frozen=True)
class _Taps:
    """The weights of a convolution along W, laid out for groups of pixels.

    For result j of a group, column k of the kernel reads the pixel j * stride + k * dilation - left, counted from the
    first pixel of the group. Division by `pixels` gives the group of that pixel, and the remainder its place there.
    """

    weight: NDArray[Any]
    pixels: int
    stride: int
    dilation: int
    left: int
    width: int
    width_out: int

    @property
    def results(self) -> int:
        """How many results one group of pixels gives."""
        return self.pixels // self.stride

    @property
    def weights(self) -> NDArray[Any]:
        """The new weights, results x filters, pixels x C, rows, groups, in the type of the old ones."""
        filters, channels, rows, _ = self.weight.shape
        group, place = self._places()
        spread = np.zeros(
            (self.results, filters, self.pixels, channels, rows, group.max() - group.min() + 1), self.weight.dtype
        )
        for result, column in np.ndindex(group.shape):
            target = spread[result, :, place[result, column], :, :, group[result, column] - group.min()]
            target[...] = self.weight[:, :, :, column]
        return spread.reshape(self.results * filters, self.pixels * channels, rows, -1)

    @property
    def pads(self) -> tuple[int, int]:
        """How many groups of padding there are at the left and at the right border."""
        group, _ = self._places()
        left = int(-group.min())
        kernel = int(group.max() - group.min() + 1)
        return left, -(-self.width_out // self.results) + kernel - 1 - self.width // self.pixels - left

    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return group and place of the pixel that every (result, column of the kernel) reads."""
        column = np.arange(self.weight.shape[3]) * self.dilation - self.left
        pixel = np.arange(self.results)[:, None] * self.stride + column
        return pixel // self.pixels, pixel % self.pixels


def _repeat(emit: Emitter, tensor: gs.Tensor, times: int, values: NDArray[Any] | None = None) -> gs.Tensor:
    """Return `tensor`, which has an entry for each filter, repeated `times` times along the filters.

    `tensor` is a constant, or the result of a DequantizeLinear of constants. If `values` are given, they become its
    values instead of the repeated ones.
    """
    own = constant_value(tensor)
    if own is not None:
        return emit.constant(np.tile(own, times) if values is None else values, own.dtype)
    dequantize = tensor.inputs[0]
    content, *per_filter = (np.asarray(constant_value(value)) for value in dequantize.inputs)
    content = np.tile(content, times) if values is None else values
    per_filter = [value if value.ndim == 0 or value.size == 1 else np.tile(value, times) for value in per_filter]
    inputs = [emit.constant(value, value.dtype) for value in (content, *per_filter)]
    return emit.node("DequantizeLinear", *inputs, dtype=np.float32, **dequantize.attrs)


def _ungroup(emit: Emitter, stem: _Stem, results: int) -> None:
    """Move the `results` of each group, which leave the QuantizeLinear as channels, next to each other along W."""
    whole, (number, filters, height, width) = stem.quantize.outputs[0], stem.size
    grouped = emit.tensor(whole.dtype)
    stem.quantize.outputs = [grouped]
    turned = emit.node("Transpose", grouped, perm=[0, 2, 3, 1])
    groups = -(-width // results)
    shape = emit.constant([number, height, groups * results, filters], np.int64)
    parted = emit.node("Reshape", turned, shape)
    if groups * results > width:
        parted = emit.slice(parted, [0], [width], [2])
    emit.node("Transpose", parted, perm=[0, 3, 1, 2], output=whole)
