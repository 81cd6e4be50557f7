"""Reads the operator set and the inputs of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


ONNX_DOMAINS = (None, "", "ai.onnx")
"""The ways in which a node can say that its operator is one of ONNX itself; None is graphsurgeon's."""


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the default operator set."""
    return max(int(opset.version) for opset in model.opset_import if opset.domain in ONNX_DOMAINS)


def graph_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs that a caller feeds: those without an initializer."""
    initialized = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initialized]
