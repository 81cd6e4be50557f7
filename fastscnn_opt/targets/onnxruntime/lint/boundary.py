"""Rules about the inputs and outputs, and about the model as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.linting.rules import Problem, Severity, rule
from fastscnn_opt.measuring.image_input import model_size
from fastscnn_opt.measuring.session import FREE, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

    from fastscnn_opt.linting.graph import Graph

_SCALES_PER_CHANNEL = 13
"""The first opset in which a DequantizeLinear has a scale per channel (ONNX operator changelog)."""

_FLOATS = (np.float16, np.float32, np.float64)


@rule("C201", Severity.WARNING, "output that nobody needs")
def needless_output(graph: Graph) -> Iterator[Problem]:
    """Find graph outputs after the first, such as those of auxiliary heads.

    Each is computed in every run, with the layers that only it needs. The first output is taken as the one that is
    wanted.

    Cure: the pass `drop-outputs`, whose option `keep` names the outputs that stay.
    """
    for value in graph.outputs[1:]:
        yield Problem(
            value.name,
            f"is computed beside {graph.outputs[0].name} in every run: {graph.describe(value.name)}",
            f"remove it with the pass `drop-outputs`, or the others with `drop-outputs{{keep={value.name}}}`",
            "drop-outputs",
        )


@rule("C202", Severity.HINT, "logits at full size")
def full_size_logits(graph: Graph) -> Iterator[Problem]:
    """Find logits as large as the image, of which a host usually needs the best class alone.

    Cure: `argmax-output,fast-argmax` lets the model return the same label map as uint8. `fast-argmax` applies where the
    logits are the result of a bilinear Resize.
    """
    makers = {name: node.op_type for node in graph.nodes for name in node.output}
    size = _image_size(graph)
    for value, logits in _logits(graph):
        if size is not None and logits == size:
            passes = "argmax-output,fast-argmax" if makers.get(value.name) == "Resize" else "argmax-output"
            yield Problem(
                value.name,
                f"is {graph.describe(value.name)} for every run, and the host has yet to find the best class",
                f"if label maps will do, return them with `{passes}`",
                passes,
            )


@rule("C203", Severity.HINT, "logits smaller than the image")
def small_logits(graph: Graph) -> Iterator[Problem]:
    """Find logits that are smaller than the image, so that the host has to resize them.

    Cure: `upsample-output` appends that Resize, and `argmax-output,fast-argmax` behind it lets the model
    return a label map of the size of the image.
    """
    size = _image_size(graph)
    for value, logits in _logits(graph):
        if size is not None and logits[0] < size[0] and logits[1] < size[1]:
            passes = "upsample-output,argmax-output,fast-argmax"
            yield Problem(
                value.name,
                f"has {logits[0]}x{logits[1]} pixels, and the image {size[0]}x{size[1]}, so the host has to resize it",
                f"let the model return label maps of that size with `{passes}`",
                passes,
            )


@rule("C301", Severity.HINT, "operator set too old for int8")
def old_opset(graph: Graph) -> Iterator[Problem]:
    """Find a default operator set older than 13, in which int8 weights have no scale per channel.

    `int8` refuses such a model, and it is what makes a CPU faster most.

    Cure: export the model with opset 13 or newer (`fastscnn-opt export --opset 13`), or convert it with
    `onnx.version_converter`.
    """
    if graph.opset < _SCALES_PER_CHANNEL:
        yield Problem(
            "model",
            f"opset {graph.opset} has no scales per channel, which the pass `int8` needs",
            f"export it with opset {_SCALES_PER_CHANNEL} or newer, or convert it with onnx.version_converter",
        )


@rule("C302", Severity.HINT, "open dimension")
def open_dimension(graph: Graph) -> Iterator[Problem]:
    """Find inputs with a dimension that is not fixed.

    Passes that need fixed sizes, such as `fast-argmax`, leave such a model alone, and its speed cannot be measured.

    Cure: the pass `static-batch{n=1}` for the batch, `static-shape` for any other.
    """
    for value in graph.inputs:
        shape = graph.shape(value.name)
        if shape is not None and None in shape:
            cure, passes = graph.what_fixes([value])
            yield Problem(
                value.name,
                f"has open dimensions ({graph.describe(value.name)}), and passes that need fixed sizes do nothing",
                f"fix it with `{cure}`",
                passes,
            )


def _image_size(graph: Graph) -> tuple[int, int] | None:
    """Return the height and width of the first input, if it is an image of fixed size."""
    shape = graph.shape(graph.inputs[0].name) if graph.inputs else None
    if shape is None:
        return None
    return model_size((TensorSpec("image", tuple(FREE if length is None else length for length in shape), ""),))


def _logits(graph: Graph) -> Iterator[tuple[onnx.ValueInfoProto, tuple[int, int]]]:
    """Yield the outputs that can be logits N, C, H, W of several classes, with their height and width."""
    for value in graph.outputs:
        shape = graph.fixed_shape(value.name)
        if shape is not None and len(shape) == 4 and shape[1] > 1 and graph.dtype(value.name) in _FLOATS:
            yield value, (shape[2], shape[3])
