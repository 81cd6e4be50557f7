"""Rules about single operators, Resize aside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.ascend import chip
from fastscnn_opt.linting.graph import Graph, attribute, label
from fastscnn_opt.linting.rules import Problem, Severity, rule
from fastscnn_opt.model.interface import ONNX_DOMAINS, is_onnx_operator, plain_operator, static_shape
from fastscnn_opt.model.skeleton import ADAPTIVE_POOL
from fastscnn_opt.targets.onnxruntime.lint.trial import changes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import onnx

_ADAPTIVE_LOWERED = "lower the adaptive pooling to matrix products with the pass `adaptive-avgpool`"
_WIDE = (np.dtype(np.int64), np.dtype(np.float64))


@rule("A101", Severity.ERROR, "AveragePool that leaves the AI Core")
def average_pool(graph: Graph) -> Iterator[Problem]:
    """Find AveragePool nodes that the AI Core cannot run.

    On the Ascend 310 an AveragePool over more than 255 elements, or with a stride above 63, becomes a TransposeD, an
    operator on the AI CPU, and a second TransposeD. In FastSCNN at 1024x2048 that is what exporters make of the
    pyramid bins 1, 2 and 3 (kernels of 2048, 512 and 264 elements).

    Cure: the pass `large-avgpool`, whose matrix products stay on the AI Core and give the same averages. Where they
    stand for an adaptive pooling they are only near it: export that as it is, and `adaptive-avgpool` averages its true
    windows (`fastscnn-opt export CHECKPOINT` does so by default).
    """
    for node in graph.nodes:
        if node.op_type != "AveragePool" or node.domain not in ONNX_DOMAINS:
            continue
        kernel = attribute(node, "kernel_shape", [])
        strides = attribute(node, "strides", [1] * len(kernel))
        if obstacles := chip.average_pool_obstacles(kernel, strides):
            message = f"leaves the AI Core between two TransposeD, since {' and '.join(obstacles)}"
            shape = graph.shape(node.input[0]) or ()
            if len(shape) == 4 and None not in shape[2:]:
                cure = "turn it into matrix products with the pass `large-avgpool`"
                yield Problem(label(node), message, cure, "large-avgpool")
            else:
                passes = static_shape({value.name: graph.shape(value.name) for value in graph.inputs}) or "simplify"
                yield Problem(label(node), message, f"run the pass `{passes}`, and lint it again")


@rule("A102", Severity.ERROR, "operator that atc has no parser for")
def unknown_operator(graph: Graph) -> Iterator[Problem]:
    """Find operators that atc refuses.

    atc knows the operators of ONNX's own domain only (E19010: No parser is registered for Op). One exception is
    `AdaptiveAvgPool2d`, which it takes as an operator of that domain in operator sets 8 to 13 though ONNX does not
    define it; in any other domain or operator set it is unknown.

    Cure: `adaptive-avgpool` for adaptive pooling; any other operator has to be replaced by ONNX operators before the
    export.
    """
    oldest, newest = chip.OLDEST_ADAPTIVE_POOL_OPSET, chip.NEWEST_ADAPTIVE_POOL_OPSET
    for node in graph.nodes:
        own = node.domain in ONNX_DOMAINS
        if own and node.op_type == ADAPTIVE_POOL and not oldest <= graph.opset <= newest:
            message = f"{ADAPTIVE_POOL} has a parser for opset {oldest} to {newest}, not {graph.opset}"
            yield Problem(label(node), message, _ADAPTIVE_LOWERED, "adaptive-avgpool")
        elif not own or not (is_onnx_operator(node.op_type) or node.op_type == ADAPTIVE_POOL):
            yield _foreign(node)


def _foreign(node: onnx.NodeProto) -> Problem:
    name = f"{node.domain}.{plain_operator(node.op_type, node.domain)}" if node.domain else node.op_type
    message = f"{name} is no operator of ONNX, and atc has no parser for it"
    if node.op_type == ADAPTIVE_POOL or "adaptive_avg_pool2d" in str(attribute(node, "operator", "")):
        return Problem(label(node), message, _ADAPTIVE_LOWERED, "adaptive-avgpool")
    return Problem(label(node), message, "export the model with operators of ONNX in its place")


@rule("A103", Severity.WARNING, "needless Pad")
def needless_pad(graph: Graph) -> Iterator[Problem]:
    """Find Pad nodes whose pads are all zero, or that pad with zeros what only a Conv reads.

    Older exporters put one before every AveragePool, with pads that are computed from constants. EfficientNet, which
    pads more behind the image than in front, has one before many convolutions. Each is a copy.

    Cure: the pass `simplify`, which moves the pads into the convolution.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in graph.nodes:
        if node.op_type != "Pad" or node.domain not in ONNX_DOMAINS:
            continue
        pads = attribute(node, "pads")
        if pads is None and len(node.input) > 1:
            pads = graph.constant(node.input[1])
        if pads is None:
            continue
        cure = "remove it with the pass `simplify`"
        if not np.any(pads):
            yield Problem(label(node), "pads nothing, and copies its input", cure, "simplify")
        elif _is_padding(readers.get(node.output[0], [])) and _pads_image(graph, node, pads):
            yield Problem(label(node), "copies its input to pad it, which the Conv behind it can do", cure, "simplify")


