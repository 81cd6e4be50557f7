"""The inputs and outputs of a compiled file, stored beside it, because the file itself cannot be asked."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import FREE, TensorSpec
from fastscnn_opt.schema import first_fault

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a compiled file, in their order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def save(self, artefact: Path) -> None:
        """Write the signature beside `artefact`."""
        from fastscnn_opt.files import write_atomically

        write_atomically(signature_file(artefact), json.dumps(asdict(self), indent=2).encode())

    @classmethod
    def load(cls, artefact: Path) -> Signature:
        """Read the signature beside `artefact`. Raises TargetError if there is none, or none that can be read."""
        from pydantic import TypeAdapter, ValidationError

        from fastscnn_opt.files import MOST_TEXT_BYTES, read_bytes

        file = signature_file(artefact)
        cure = "compile the model again with `fastscnn-opt compile`, and keep both files together"
        try:
            signature = TypeAdapter(cls).validate_json(read_bytes(file, MOST_TEXT_BYTES))
            for spec in (*signature.inputs, *signature.outputs):
                np.dtype(spec.dtype)
        except FileNotFoundError as error:
            raise TargetError(
                f"the file with its inputs and outputs, {file.name}, is not beside it", where=artefact, cure=cure
            ) from error
        except (OSError, TypeError, ValidationError) as error:
            reason = first_fault(error) if isinstance(error, ValidationError) else error
            raise TargetError(f"does not describe inputs and outputs ({reason})", where=file, cure=cure) from error
        return signature

    def require_fixed_inputs(self, where: Path, option: str) -> None:
        """Raise a TargetError if an input of the model from the file `where` leaves a dimension open.

        `option` is the target option that fixes it.
        """
        from fastscnn_opt.model.interface import static_shape

        for spec in self.inputs:
            if FREE in spec.shape:
                what = f"input {spec.name!r} leaves dimension {spec.shape.index(FREE)} open"
                passes = static_shape({spec.name: spec.shape for spec in self.inputs})
                raise TargetError(
                    what, where=where, cure=f"run the pass {passes} first, or give the target option {option}"
                )


def signature_file(artefact: Path) -> Path:
    """Return where the signature of `artefact` is kept: ``<artefact>.json``."""
    return artefact.with_name(artefact.name + ".json")


def signature_of(model: onnx.ModelProto) -> Signature:
    """Return the inputs and outputs of a model; open dimensions are `FREE`."""
    from fastscnn_opt.model.interface import graph_inputs

    return Signature(tuple(map(spec_of, graph_inputs(model))), tuple(map(spec_of, model.graph.output)))


def spec_of(value: onnx.ValueInfoProto) -> TensorSpec:
    """Return name, shape and numpy type of a tensor of a graph; a shape of unknown length is (FREE,)."""
    import onnx

    tensor = value.type.tensor_type
    shape: tuple[int, ...] = (FREE,)
    if tensor.HasField("shape"):
        shape = tuple(dim.dim_value if dim.HasField("dim_value") else FREE for dim in tensor.shape.dim)
    return TensorSpec(value.name, shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name)


def with_shapes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> onnx.ModelProto:
    """Return a copy of `model` with inputs of the given shapes, FREE for open, and outputs of the inferred shapes.

    Raises
    ------
    TargetError
        A name is not that of an input, or a shape contradicts the model.
    """
    import onnx

    from fastscnn_opt.model.interface import graph_inputs
    from fastscnn_opt.model.shapes import infer_shapes

    shaped = onnx.ModelProto()
    shaped.CopyFrom(model)
    inputs = {value.name: value for value in graph_inputs(shaped)}
    for name, shape in shapes.items():
        known = spec_of(inputs[name]).shape if name in inputs else ()
        if len(shape) != len(known) or any(was not in (FREE, now) for was, now in zip(known, shape, strict=True)):
            has = ", ".join(f"{spec.name!r} {spec.shape}" for spec in map(spec_of, inputs.values()))
            raise TargetError(f"the shape {shape} of {name!r} does not fit the model, whose inputs are {has}")
        for dim, length in zip(inputs[name].type.tensor_type.shape.dim, shape, strict=True):
            if length != FREE:
                dim.dim_value = length
    for output in shaped.graph.output:
        output.type.tensor_type.ClearField("shape")
    return infer_shapes(shaped)
