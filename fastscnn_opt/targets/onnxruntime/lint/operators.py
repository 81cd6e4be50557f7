"""Rules about the nodes of the graph."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.linting.graph import Graph, attribute, label
from fastscnn_opt.linting.rules import Problem, Severity, rule
from fastscnn_opt.model.interface import ONNX_DOMAINS
from fastscnn_opt.model.skeleton import ADAPTIVE_POOL
from fastscnn_opt.targets.onnxruntime.lint.trial import changes

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGE = 1 << 16
"""Elements from which a tensor counts: those of a map of 256 x 256."""

_WORTH_IT = 2
"""How many times the sums of a pooling must outnumber those of the matrix products that replace it. Measured with 64 x
64 and 128 channels on one core: at 2.2 times the products were 2 to 4 times as fast, at 7.5 times 11 times as fast,
and at 0.5 times as fast as the pooling."""

_SPLIT = "conv-before-concat{every=true},conv-before-resize"

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


@rule("C101", Severity.ERROR, "operator that onnxruntime does not have")
def adaptive_pooling(graph: Graph) -> Iterator[Problem]:
    """Find adaptive average pooling written as one node, which ONNX does not define and onnxruntime does not run.

    Cure: the pass `adaptive-avgpool`, which lowers it to matrix products with its true windows.
    """
    for node in graph.nodes:
        if node.op_type == ADAPTIVE_POOL or (
            node.op_type == "ATen" and attribute(node, "operator") == "adaptive_avg_pool2d"
        ):
            yield Problem(
                label(node),
                f"onnxruntime does not have the operator {node.op_type}",
                "lower it to matrix products with the pass `adaptive-avgpool`",
                "adaptive-avgpool",
            )


@rule("C102", Severity.ERROR, "model that onnxruntime refuses")
def refused(graph: Graph) -> Iterator[Problem]:
    """Find models that onnxruntime does not open on the CPU, adaptive pooling aside, which is C101.

    The model is opened and not run. The message is that of onnxruntime.

    Cure: export the model with operators, types and an operator set that the installed version has.
    """
    from fastscnn_opt.errors import ModelError
    from fastscnn_opt.model.adaptive_pooling import expand_adaptive_pooling
    from fastscnn_opt.model.engine import open_model

    try:
        open_model(expand_adaptive_pooling(graph.model))
    except ModelError as error:
        yield Problem(
            "model", error.what, error.cure or "export it with operators, types and an opset that onnxruntime has"
        )


@rule("C111", Severity.WARNING, "best class at full size")
def full_size_argmax(graph: Graph) -> Iterator[Problem]:
    """Find an ArgMax over the classes behind a bilinear Resize, where the pass `fast-argmax` applies.

    All logits are interpolated to the size of the image, and then compared for every pixel. On a CPU that often takes
    longer than the network. Between corners that agree on the class it is needless.

    Cure: the pass `fast-argmax`, which gives the same labels.
    """
    for change in changes(graph, "fast-argmax"):
        yield Problem(
            change.node,
            "compares all classes at every pixel, after a Resize has interpolated them there",
            "interpolate only where the class is not certain, with the pass `fast-argmax`",
            "fast-argmax",
        )


@rule("C112", Severity.WARNING, "1x1 convolution behind an upsampling")
def late_convolution(graph: Graph) -> Iterator[Problem]:
    """Find a 1x1 convolution behind a Resize that enlarges, where the pass `conv-before-resize` applies.

    Both may change places, and in front of the Resize the convolution has fewer pixels to compute. A Concat may stand
    between them, as in the head of SegFormer, which joins four upsamplings. It is reported where more than half of the
    products would be spared.

    Cure: the pass `conv-before-resize`, which gives the same result. Where a Concat stands between,
    `conv-before-concat{every=true}` before it, which splits the convolution.
    """
    for change in changes(graph, "conv-before-resize"):
        yield Problem(
            change.node,
            "convolves what a Resize has enlarged, pixel by pixel",
            "let the two change places with the pass `conv-before-resize`",
            "conv-before-resize",
        )
    late = _joined_upsamplings(graph)
    changed = {change.node for change in changes(graph, _SPLIT)} if late else set()
    for conv, times in late.items():
        if any(node.startswith(f"{conv}_part") for node in changed):
            yield Problem(
                conv,
                f"convolves joined upsamplings, with {times:.1f} times the products of their sources",
                f"convolve each part before it is enlarged, with `{_SPLIT}`",
                _SPLIT,
            )


def _joined_upsamplings(graph: Graph) -> dict[str, float]:
    """Return each Conv that reads a Concat of upsamplings, and how many times the products are of those before them."""
    makers = {name: node for node in graph.nodes for name in node.output}
    found = {}
    for conv in graph.nodes:
        concat = makers.get(conv.input[0]) if conv.op_type == "Conv" else None
        if concat is None or concat.op_type != "Concat":
            continue
        enlarged = {name: makers[name].input[0] for name in concat.input if makers.get(name, conv).op_type == "Resize"}
        sizes = [(graph.fixed_shape(name), graph.fixed_shape(enlarged.get(name, name))) for name in concat.input]
        products = [(math.prod(after), math.prod(before)) for after, before in sizes if after and before]
        if len(products) == len(sizes):
            times = sum(after for after, _ in products) / max(1, sum(before for _, before in products))
            found[label(conv)] = times
    return {name: times for name, times in found.items() if times > _WORTH_IT}


@rule("C113", Severity.WARNING, "average pooling over large windows that overlap")
def sliding_pool(graph: Graph) -> Iterator[Problem]:
    """Find AveragePool nodes that add up the same elements again and again.

    A window of 31 x 31 that moves by one element reads each of them 961 times. Two matrix products give the same
    averages with far fewer sums. Windows that do not overlap are fine on a CPU, however large they are.

    Cure: the pass `large-avgpool`.
    """
    replaced = {change.node for change in changes(graph, "large-avgpool")}
    for node in [node for node in graph.nodes if node.op_type == "AveragePool" and node.name in replaced]:
        shape, pooled = graph.fixed_shape(node.input[0]), graph.fixed_shape(node.output[0])
        if shape is None or pooled is None:
            continue
        kernel = attribute(node, "kernel_shape", [])
        sums = math.prod(pooled[2:]) * math.prod(kernel)
        products = pooled[3] * shape[2] * (shape[3] + pooled[2])
        if sums > _WORTH_IT * products:
            yield Problem(
                label(node),
                f"its windows of {'x'.join(map(str, kernel))} overlap, and take {sums / products:.1f} times as many "
                "sums as matrix products",
                "turn it into matrix products with the pass `large-avgpool`",
                "large-avgpool",
            )


@rule("C114", Severity.HINT, "batch normalisation that could be folded")
def batch_normalisation(graph: Graph) -> Iterator[Problem]:
    """Find batch normalisation, or arithmetic per channel, behind a convolution, where `fold-batchnorm` applies.

    onnxruntime folds most of it by itself when it loads the model, so this saves little time there. But `int8` then
    finds the weights as they are used, and other engines need not fold.

    Cure: the pass `fold-batchnorm`.
    """
    folded = changes(graph, "fold-batchnorm")
    if folded:
        yield Problem(
            folded[0].node,
            f"is the first of {len(folded)} nodes that the convolution in front of it could take over",
            "fold them with the pass `fold-batchnorm`, before `int8` in any case",
            "fold-batchnorm",
        )


@rule("C115", Severity.HINT, "padding that keeps the subtraction of the mean alive")
def padded_first_convolution(graph: Graph) -> Iterator[Problem]:
    """Find a uint8 image whose mean is subtracted by a node, because the first convolution pads.

    `uint8-input` folds mean and deviation into the first convolution. If that pads with zeros, zero has to stand for
    the mean colour, so the pass leaves a subtraction over the whole image.

    Cure: export the network with a first convolution that does not pad, from the float model, and run `uint8-input`
    again. That changes the result at the border of the image.
    """
    makers = {name: node for node in graph.nodes for name in node.output}
    for node in graph.nodes:
        padded = any(attribute(node, "pads", [])) or "SAME" in attribute(node, "auto_pad", "")
        centre = makers.get(node.input[0]) if node.op_type == "Conv" and padded else None
        cast = makers.get(centre.input[0]) if centre is not None and centre.op_type == "Sub" else None
        if centre is None or cast is None or cast.op_type != "Cast" or graph.dtype(cast.input[0]) != np.uint8:
            continue
        yield Problem(
            label(centre),
            f"subtracts the mean of the whole image ({graph.describe(centre.output[0])}) because {label(node)} pads",
            "export the network with a first convolution that does not pad, and run `uint8-input` on that",
        )


@rule("C116", Severity.WARNING, "large tensor of 64 bits")
def wide_tensor(graph: Graph) -> Iterator[Problem]:
    """Find large tensors of float64 or int64 between the nodes and at the ends of the graph.

    They take twice the memory of float32 or int32, and some operators have slow kernels for them. Shape arithmetic is
    fine, and so is the int64 of an ArgMax that is cast at once, since ONNX gives an ArgMax no other type.

    Cure: export the model in float32, and let label maps leave it as uint8 or int32.
    """
    makers = {name: node for node in graph.nodes for name in node.output}
    outputs = {value.name for value in graph.outputs}
    for tensor in [*(value.name for value in graph.inputs), *makers]:
        dtype, shape = graph.dtype(tensor), graph.fixed_shape(tensor)
        large = shape is not None and math.prod(shape) >= _LARGE
        if dtype not in (np.float64, np.int64) or not large or graph.is_shape_arithmetic(tensor):
            continue
        if tensor in makers and makers[tensor].op_type == "ArgMax" and tensor not in outputs:
            continue
        narrow = "float32" if dtype == np.float64 else "uint8 or int32"
        yield Problem(tensor, f"is {graph.describe(tensor)}", f"export it as {narrow}")


@rule("C117", Severity.WARNING, "float16 on a CPU")
def half_precision(graph: Graph) -> Iterator[Problem]:
    """Find layers with float16 weights.

    onnxruntime has few float16 kernels for CPUs. It computes such layers in float32, between conversions, so that the
    model loses accuracy and saves no time.

    Cure: use the float32 model on CPUs. `fp16-output` alone halves the bytes that leave the model, and `int8` is what
    makes a CPU faster.
    """
    layers = [node for node in graph.nodes if node.op_type in _WEIGHTED and node.domain in ONNX_DOMAINS]
    halves = [node for node in layers if len(node.input) > 1 and graph.dtype(node.input[1]) == np.float16]
    if halves:
        yield Problem(
            label(halves[0]),
            f"is the first layer (of {len(halves)}) in float16, which onnxruntime computes in float32 on most CPUs",
            "use the float32 model on a CPU; `int8` makes it faster there",
        )
