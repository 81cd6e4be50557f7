"""OpenVINO on the CPU or on a GPU of Intel."""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from fastscnn_opt.errors import TargetError
from fastscnn_opt.files import temporary_folder
from fastscnn_opt.machine import cpu_model, usable_cores
from fastscnn_opt.measuring.session import FREE, Closable, Session, TensorSpec, latencies_ms
from fastscnn_opt.model.adaptive_pooling import explain_adaptive_pooling
from fastscnn_opt.rewriting.options import check_options, written
from fastscnn_opt.targets.base import Availability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import openvino as ov
    from numpy.typing import NDArray

_CPU = "CPU"

_TELEMETRY = "openvino_telemetry"

_CURE = "pip install 'fastscnn-opt[openvino]'"

Device = Annotated[str, written(r"CPU|GPU(\.\d+)?", "CPU|GPU|GPU.1")]
"""Devices by name; those that choose others themselves, such as AUTO and HETERO, would do so silently."""

_DTYPES = {
    "boolean": "bool", "f16": "float16", "f32": "float32", "f64": "float64",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
}  # fmt: skip
"""Element types as OpenVINO names them, and their numpy names."""


class Precision(StrEnum):
    """The type that the engine computes float layers in; integer layers of a quantised model stay integer."""

    F32 = "f32"
    BF16 = "bf16"
    F16 = "f16"

    @property
    def capability(self) -> str:
        """Its name in the engine's property ``OPTIMIZATION_CAPABILITIES``."""
        return {"f32": "FP32", "bf16": "BF16", "f16": "FP16"}[self.value]


@dataclass(frozen=True)
class OpenVino:
    """OpenVINO, by default on the CPU.

    Compiling converts the ONNX file to OpenVINO's own form, a file ``.xml`` with the weights beside it, and changes no
    type. Optimisations that depend on the processor happen when the artefact is opened.

    Attributes
    ----------
    threads
        Threads of one inference on the CPU; None takes every core this process may use.
    device
        ``CPU``, ``GPU`` or ``GPU.1``. On a GPU, the copies of inputs and outputs are timed.
    streams
        Requests among which the engine divides the device. One request at a time, as `bench` runs them by itself, is
        slower with more than one.
    precision
        The type in which float layers are computed. OpenVINO itself takes bf16 where the processor has it; here it is
        f32 unless the user asks for another. A precision that the device lacks makes the target unavailable, since
        OpenVINO would silently take another one.
    """

    threads: Annotated[int, Field(ge=1)] | None = None
    device: Device = "CPU"
    streams: Annotated[int, Field(ge=1)] = 1
    precision: Precision = Precision.F32

    name: ClassVar[str] = "openvino"
    artefact_suffix: ClassVar[str] = ".xml"
    runs_streams: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self, self.name)

    def availability(self) -> Availability:
        """Tell whether the Python package can be imported, and finds the device and its precision."""
        try:
            ov = _openvino()
        except ImportError as error:
            return Availability(available=False, missing=f"openvino cannot be imported ({error})", cure=_CURE)
        try:
            capabilities = ov.Core().get_property(self.device, "OPTIMIZATION_CAPABILITIES")
        except RuntimeError as error:
            missing = f"OpenVINO cannot use {self.device} here ({_finding(str(error))})"
            return Availability(available=False, missing=missing, cure="install its driver, or set device to CPU")
        if self.precision.capability not in capabilities:
            able = [str(precision) for precision in Precision if precision.capability in capabilities]
            missing = f"this {'processor' if self.device == _CPU else self.device} does not compute in {self.precision}"
            return Availability(available=False, missing=missing, cure=f"set precision to {' or '.join(able)}")
        return Availability(available=True, version=ov.__version__.partition("-")[0])

    def tool_versions(self) -> dict[str, str]:
        """Return the version of OpenVINO, the processor or the GPU, and the precision."""
        availability = self.availability()
        tools = {"openvino": availability.version, "cpu": cpu_model(), "precision": str(self.precision)}
        if self.device == _CPU or not availability.available:
            return tools
        ov = _openvino()
        return tools | {"gpu": str(ov.Core().get_property(self.device, "FULL_DEVICE_NAME"))}

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Convert `model` to `artefact` and its weights to ``<artefact>.bin``.

        Raises TargetError, ModelError, or the OSError of a folder that takes no files.
        """
        del log  # the engine writes to stderr, which the caller records
        ov = _openvino()
        converted = _read(model)
        with temporary_folder(artefact.absolute().parent, f".{artefact.name}-", artefact) as folder:
            written = folder / "model.xml"  # the engine itself puts the weights beside it as model.bin
            try:
                ov.save_model(converted, written, compress_to_fp16=False)
            except RuntimeError as error:  # a full disk, too
                raise TargetError(
                    f"the compiled model cannot be written ({_finding(str(error))})",
                    where=model,
                    cure=f"check that {artefact.absolute().parent} can be written to and its disk has room",
                ) from error
            written.with_suffix(".bin").replace(_weights(artefact))
            written.replace(artefact)

    def open(self, artefact: Path) -> Session:
        """Open an artefact, or an ONNX file as it is. Raises TargetError or ModelError."""
        ov = _openvino()
        availability = self.availability()
        if not availability.available:
            raise availability.error(artefact)
        model = _read(artefact)
        with _engine_errors(artefact):
            compiled = ov.Core().compile_model(model, self.device, self._settings())
            taken = {
                "precision": compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name(),
                "streams": compiled.get_property("NUM_STREAMS"),
            }
        for option, value in taken.items():
            if value != getattr(self, option):
                raise TargetError(
                    f"OpenVINO takes {option}={value} with this model, device and number of threads, "
                    f"not {getattr(self, option)}",
                    where=artefact,
                    cure=f"set {option} to {value}",
                )
        return _OpenVinoSession(compiled, artefact)

    def _settings(self) -> dict[str, Any]:
        settings = {
            "INFERENCE_PRECISION_HINT": str(self.precision),
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": self.streams,
        }
        if self.device != _CPU:
            return settings
        return settings | {
            "INFERENCE_NUM_THREADS": self.threads or usable_cores(),
            "ENABLE_CPU_PINNING": False,  # several processes, each pinned to the first cores, would share these
        }


@dataclass(frozen=True)
class OpenVinoBf16(OpenVino):
    """OpenVINO on the CPU, with float layers in bfloat16; a target of its own, so that a table can hold both."""

    precision: Precision = Precision.BF16

    name: ClassVar[str] = "openvino-bf16"


def _openvino() -> Any:
    """Import the package without its telemetry, which sends an event and writes an id to the user's home folder."""
    silenced = sys.modules.keys().isdisjoint({"openvino", _TELEMETRY})
    if silenced:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # it cannot be imported then, which OpenVINO expects
    try:
        return importlib.import_module("openvino")
    finally:
        if silenced:
            del sys.modules[_TELEMETRY]


