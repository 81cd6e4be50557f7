"""Keep the interface of a graph whose size changes: scale the image inside it, and its results back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.errors import PassError
from fastscnn_opt.rewriting.contract import Change

from .._graph import append_cast, append_node, constant_value, detach_output, read_instead, type_name, unique_name
from .._rows import order_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import onnx_graphsurgeon as gs

_HALF_PIXEL_BEGINS = 11
"""Opset from which Resize has the coordinate transformation half_pixel, and sizes."""

_OPTIONAL_BEGINS = 13
"""Opset from which scales may be left out; before it, they are empty."""

_FORMS = ("Cast", "DequantizeLinear", "QuantizeLinear", "Transpose")
"""Operators that change the type or the order of an image, but not what it shows."""

_PASSING = ("ArgMax", "Cast", "Identity", "LogSoftmax", "Sigmoid", "Softmax", "Squeeze", "Unsqueeze")
"""Operators between the last Resize and an output that work on every pixel alone."""


def float_image(image: gs.Variable, places: Mapping[int, str]) -> tuple[gs.Tensor, dict[int, str]]:
    """Return the tensor in which `image` is a float image, and where height and width are in that.

    It is the image itself, or what a Cast and a Transpose make of a uint8 one. Raises PassError if nothing does.
    """
    for tensor, found in _behind(image, places):
        if _is_float(tensor):
            return tensor, found
    raise PassError(
        f"input {image.name!r} is {type_name(image)}, and nothing makes floats of it that could be scaled",
        cure="use input-size without keep",
    )


def is_scaled(image: gs.Variable, places: Mapping[int, str], size: Mapping[str, int]) -> bool:
    """Return whether a Resize to `size` is the first that computes with `image`."""
    tensor, found = list(_behind(image, places))[-1]
    if len(tensor.outputs) != 1 or tensor.outputs[0].op != "Resize" or len(tensor.outputs[0].inputs) < 4:
        return False
    resize = tensor.outputs[0]
    sizes, axes = constant_value(resize.inputs[3]), resize.attrs.get("axes", range(len(tensor.shape)))
    if sizes is None or len(axes) != sizes.size:
        return False
    made = {axis % len(tensor.shape): made for axis, made in zip(axes, sizes.flat, strict=True)}
    return all(made.get(place) == size[side] for place, side in found.items())


def _behind(image: gs.Tensor, places: Mapping[int, str]) -> Iterator[tuple[gs.Tensor, dict[int, str]]]:
    """Yield `image` and what single nodes make of it that only change its type or its order, with its sides."""
    tensor, found = image, dict(places)
    yield tensor, found
    while len(tensor.outputs) == 1 and tensor.outputs[0].op in _FORMS:
        reader = tensor.outputs[0]
        if reader.op == "Transpose":
            if (order := order_of(reader)) is None:
                return
            found = {order.index(place): side for place, side in found.items()}
        tensor = reader.outputs[0]
        yield tensor, found


def scale_image(graph: gs.Graph, image: gs.Tensor, size: Mapping[int, int]) -> gs.Variable:
    """Let all readers of the float tensor `image` read it at another size, and return the tensor that they read.

    `size` gives the new lengths by axis. The shape of what is returned is still that of `image`.
    """
    import onnx_graphsurgeon as gs

    scaled = gs.Variable(unique_name(graph, f"{image.name}_scaled"), dtype=image.dtype, shape=image.shape)
    read_instead(image, scaled)
    _resize(graph, image, [size.get(axis, length) for axis, length in enumerate(image.shape)], scaled)
    return scaled


def last_resizes(graph: gs.Graph) -> set[int]:
    """Return the ids of the Resize nodes whose interpolated results only become outputs, pixel by pixel."""
    found = set()
    for output in graph.outputs:
        tensor = output
        while tensor.inputs and tensor.inputs[0].op in _PASSING and len(tensor.outputs) <= (tensor is not output):
            tensor = tensor.inputs[0].inputs[0]
        node = tensor.inputs[0] if tensor.inputs else None
        if node is not None and node.op == "Resize" and len(tensor.outputs) <= (tensor is not output):
            found.add(id(node))
    return found


def restore_outputs(graph: gs.Graph, shapes: Mapping[str, Sequence[int] | None]) -> Iterator[Change]:
    """Scale the outputs back to `shapes`: floats bilinearly, label maps by nearest neighbour."""
    for output in list(graph.outputs):
        shape = shapes[output.name]
        if shape is None or output.shape == shape:
            continue
        if isinstance(output.dtype, int):
            raise PassError(f"output {output.name!r} is {type_name(output)}, which no Resize can scale back")
        inner = detach_output(graph, output, "scaled")
        output.shape = shape
        yield Change(output, f"{_times(inner.shape)} scaled to {_times(shape)}, {_resize(graph, inner, shape, output)}")


def _resize(graph: gs.Graph, source: gs.Tensor, shape: Sequence[int], result: gs.Variable) -> str:
    """Append a Resize of `source` to `shape` that makes `result`; return how it interpolates."""
    import onnx_graphsurgeon as gs

    floats = _is_float(source)
    scaled = {axis for axis, (old, new) in enumerate(zip(source.shape, shape, strict=True)) if old != new}
    if floats and len(shape) > 3 and not (scaled <= {*range(2, len(shape))} or scaled <= {1, 2}):
        what = f"{result.name!r} would be scaled along its axes {sorted(scaled)}, and only planes can be interpolated"
        raise PassError(what, cure="use input-size without keep")
    # onnxruntime interpolates float32, and finds the nearest of these types
    dtype = np.dtype(np.float32 if floats else np.int32)
    empty: gs.Tensor = gs.Variable.empty()
    if graph.opset < _OPTIONAL_BEGINS:
        empty = gs.Constant(unique_name(graph, f"{result.name}_no_scales"), np.empty(0, np.float32))
    sizes = gs.Constant(unique_name(graph, f"{result.name}_sizes"), np.array(shape, dtype=np.int64))
    cast = source.dtype != dtype
    if cast:
        source = append_cast(graph, source, dtype, f"{result.name}_to_resize")
    mode = "linear" if floats else "nearest"
    output = None if cast else result
    resized = append_node(
        graph, "Resize", [source, empty, empty, sizes], f"{result.name}_resize", output=output, mode=mode,
        coordinate_transformation_mode="half_pixel",
    )  # fmt: skip
    if cast:
        append_cast(graph, resized, result.dtype, f"{result.name}_from_resize", result)
    return "bilinear" if floats else "nearest neighbour"


def _is_float(tensor: gs.Tensor) -> bool:
    """Tell whether `tensor` is of a float type that numpy has."""
    return tensor.dtype is not None and not isinstance(tensor.dtype, int) and np.issubdtype(tensor.dtype, np.floating)


def check_opset(graph: gs.Graph) -> None:
    """Refuse an opset without half-pixel Resize. Raises PassError."""
    if graph.opset < _HALF_PIXEL_BEGINS:
        raise PassError(
            f"Resize of opset {graph.opset} has no half-pixel coordinates",
            cure=f"export the model with opset {_HALF_PIXEL_BEGINS} or newer, or use input-size without keep",
        )


def _times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
