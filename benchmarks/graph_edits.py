"""Rewrites of a graph that were tried and dropped, and an export that needs those that were kept, for `rewrites.py`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_graphsurgeon as gs

from fastscnn_opt.model.shapes import infer_shapes

if TYPE_CHECKING:
    from collections.abc import Callable

    import onnx


def edited(model: onnx.ModelProto, edit: Callable[..., None], *arguments: Any) -> onnx.ModelProto:
    """Return a copy of `model` after `edit(graph, *arguments)`."""
    graph = gs.import_onnx(infer_shapes(model))
    edit(graph, *arguments)
    return infer_shapes(gs.export_onnx(graph.cleanup().toposort()))


def add(graph: gs.Graph, op: str, *inputs: Any, **attributes: Any) -> gs.Variable:
    """Append a node and return its only output; an array among its inputs becomes a constant."""
    name = f"rewritten/{op}_{len(graph.nodes)}"
    (output,) = graph.layer(name=name, op=op, inputs=list(inputs), outputs=[name], attrs=attributes)
    return output


@dataclass(frozen=True)
class Window:
    """How a convolution walks along one axis (0 is that of the rows)."""

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int

    @classmethod
    def of(cls, conv: gs.Node, axis: int) -> Window:
        """Read it from the attributes of a convolution of images."""
        stride, dilation = (conv.attrs.get(key, [1, 1])[axis] for key in ("strides", "dilations"))
        pads = conv.attrs.get("pads", [0, 0, 0, 0])
        return cls(conv.inputs[1].shape[2 + axis], stride, dilation, pads[axis], pads[2 + axis])


def group_pixels(graph: gs.Graph, rows: int, columns: int) -> None:
    """Let the first convolution read blocks of `rows` x `columns` pixels of a raw image N, H, W, 3 as channels.

    `rows` and `columns` divide its stride. Between the image and the convolution are a Transpose and element-wise nodes
    with a constant per channel, as `uint8-input` makes them.
    """
    image = graph.inputs[0]
    path = [image.outputs[0]]
    while path[-1].op != "Conv":
        (reader,) = path[-1].outputs[0].outputs
        path.append(reader)
    transpose, *between, conv = path
    pixels = _blocks_as_channels(graph, image, rows, columns)
    pixels.inputs[0].outputs = [transpose.outputs[0]]
    transpose.outputs.clear()
    for node in (*between, conv):
        node.inputs[0].shape = None
    for node in between:
        for constant in node.inputs[1:]:
            constant.values = np.tile(constant.values, (1, rows * columns, 1, 1))
    vertical, horizontal = Taps.of(conv, 0, image.shape[1], rows), Taps.of(conv, 1, image.shape[2], columns)
    weight = conv.inputs[1].values
    spread = np.zeros((len(weight), rows, columns, image.shape[3], vertical.kernel, horizontal.kernel), weight.dtype)
    for row, column in np.ndindex(*weight.shape[2:]):
        (block_row, place_row), (block_column, place_column) = vertical.places[row], horizontal.places[column]
        spread[:, place_row, place_column, :, block_row, block_column] = weight[:, :, row, column]
    conv.inputs[1] = gs.Constant("weight_of_blocks", spread.reshape(len(weight), -1, *spread.shape[4:]))
    conv.attrs |= {
        "kernel_shape": [vertical.kernel, horizontal.kernel],
        "strides": [vertical.stride, horizontal.stride],
        "dilations": [1, 1],
        "pads": [vertical.before, horizontal.before, vertical.after, horizontal.after],
    }


@dataclass(frozen=True)
class Taps:
    """A convolution along one axis that reads blocks: (block, place in it) of every old tap, and its new attributes."""

    places: list[tuple[int, int]]
    kernel: int
    stride: int
    before: int
    after: int

    @classmethod
    def of(cls, conv: gs.Node, axis: int, size: int, block: int) -> Taps:
        """Spread the taps of `conv` over blocks.

        Tap k reads pixel i * stride + k * dilation - padding for result i. Divided by the size of a block, that is a
        block and a place in it.
        """
        window = Window.of(conv, axis)
        blocks, places = np.divmod(np.arange(window.kernel) * window.dilation - window.before, block)
        kernel, stride = int(np.ptp(blocks)) + 1, window.stride // block
        before = -int(blocks.min())
        after = (conv.outputs[0].shape[2 + axis] - 1) * stride + kernel - size // block - before
        return cls(list(zip(blocks + before, places, strict=True)), kernel, stride, before, max(after, 0))


def _blocks_as_channels(graph: gs.Graph, image: gs.Variable, rows: int, columns: int) -> gs.Variable:
    """Return `image` as N, rows x columns x 3, H / rows, W / columns."""
    number, height, width, channels = image.shape
    shape = [number, height, width // columns, columns * channels]
    pixels = add(graph, "Transpose", add(graph, "Reshape", image, np.array(shape)), perm=[0, 3, 1, 2])
    if rows == 1:
        return pixels
    parts = [number, columns * channels, height // rows, rows, width // columns]
    turned = add(graph, "Transpose", add(graph, "Reshape", pixels, np.array(parts)), perm=[0, 3, 1, 2, 4])
    shape = [number, rows * columns * channels, height // rows, width // columns]
    return add(graph, "Reshape", turned, np.array(shape))


def convolve_before_upsampling(graph: gs.Graph) -> None:
    """Move every 1x1 convolution behind a Concat of upsampled tensors in front of the upsampling.

    Interpolation and a 1x1 convolution are linear and act on different axes, and the weights of an interpolation add
    up to one: conv(concat(up(x), y)) = up(conv(x)) + conv(y), with the bias in one of them.
    """
    for conv in [node for node in graph.nodes if _is_pointwise(node)]:
        parts = conv.inputs[0].inputs[0].inputs if _comes_from(conv.inputs[0], "Concat") else []
        if not any(_comes_from(part, "Resize") for part in parts):
            continue
        weight, bias = conv.inputs[1].values, list(conv.inputs[2:])
        terms = []
        start = 0
        for part in parts:
            slab = np.ascontiguousarray(weight[:, start : start + part.shape[1]])
            start += part.shape[1]
            resize = part.inputs[0] if _comes_from(part, "Resize") else None
            term = add(graph, "Conv", resize.inputs[0] if resize else part, slab, *bias, **conv.attrs)
            bias = []
            if resize:
                given = [value if isinstance(value, gs.Variable) else value.values for value in resize.inputs[1:]]
                if len(given) == 3:  # sizes, N, C, H, W
                    given[2] = np.array([given[2][0], len(weight), *given[2][2:]])
                term = add(graph, "Resize", term, *given, **resize.attrs)
            terms.append(term)
        total = terms.pop()
        while terms:
            total = add(graph, "Add", total, terms.pop())
        total.inputs[0].outputs = [conv.outputs[0]]
        conv.outputs.clear()


def _is_pointwise(node: gs.Node) -> bool:
    if node.op != "Conv" or node.inputs[1].shape[2:] != [1, 1]:
        return False
    return (
        node.attrs.get("group", 1) == 1
        and {*node.attrs.get("strides", [1])} == {1}
        and not any(node.attrs.get("pads", []))
    )


def _comes_from(tensor: gs.Tensor, op: str) -> bool:
    """Tell whether `tensor` is made by a Resize that interpolates, or by a Concat of channels."""
    wanted = {"Resize": {"mode": "linear"}, "Concat": {"axis": 1}}[op]
    return bool(tensor.inputs) and tensor.inputs[0].op == op and wanted.items() <= tensor.inputs[0].attrs.items()


def forks(graph: gs.Graph) -> list[gs.Variable]:
    """Return the tensors that several nodes read: the ends of the blocks of the network, in order."""
    return [node.outputs[0] for node in graph.nodes if len(node.outputs[0].outputs) > 1]


def cut_into_strips(graph: gs.Graph, count: int, blocks: int) -> None:
    """Compute the first `blocks` blocks of the network in `count` strips of rows, one strip after another.

    What lies between the layers of a strip can stay in the cache. Rows at the border of a strip that the next one
    needs, too, are computed twice.
    """
    ends = forks(graph)[:blocks]
    pieces: dict[str, list[gs.Variable]] = {end.name: [] for end in ends}
    for number in range(count):
        strip = Strip(graph)
        for end in reversed(ends):  # a later block needs more rows of an earlier one than its own
            first, last = (end.shape[2] * place // count for place in (number, number + 1))
            pieces[end.name].append(strip.rows(end, first, last))
    for end in ends:
        end.inputs.clear()
        graph.nodes.append(gs.Node("Concat", f"strips_of_{end.name}", {"axis": 2}, pieces[end.name], [end]))


class Strip:
    """The rows of tensors that one strip has to compute."""

    def __init__(self, graph: gs.Graph) -> None:
        self._graph = graph
        self._made: dict[str, tuple[gs.Variable, int, int]] = {}

    def rows(self, tensor: gs.Variable, first: int, last: int) -> gs.Variable:
        """Return rows `first` to `last` (exclusive) of `tensor`, from those that the strip has or computed anew."""
        if tensor.name not in self._made:
            self._made[tensor.name] = self._compute(tensor, first, last), first, last
        made, start, stop = self._made[tensor.name]
        if not start <= first < last <= stop:
            raise ValueError(f"{tensor.name} has rows {start} to {stop} in this strip, not {first} to {last}")
        return made if (first, last) == (start, stop) else self._cut(made, first - start, last - start, axis=2)

    def _compute(self, tensor: gs.Variable, first: int, last: int) -> gs.Variable:
        if not tensor.inputs:
            return self._cut(tensor, first, last, axis=1)  # N, H, W, 3
        (node,) = tensor.inputs
        source, attributes = node.inputs[0], dict(node.attrs)
        if node.op == "Conv":
            window, height = Window.of(node, 0), source.shape[2]
            first = first * window.stride - window.before
            last = (last - 1) * window.stride - window.before + (window.kernel - 1) * window.dilation + 1
            _, left, _, right = attributes.get("pads", [0, 0, 0, 0])
            attributes["pads"] = [max(-first, 0), left, max(last - height, 0), right]
            first, last = max(first, 0), min(last, height)
        elif node.op not in ("Relu", "Clip", "Cast", "Sub", "Transpose"):
            raise ValueError(f"{node.name}, a {node.op}, cannot be cut into strips")
        return add(self._graph, node.op, self.rows(source, first, last), *node.inputs[1:], **attributes)

    def _cut(self, tensor: gs.Variable, first: int, last: int, axis: int) -> gs.Variable:
        return add(self._graph, "Slice", tensor, np.array([first]), np.array([last]), np.array([axis]))


def unfold(graph: gs.Graph) -> None:
    """Write the network as an exporter does that folds nothing, with the same function.

    Every convolution gets a batch normalisation with statistics of its own, every one with a window a Pad by nothing in
    front, every Relu an Identity behind it, and the last convolution a Dropout in front.
    """
    rng = np.random.default_rng(0)
    convolutions = [node for node in graph.nodes if node.op == "Conv"]
    for node in [node for node in graph.nodes if node.op == "Relu"]:
        _put_behind(graph, node, "Identity")
    for conv in convolutions:
        weight, bias = (tensor.values for tensor in conv.inputs[1:])
        factor, variance = rng.uniform(0.5, 2, (2, len(bias))).astype(np.float32)
        mean = rng.standard_normal(len(bias), dtype=np.float32)
        raw = gs.Constant(f"{conv.name}_raw_weight", weight / factor[:, None, None, None])
        conv.inputs = [conv.inputs[0], raw]
        scale = factor * np.sqrt(variance + np.float32(1e-5))
        _put_behind(graph, conv, "BatchNormalization", scale, bias + mean * factor, mean, variance, epsilon=1e-5)
        if prod(weight.shape[2:]) > 1:
            conv.inputs[0] = add(graph, "Pad", conv.inputs[0], np.zeros(8, np.int64))
    convolutions[-1].inputs[0] = add(graph, "Dropout", convolutions[-1].inputs[0])


def _put_behind(graph: gs.Graph, node: gs.Node, op: str, *inputs: Any, **attributes: Any) -> None:
    """Put a node between `node` and all that reads it."""
    (output,) = node.outputs
    inner = gs.Variable(f"{output.name}_before_{op}", dtype=output.dtype)
    node.outputs = [inner]
    add(graph, op, inner, *inputs, **attributes).inputs[0].outputs = [output]
