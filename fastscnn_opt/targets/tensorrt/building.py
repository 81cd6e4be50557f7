"""What TensorRT is told to build, whichever way: releases differ in how they learn the types to compute in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx

Version = tuple[int, ...]
"""A release, such as (10, 3, 0); empty if it is not known."""

_FIRST_STRONGLY_TYPED = (10,)
"""The first release that can take every type from the model; before, types are permissions."""

_FIRST_WITHOUT_PERMISSIONS = (11,)
"""The first release that takes every type from the model and knows nothing else (its migration guide)."""


class Precision(StrEnum):
    """The types that layers are computed in.

    ``model``: those of the model, with float32 in float32; ``tf32``: the same, but products of float32 may be computed
    in TF32; ``fp16``: layers may also be computed in float16.
    """

    MODEL = "model"
    TF32 = "tf32"
    FP16 = "fp16"


def fp16_refusal(version: Version) -> str:
    """Return why a release has no precision fp16; empty if it has."""
    if version < _FIRST_WITHOUT_PERMISSIONS:
        return ""
    return f"TensorRT {version[0]} takes the types from the model, and has no precision fp16"


@dataclass(frozen=True)
class Build:
    """An engine to build from the file `source`, whose content is `model`; what is printed goes to `log`."""

    source: Path
    engine: Path
    log: Path
    model: onnx.ModelProto
    precision: Precision
    version: Version
    shapes: Mapping[str, tuple[int, ...]]
    device: int

    @property
    def strongly_typed(self) -> bool:
        """Whether the types of the model bind TensorRT, rather than permit other types."""
        return self.version >= _FIRST_STRONGLY_TYPED and self.precision is not Precision.FP16

    @property
    def permissions(self) -> list[str]:
        """The types beside float32 that TensorRT must be permitted, as trtexec calls them: fp16, int8."""
        if self.strongly_typed:
            return []
        half = self.precision is Precision.FP16 or _has_float16(self.model)
        quantised = any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in self.model.graph.node)
        return [name for name, wanted in (("fp16", half), ("int8", quantised)) if wanted]

    @property
    def tf32(self) -> bool:
        """Whether products of float32 may be computed in TF32, as TensorRT does by itself."""
        return self.precision is not Precision.MODEL


def _has_float16(model: onnx.ModelProto) -> bool:
    import onnx

    graph = model.graph
    values = (value.type.tensor_type.elem_type for value in (*graph.input, *graph.output, *graph.value_info))
    weights = (weight.data_type for weight in graph.initializer)
    casts = (field.i for node in graph.node if node.op_type == "Cast" for field in node.attribute if field.name == "to")
    return onnx.TensorProto.FLOAT16 in {*values, *weights, *casts}
