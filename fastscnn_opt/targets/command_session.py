"""Sessions that run a command for every batch, and the signature they need because a compiled file does not tell it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import FREE, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import onnx
    from numpy.typing import NDArray


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
        file = signature_file(artefact)
        cure = "compile the model again with `fastscnn-opt compile`, and keep both files together"
        try:
            sides = json.loads(file.read_text(encoding="utf-8"))
            return cls(*(tuple(_spec(entry) for entry in sides[side]) for side in ("inputs", "outputs")))
        except FileNotFoundError as error:
            raise TargetError(
                f"the file with its inputs and outputs, {file.name}, is not beside it", where=artefact, cure=f"{cure}"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TargetError(f"does not describe inputs and outputs ({error})", where=file, cure=f"{cure}") from error


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
    """Return a copy of `model` with inputs of the given shapes, FREE for open, and outputs of those that follow.

    Raises
    ------
    TargetError
        A name is not one of an input, or a shape contradicts what the model fixes.
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


class Tool(Protocol):
    """A command that runs a compiled file. `feeds` are in the order of its inputs; `folder` is empty, to work in."""

    def infer(self, feeds: Sequence[NDArray[np.generic]], folder: Path) -> list[NDArray[np.generic]]:
        """Run once and return every output, in order; the bytes have to be right, type and shape need not."""

    def latencies_ms(self, feeds: Sequence[NDArray[np.generic]], iterations: int, folder: Path) -> list[float]:
        """Run `iterations` times and return as many latencies in ms, from the tool's own report."""


class CommandSession:
    """A session that starts `tool` for every batch and hands arrays over as files; see `base.Session`.

    Loading the compiled file costs seconds each time, but is no part of the latencies, which the tool measures itself.
    """

    def __init__(self, artefact: Path, signature: Signature, tool: Tool) -> None:
        for spec in (*signature.inputs, *signature.outputs):
            if FREE in spec.shape:
                raise TargetError(
                    f"{spec.name!r} has an open dimension, {spec.shape}, which its tool cannot be fed",
                    where=artefact,
                    cure="compile a model of fixed shapes, as `--passes static-batch` makes it",
                )
        self.inputs = signature.inputs
        self.outputs = signature.outputs
        self._artefact = artefact
        self._tool: Tool | None = tool

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Run once on `feeds`. Raises TargetError, also for feeds that are not what the compiled file takes."""
        tool, arrays = self._opened(), self._in_order(feeds)
        with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
            results = tool.infer(arrays, Path(folder))
        if len(results) != len(self.outputs):
            raise TargetError(
                f"gave {len(results)} outputs where {len(self.outputs)} were expected", where=self._artefact
            )
        return {
            spec.name: shaped(result, spec, self._artefact) for spec, result in zip(self.outputs, results, strict=True)
        }

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        """Return what asks the tool for n latencies."""
        tool, arrays = self._opened(), self._in_order(feeds)

        def time(iterations: int) -> list[float]:
            with tempfile.TemporaryDirectory(prefix="fastscnn-opt-") as folder:
                return tool.latencies_ms(arrays, iterations, Path(folder))

        return time

    def close(self) -> None:
        """Refuse to run from now on; nothing is held between runs."""
        self._tool = None

    def _opened(self) -> Tool:
        if self._tool is None:
            raise TargetError("the session is closed", where=self._artefact)
        return self._tool

    def _in_order(self, feeds: Mapping[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        return in_order(feeds, self.inputs, self._artefact)


def in_order(
    feeds: Mapping[str, NDArray[np.generic]], inputs: Sequence[TensorSpec], artefact: Path
) -> list[NDArray[np.generic]]:
    """Return the arrays of `feeds` in the order of `inputs`, contiguous; raises TargetError if one does not fit."""
    arrays = []
    for spec in inputs:
        array = feeds.get(spec.name)
        if array is None or array.shape != spec.shape or array.dtype.name != spec.dtype:
            given = "nothing" if array is None else f"{array.dtype} {array.shape}"
            raise TargetError(
                f"input {spec.name!r} takes {spec.dtype} {spec.shape}, but was given {given}", where=artefact
            )
        arrays.append(np.ascontiguousarray(array))
    return arrays


def shaped(result: NDArray[np.generic], spec: TensorSpec, artefact: Path) -> NDArray[np.generic]:
    """Return the bytes of `result` as the output `spec` describes them. Raises TargetError if there are more or fewer.

    A compiled file whose outputs are of another type than was thought shows here: half of the bytes are float16, not
    half an image.
    """
    expected = int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize
    if result.nbytes != expected:
        raise TargetError(
            f"output {spec.name!r} has {result.nbytes} bytes, but {spec.dtype} {spec.shape} takes {expected}",
            where=artefact,
            cure="compile the model again",
        )
    return np.ascontiguousarray(result).reshape(-1).view(spec.dtype).reshape(spec.shape)


def _spec(entry: Mapping[str, object]) -> TensorSpec:
    shape = entry["shape"]
    if not isinstance(shape, list) or not all(isinstance(length, int) for length in shape):
        raise ValueError(f"{shape!r} is not a shape")
    return TensorSpec(str(entry["name"]), tuple(shape), np.dtype(str(entry["dtype"])).name)
