"""The last layer of a quantised network: it multiplies in int8, and its sums stay in float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._emitter import Emitter
from .._graph import constant_value, read_instead

if TYPE_CHECKING:
    from collections.abc import Collection

    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray


def end_in_float(graph: gs.Graph, conv: gs.Node, body: Collection[str]) -> None:
    """Turn a 1x1 convolution in QDQ form whose result only the tail reads into a MatMul with a float result.

    Rounding logits to 256 values would decide close calls by chance. onnxruntime computes a convolution in int8 only
    where the result is quantised, too, but a MatMul of bytes with a float result. `body` names the nodes that are not
    the tail. Any other convolution stays as it is.
    """
    again = _quantised_again(conv, body)
    source = conv.inputs[0].inputs[0] if conv.inputs[0].inputs else None
    if again is None or source is None or source.op != "DequantizeLinear" or not _is_pointwise(conv):
        return
    emit = Emitter.under(graph, f"{conv.name}_as_matmul")
    turned = emit.node("Transpose", source.inputs[0], perm=[0, 2, 3, 1])
    pixels = emit.node("DequantizeLinear", turned, *source.inputs[1:], dtype=np.float32)
    weight, scale, zero = _constants(conv.inputs[1].inputs[0])
    columns = [emit.constant(value, value.dtype) for value in (weight[:, :, 0, 0].T, scale, zero)]
    axis = {"axis": 1} if scale.ndim else {}
    result = emit.node("MatMul", pixels, emit.node("DequantizeLinear", *columns, dtype=np.float32, **axis))
    result.inputs[0].name, conv.name = conv.name, f"{conv.name} as it was"
    logits = conv.outputs[0]
    conv.outputs.clear()
    if len(conv.inputs) > 2:
        bias, step, _ = _constants(conv.inputs[2].inputs[0])
        # Behind the Transpose: onnxruntime would make a Gemm in float of a MatMul and an Add.
        result = emit.node("Transpose", result, perm=[0, 3, 1, 2])
        emit.node("Add", result, emit.constant((bias * step).reshape(-1, 1, 1), np.float32), output=logits)
    else:
        emit.node("Transpose", result, perm=[0, 3, 1, 2], output=logits)
    read_instead(again, logits)


def _quantised_again(conv: gs.Node, body: Collection[str]) -> gs.Variable | None:
    """Return the result of `conv` behind a QuantizeLinear and a DequantizeLinear, if only the tail reads that.

    The branches of an If in the tail read the result itself, for the quantizer does not look into them.
    """
    quantizers = [reader for reader in conv.outputs[0].outputs if reader.op == "QuantizeLinear"]
    dequantizers = quantizers[0].outputs[0].outputs if len(quantizers) == 1 else []
    if len(dequantizers) != 1:
        return None
    again: gs.Variable = dequantizers[0].outputs[0]
    readers = [*again.outputs, *(reader for reader in conv.outputs[0].outputs if reader is not quantizers[0])]
    return again if again.outputs and not any(reader.name in body for reader in readers) else None


def _is_pointwise(conv: gs.Node) -> bool:
    weight = constant_value(conv.inputs[1].inputs[0].inputs[0]) if conv.inputs[1].inputs else None
    return (
        weight is not None
        and weight.ndim == 4
        and weight.shape[2:] == (1, 1)
        and conv.attrs.get("group", 1) == 1
        and set(conv.attrs.get("strides", [1])) == {1}
        and not any(conv.attrs.get("pads", []))
    )


def _constants(dequantize: gs.Node) -> list[NDArray[Any]]:
    """Return the values, the scale and the zero point of dequantised weights."""
    return [np.asarray(constant_value(tensor)) for tensor in dequantize.inputs]
