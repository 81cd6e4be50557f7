"""From a float model and ranges to a graph in QDQ form, by onnxruntime's quantizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .body import FOLLOWERS, LAYERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx
    import onnx_graphsurgeon as gs

    from .calibration import Ranges


def quantise(model: onnx.ModelProto, nodes: Sequence[str], ranges: Ranges) -> gs.Graph:
    """Return `model` with the `nodes` between QuantizeLinear and DequantizeLinear: uint8 activations, int8 weights.

    Weights are symmetric with a scale per output channel, biases int32; the clipping of a layer's output replaces a
    Relu or Clip behind it. What is cast from uint8 is read as it is, with scale 1 and zero point 0. Equal scales and
    zero points are stored once. `model` itself stays as it is.
    """
    import onnx
    import onnx_graphsurgeon as gs
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
            },
        ),
        nodes_to_quantize=list(nodes),
        nodes_to_exclude=[],
        op_types_to_quantize=[*LAYERS, *FOLLOWERS],
        extra_options={},
    )
    quantizer.quantize_model()
    graph = gs.import_onnx(quantizer.model.model)
    shared: dict[tuple[str, tuple[int, ...], bytes], gs.Constant] = {}
    for node in graph.nodes:
        if node.op == "DequantizeLinear":
            _read_bytes(node)
        if node.op in ("QuantizeLinear", "DequantizeLinear"):
            for index, tensor in enumerate(node.inputs[1:], start=1):
                content = (tensor.values.dtype.name, tensor.values.shape, tensor.values.tobytes())
                node.inputs[index] = shared.setdefault(content, tensor)
    graph.cleanup().toposort()
    return graph


def byte_ranges(graph: gs.Graph) -> Ranges:
    """Return the range of what is cast from uint8 such that its scale is 1 and its zero point 0."""
    return {node.outputs[0].name: (0.0, 255.0) for node in graph.nodes if _casts_bytes(node)}


def _read_bytes(dequantise: gs.Node) -> None:
    """Let a DequantizeLinear whose input was cast from uint8, and quantised to the same numbers, read the bytes."""
    for quantise_again in dequantise.inputs[0].inputs:
        if quantise_again.op == "QuantizeLinear":
            for cast in quantise_again.inputs[0].inputs:
                if _casts_bytes(cast):
                    dequantise.inputs[0] = cast.inputs[0]


def _casts_bytes(node: gs.Node) -> bool:
    return bool(node.op == "Cast" and node.inputs[0].dtype == np.uint8)