def _weights(artefact: Path) -> Path:
    return artefact.with_name(f"{artefact.name}.bin")


def _read(file: Path) -> ov.Model:
    ov = _openvino()
    if file.suffix == OpenVino.artefact_suffix:
        for part in (file, _weights(file)):
            if not part.is_file():
                raise TargetError("the file is missing", where=part, cure="compile the model again")
        with _engine_errors(file):
            return ov.Core().read_model(file, _weights(file))
    with _engine_errors(file, lambda refused: explain_adaptive_pooling(refused, OpenVino.name)):
        return ov.Core().read_model(file)


@contextmanager
def _engine_errors(file: Path, explain: Callable[[Path], str | None] = lambda _: None) -> Iterator[None]:
    """Turn an exception of the engine into a TargetError, with the reason that `explain` gives, if any."""
    try:
        yield
    except RuntimeError as error:  # the engine's only class
        raise TargetError(f"{explain(file) or _finding(str(error))}", where=file) from error


def _finding(text: str) -> str:
    """Return the first line with the reason; the lines before it name places in the engine's own sources."""
    lines = [line.strip().removeprefix("-- ") for line in text.splitlines() if line.strip()]
    headings = ("Exception from ", "Check '", "FrontEnd API failed", "Model wasn't fully converted", "Summary")
    found = (line for line in lines if not line.startswith(headings))
    return next(found, lines[0] if lines else "the engine gives no reason")


class _OpenVinoSession(Closable["ov.InferRequest"]):
    """A compiled model as a `Session`."""

    def __init__(self, model: ov.CompiledModel, file: Path) -> None:
        super().__init__(model.create_infer_request(), file)
        self.inputs = tuple(_spec(port, file) for port in model.inputs)
        self.outputs = tuple(_spec(port, file) for port in model.outputs)

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        self._bind(feeds)
        engine = self._engine
        with _engine_errors(self._file):
            engine.infer(share_outputs=True)
        return {spec.name: engine.get_output_tensor(index).data.copy() for index, spec in enumerate(self.outputs)}

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        """Bind the inputs once and do not copy the outputs, so that no copy is timed."""
        self._bind(feeds)
        engine = self._engine

        def time(iterations: int) -> list[float]:
            with _engine_errors(self._file):
                return latencies_ms(lambda: engine.infer(share_outputs=True), iterations)

        return time

    def _bind(self, feeds: Mapping[str, NDArray[np.generic]]) -> None:
        """Pass a copy of every input to the engine, which would silently convert values of another type."""
        ov = _openvino()
        engine = self._engine
        if feeds.keys() != {spec.name for spec in self.inputs}:
            wanted = ", ".join(spec.name for spec in self.inputs)
            raise TargetError(
                f"the model takes the inputs {wanted}, not {', '.join(feeds) or 'none'}", where=self._file
            )
        for spec in self.inputs:
            value = feeds[spec.name]
            if value.dtype != spec.dtype:
                raise TargetError(f"input {spec.name!r} is {spec.dtype}, not {value.dtype}", where=self._file)
            with _engine_errors(self._file):
                engine.set_tensor(spec.name, ov.Tensor(np.ascontiguousarray(value)))


def _spec(port: ov.Output, file: Path) -> TensorSpec:
    kind, name = port.get_element_type().get_type_name(), port.get_any_name()
    if kind not in _DTYPES:
        raise TargetError(f"{name!r} is of type {kind}, which numpy does not have", where=file)
    shape = tuple(dim.get_length() if dim.is_static else FREE for dim in port.get_partial_shape())
    return TensorSpec(name, shape, _DTYPES[kind])
