"""The embedded target: ONNX Runtime on the CPU."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from fastscnn_opt.errors import TargetError
from fastscnn_opt.targets.base import FREE, Availability, Session, TensorSpec
from fastscnn_opt.targets.machine import cpu_model, usable_cores
from fastscnn_opt.targets.options import check_options
from fastscnn_opt.targets.unlowered import unlowered_pooling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import onnxruntime as ort
    from numpy.typing import NDArray

_CURE = "pip install onnxruntime"

_DTYPES = {"float": "float32", "double": "float64"} | {
    name: name for name in ("float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
}
"""Element types as ONNX Runtime prints them, ``tensor(float)``, and their numpy names where the two differ or agree."""

_FAILURES = (
    "EPFail", "EngineError", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile",
    "NotFound", "NotImplemented", "RuntimeException",
)  # fmt: skip
"""The exceptions of ONNX Runtime, which share no base class."""

_ERRORS_ONLY = 3
"""Log level of ONNX Runtime that leaves out warnings; an optimised file gets one, for it belongs to its machine."""


@dataclass(frozen=True)
class OnnxRuntime:
    """ONNX Runtime on the CPU.

    Compiling runs all of the engine's own graph optimisations and saves the optimised graph. Its layout optimisations
    depend on the processor, so the artefact belongs to the kind of machine it was made on; `tool_versions` names the
    processor for that reason.

    Attributes
    ----------
    threads
        Threads of one operator (intra-op); None takes every core this process may use.
    """

    threads: Annotated[int, Field(ge=1)] | None = None

    name: ClassVar[str] = "onnxruntime"
    artefact_suffix: ClassVar[str] = ".onnx"

    def __post_init__(self) -> None:
        check_options(self, self.name)

    def availability(self) -> Availability:
        """Tell whether the Python package can be imported."""
        try:
            import onnxruntime as ort
        except ImportError as error:
            return Availability(available=False, missing=f"onnxruntime cannot be imported ({error})", cure=_CURE)
        return Availability(available=True, version=ort.__version__)

    def tool_versions(self) -> dict[str, str]:
        """Return the version of ONNX Runtime and the processor."""
        return {"onnxruntime": self.availability().version, "cpu": cpu_model()}

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Optimise `model` for this machine and write the optimised graph to `artefact`. Raises TargetError."""
        del log  # the engine writes to stderr, which the caller keeps
        options = self._options()
        options.optimized_model_filepath = str(artefact)
        if _is_too_large_for_one_file(model):
            prefix = "session.optimized_model_external_initializers"
            options.add_session_config_entry(f"{prefix}_file_name", f"{artefact.name}.data")
            options.add_session_config_entry(f"{prefix}_min_size_in_bytes", "1024")
        _load(model, options)
        if not artefact.is_file():
            raise TargetError(f"{model}: onnxruntime reported success but wrote no optimised model to {artefact}")

    def open(self, artefact: Path) -> Session:
        """Open an ONNX file, optimised before or not. Raises TargetError or ModelError."""
        return _Session(_load(artefact, self._options()), artefact)

    def open_traced(self, model: Path, prefix: Path) -> TracedSession:
        """Open an ONNX file with a trace of every operator, in a file whose path begins with `prefix`.

        Raises TargetError or ModelError.
        """
        options = self._options()
        options.enable_profiling = True
        options.profile_file_prefix = str(prefix)
        return TracedSession(_load(model, options), model)

    def _options(self) -> ort.SessionOptions:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = self.threads or usable_cores()
        options.log_severity_level = _ERRORS_ONLY
        return options


def _load(file: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    import onnxruntime as ort

    with _engine_errors(file, lambda refused: unlowered_pooling(refused, OnnxRuntime.name)):
        return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _is_too_large_for_one_file(file: Path) -> bool:
    """Tell whether the weights of a model are larger than one ONNX file can hold. Raises ModelError."""
    from fastscnn_opt.model import MOST_INLINE_BYTES, load_model
    from fastscnn_opt.weights import stored_bytes

    return sum(map(stored_bytes, load_model(file).graph.initializer)) >= MOST_INLINE_BYTES


@contextmanager
def _engine_errors(file: Path, explain: Callable[[Path], str | None] = lambda _: None) -> Iterator[None]:
    """Turn an exception of the engine into a TargetError, in the words of `explain` where it has any."""
    from onnxruntime.capi import onnxruntime_pybind11_state as engine

    failures = tuple(getattr(engine, name) for name in _FAILURES if hasattr(engine, name))
    try:
        yield
    except failures as error:
        words = str(error).strip().splitlines()
        raise TargetError(f"{file}: {explain(file) or (words[0] if words else type(error).__name__)}") from error


class _Session:
    """An ONNX Runtime session behind the `Session` protocol."""

    def __init__(self, session: ort.InferenceSession, file: Path) -> None:
        self._session: ort.InferenceSession | None = session
        self._file = file
        self.inputs = tuple(_spec(value, file) for value in session.get_inputs())
        self.outputs = tuple(_spec(value, file) for value in session.get_outputs())

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        with _engine_errors(self._file):
            results = self._engine.run(None, dict(feeds))
        return {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        """Bind inputs and outputs once: what is timed is the engine, without the copies of its Python interface."""
        engine = self._engine
        binding = engine.io_binding()
        for name, value in feeds.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(value))
        for spec in self.outputs:
            binding.bind_output(spec.name, "cpu")

        def time(iterations: int) -> list[float]:
            latencies_ms = []
            with _engine_errors(self._file):
                for _ in range(iterations):
                    start = perf_counter_ns()
                    engine.run_with_iobinding(binding)
                    latencies_ms.append((perf_counter_ns() - start) / 1e6)
            return latencies_ms

        return time

    def close(self) -> None:
        self._session = None

    @property
    def _engine(self) -> ort.InferenceSession:
        if self._session is None:
            raise TargetError(f"{self._file}: the session is closed")
        return self._session


class TracedSession(_Session):
    """A session that writes down when each operator ran."""

    def end_trace(self) -> Path:
        """Finish the trace and return its file, JSON in the Chrome trace event format; later runs are not in it."""
        return Path(self._engine.end_profiling())


def _spec(value: ort.NodeArg, file: Path) -> TensorSpec:
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    if kind not in _DTYPES:
        raise TargetError(f"{file}: {value.name!r} is of type {value.type}, which numpy does not have")
    shape = tuple(dim if isinstance(dim, int) else FREE for dim in value.shape)
    return TensorSpec(value.name, shape, _DTYPES[kind])
