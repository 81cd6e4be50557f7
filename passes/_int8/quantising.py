"""Turn a float model into a graph in QDQ form, by onnxruntime's quantizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.model.documentation import document
from fastscnn_opt.model.skeleton import Skeleton
from fastscnn_opt.rewriting.graph.content import model_of
from fastscnn_opt.rewriting.graph.importing import import_model
from fastscnn_opt.rewriting.graph.inference import Inferred
from fastscnn_opt.rewriting.graph.tidying import tidy

from .._graph import append_node, unique_name
from .body import ACTIVATIONS, FOLLOWERS, LAYERS, QUANTISED, limits_of
from .ending import end_in_float

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    import onnx
    import onnx_graphsurgeon as gs

    from .calibration import Ranges
    from .preparing import Preparation


def quantise(
    model: onnx.ModelProto, nodes: Sequence[str], ranges: Ranges, body: Collection[str], preparation: Preparation
) -> onnx.ModelProto:
    """Return `model` with the `nodes` between QuantizeLinear and DequantizeLinear: uint8 activations, int8 weights.

    Weights are symmetric with a scale per output channel, biases int32; the clipping of a layer's output replaces a
    Relu or Clip behind it. A tensor that is cast from uint8 is read as it is, with scale 1 and zero point 0. Equal
    scales, zero points and weights are stored once. `body` names the nodes of `model` up to the last layers. What
    `preparation` did is undone. `model` itself stays as it is.
    """
    import onnx_graphsurgeon as gs

    quantised = _with_scales(model, nodes, ranges)
    graph, _ = import_model(quantised, Inferred(Skeleton(quantised, "the quantised model").infer()).types)
    nodes_of_quantizer = list(graph.nodes)
    clipped = _clipped_by_range(model, nodes)
    for node in nodes_of_quantizer:
        if node.op == "Conv" and node.name not in clipped:
            end_in_float(graph, node, body)
    preparation.remove_output_taps(graph)
    for node in nodes_of_quantizer:
        if node.op == "DequantizeLinear":
            _stop_behind(graph, node, body)
    preparation.remove_inner_taps(graph)
    shared: dict[tuple[str, tuple[int, ...], bytes], gs.Constant] = {}
    for node in graph.nodes:
        if node.op == "DequantizeLinear":
            _read_bytes(node)
        if node.op in ("QuantizeLinear", "DequantizeLinear"):
            for index, tensor in enumerate(node.inputs):
                if isinstance(tensor, gs.Constant):
                    content = (tensor.values.dtype.name, tensor.values.shape, tensor.values.tobytes())
                    node.inputs[index] = shared.setdefault(content, tensor)
    preparation.restore_names(graph)
    tidy(graph)
    return model_of(graph)


def _with_scales(model: onnx.ModelProto, nodes: Sequence[str], ranges: Ranges) -> onnx.ModelProto:
    """Return what onnxruntime's quantizer makes of `model`; weights keep what is said of them."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
    from onnxruntime.quantization.calibrate import TensorData, TensorsData

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=False,  # processors with a dot product of bytes sum up without overflow
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(
            CalibrationMethod.MinMax,
            {
                name: TensorData(lowest=np.float32(low), highest=np.float32(high))
                for name, (low, high) in ranges.items()
                if np.isfinite([low, high]).all()
            },
        ),
        nodes_to_quantize=list(nodes),
        nodes_to_exclude=[],
        op_types_to_quantize=[*LAYERS, *FOLLOWERS],
        extra_options={},
    )
    quantizer.quantize_model()
    quantised: onnx.ModelProto = quantizer.model.model
    stored = {f"{tensor.name}_quantized": tensor for tensor in model.graph.initializer}
    for tensor in quantised.graph.initializer:
        if tensor.name in stored:
            document(stored[tensor.name], tensor)
    return quantised


def _clipped_by_range(model: onnx.ModelProto, nodes: Sequence[str]) -> set[str]:
    """Return the names of the nodes that make what a Relu or Clip reads whose place a range may take."""
    chosen = {*nodes}
    activations = (node for node in model.graph.node if node.op_type in ACTIVATIONS and node.name in chosen)
    clipped = {node.input[0] for node in activations}
    return {node.name for node in model.graph.node if not clipped.isdisjoint(node.output)}


def _stop_behind(graph: gs.Graph, dequantise: gs.Node, body: Collection[str]) -> None:
    """Put a Clip that changes nothing, to the range of uint8, between a DequantizeLinear and the tail.

    onnxruntime moves a DequantizeLinear across Transpose, Reshape and the like, and aborts the process where the body
    of an If reads what they make (seen with 1.32). A Clip it does not cross.
    """
    import onnx_graphsurgeon as gs

    inner = dequantise.outputs[0]
    readers = [node for node in inner.outputs if node.name not in body and node.op not in QUANTISED]
    if not readers:
        return
    scale, zero = (np.float32(tensor.values) for tensor in dequantise.inputs[1:])
    limits = [
        gs.Constant(unique_name(graph, f"{inner.name}_{name}"), np.array((value - zero) * scale, dtype=np.float32))
        for name, value in (("lowest", 0), ("highest", 255))
    ]
    clipped = append_node(graph, "Clip", [inner, *limits], f"{inner.name}_clip")
    clipped.shape = inner.shape
    for reader in readers:
        reader.inputs = [clipped if tensor is inner else tensor for tensor in reader.inputs]


def clip_ranges(clips: Iterable[gs.Node], ranges: Ranges) -> Ranges:
    """Return a range within the limits for the result of every Clip that was 0 throughout: no range clips nothing."""
    found = {}
    for clip in clips:
        name = clip.outputs[0].name
        if clip.op == "Clip" and ranges.get(name) == (0.0, 0.0):
            low, high = limits_of(clip)
            found[name] = (max(low, -1.0), min(high, 1.0))
    return found


def byte_ranges(graph: gs.Graph) -> Ranges:
    """Return for every tensor that is cast from uint8 the range whose scale is 1 and whose zero point is 0."""
    return {node.outputs[0].name: (0.0, 255.0) for node in graph.nodes if _casts_bytes(node)}


def _read_bytes(dequantise: gs.Node) -> None:
    """Let a DequantizeLinear read the bytes themselves if its input was cast from them and quantised again."""
    for quantise_again in dequantise.inputs[0].inputs:
        if quantise_again.op == "QuantizeLinear":
            for cast in quantise_again.inputs[0].inputs:
                if _casts_bytes(cast):
                    dequantise.inputs[0] = cast.inputs[0]


def _casts_bytes(node: gs.Node) -> bool:
    return bool(node.op == "Cast" and node.inputs[0].dtype == np.uint8)