def _is_padding(readers: Sequence[onnx.NodeProto]) -> bool:
    """Tell whether the only reader is a Conv with pads of its own, so that `simplify` adds those of a Pad."""
    return [(node.op_type, attribute(node, "auto_pad", "NOTSET")) for node in readers] == [("Conv", "NOTSET")]


def _pads_image(graph: Graph, node: onnx.NodeProto, pads: Sequence[int]) -> bool:
    """Tell whether a Pad puts zeros around height and width only."""
    value = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else attribute(node, "value", 0.0)
    along_axes = len(node.input) > 3 and bool(node.input[3])
    if attribute(node, "mode", "constant") != "constant" or value is None or np.any(value) or along_axes:
        return False
    before, after = np.split(np.asarray(pads), 2)
    return not (before[:2].any() or after[:2].any() or min(*before, *after) < 0)


@rule("A104", Severity.WARNING, "int64 or float64 tensor")
def wide_tensor(graph: Graph) -> Iterator[Problem]:
    """Find tensors of 64 bits, which the AI Core has no instructions for.

    Shape arithmetic that an exporter left in the graph is reported once for all its nodes. Constants such as the sizes
    of a Resize are read by the compiler, not by the device, and are fine.

    Cure: `simplify` folds shape arithmetic behind `static-batch` or `static-shape`; a float64 output becomes float16
    with `fp16-output`; data in between has to be exported as float32 or int32. A label map of int64 becomes uint8 with
    `argmax-output`. The int64 indices of the ArgMax itself are avoided by giving out logits: leave out `argmax-output`.
    """
    yield from _shape_arithmetic(graph)
    made_by = {name: node.op_type for node in graph.nodes for name in node.output}
    outputs = {value.name for value in graph.outputs}
    wide_outputs = [value.name for value in graph.outputs if graph.dtype(value.name) == np.int64]
    narrowed = {change.node for change in changes(graph, "argmax-output")} if wide_outputs else set()
    data = [*(value.name for value in graph.inputs), *(name for name in made_by if not graph.is_shape_arithmetic(name))]
    for tensor in data:
        if (dtype := graph.dtype(tensor)) not in _WIDE:
            continue
        cure, passes = f"export it as {'float32' if dtype == np.float64 else 'int32'}", ""
        if tensor in outputs and tensor in narrowed:
            cure, passes = "make the label map uint8 with the pass `argmax-output`", "argmax-output"
        elif made_by.get(tensor) == "ArgMax":  # ONNX fixes its type
            cure = (
                "give out logits instead: leave out `argmax-output`, or the argmax of the export, and use `fp16-output`"
            )
        elif dtype == np.float64 and tensor in outputs:
            cure, passes = "use the pass `fp16-output`", "fp16-output"
        yield Problem(tensor, f"is {graph.describe(tensor)}; the AI Core has no 64-bit types", cure, passes)


@rule("A105", Severity.WARNING, "Concat that leaves the layout of the device")
def unaligned_concat(graph: Graph) -> Iterator[Problem]:
    """Find Concat nodes along the channels whose parts are not whole blocks of 16 channels.

    The device keeps feature maps in blocks of 16 channels. It joins whole blocks as they are; any other part is
    converted to N, C, H, W before, and the result back. Equal parts of 2, 4 or 8 channels, and different ones of at
    most 16 in all, are fine. Such parts are in the decoder of a U-Net on EfficientNet (256 and 40 channels), in the
    head of HRNet-W18 (18, 36, 72 and 144) and in the last layer of U2-Net (six of 1).

    Cure: the pass `conv-before-concat`, where one convolution alone reads the Concat. Otherwise, layers in front of it
    whose channels are multiples of 16.
    """
    found = dict[str, str]()
    for node in graph.nodes:
        shapes = [graph.shape(name) or () for name in node.input]
        if node.op_type != "Concat" or node.domain not in ONNX_DOMAINS or {len(shape) for shape in shapes} != {4}:
            continue
        channels = [shape[1] for shape in shapes if shape[1] is not None]
        if attribute(node, "axis") % 4 == 1 and len(channels) == len(shapes):
            found[label(node)] = chip.concat_obstacle(channels)
    found = {name: obstacle for name, obstacle in found.items() if obstacle}
    passes = {}
    for text in ("fold-batchnorm,conv-before-concat", "conv-before-concat") if found else ():
        passes.update({change.node: text for change in changes(graph, text)})
    for name, obstacle in found.items():
        cure = "give the layers in front of it multiples of 16 channels"
        if name in passes:
            cure = f"convolve each part by itself with `{passes[name]}`"
        yield Problem(
            name, f"its {obstacle}, so each is converted to N, C, H, W, and the result back", cure, passes.get(name, "")
        )


def _shape_arithmetic(graph: Graph) -> Iterator[Problem]:
    wide = [
        node
        for node in graph.nodes
        if node.op_type != "Constant"
        and any(graph.is_shape_arithmetic(name) and graph.dtype(name) in _WIDE for name in node.output)
    ]
    if wide:
        fixed = all(graph.is_foldable(name) for node in wide for name in node.output)
        before = ("", "") if fixed else graph.what_fixes(graph.inputs)
        cure = ",".join(filter(None, (before[0], "simplify")))
        passes = cure if before[0] == before[1] else ""
        message = f"the first of {len(wide)} nodes of shape arithmetic on 64-bit numbers"
        yield Problem(label(wide[0]), message, f"fold it with `{cure}`", passes)
