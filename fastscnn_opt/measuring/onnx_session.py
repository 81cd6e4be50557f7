"""Sessions of ONNX Runtime in this process."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import TargetError
from fastscnn_opt.files import MOST_MODEL_BYTES, check_readable
from fastscnn_opt.machine import usable_cores
from fastscnn_opt.measuring.session import FREE, Closable, TensorSpec, latencies_ms
from fastscnn_opt.model.adaptive_pooling import explain_adaptive_pooling
from fastscnn_opt.model.engine import content_for, engine_errors, reason_of
from fastscnn_opt.model.external_data import attach
from fastscnn_opt.model.reading.parsing import parse_file, unreadable
from fastscnn_opt.text import is_utf8

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import onnxruntime as ort
    from numpy.typing import NDArray

_DTYPES = {"float": "float32", "double": "float64"} | {
    name: name for name in ("float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
}
"""Numpy names of the element types, which ONNX Runtime prints as ``tensor(float)``."""

_CPU: tuple[str, dict[str, str]] = ("CPUExecutionProvider", {})

_ERRORS_ONLY = 3
"""Log level of ONNX Runtime without warnings, because each optimised file causes one."""


_SHAPES_OUTSIDE = "Cannot parse data from external tensors"
"""What ONNX Runtime says where a tensor that a shape follows from lies in another file than the model."""


def session_options(threads: int | None = None) -> ort.SessionOptions:
    """Return options with all graph optimisations; `threads` of one operator, by default every usable core."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads or usable_cores()
    options.log_severity_level = _ERRORS_ONLY
    return options


def load_session(
    file: Path, options: ort.SessionOptions, provider: tuple[str, dict[str, str]] = _CPU
) -> ort.InferenceSession:
    """Load an ONNX file into the engine. Raises TargetError, or ModelError if it is no model.

    `provider` has the name and the options of the execution provider that runs what it can; the CPU runs the rest.
    """
    import onnxruntime as ort

    try:
        check_readable(file, MOST_MODEL_BYTES)
    except FileNotFoundError:
        pass  # the engine says so
    except OSError as error:
        raise unreadable(file, error) from error
    check_name(file)
    with _engine_errors(file, lambda refused: explain_adaptive_pooling(refused, "onnxruntime")):
        # The fallback of the Python interface would try again without a provider that raises an error.
        how: dict[str, Any] = {"providers": [provider], "enable_fallback": False}
        try:
            return ort.InferenceSession(str(file), options, **how)
        except engine_errors() as error:
            if _SHAPES_OUTSIDE not in str(error):
                raise
            model = parse_file(file)
            attach(model, file)  # which reads small tensors
            return ort.InferenceSession(content_for(options, model), options, **how)


def check_name(file: Path) -> None:
    """Raise TargetError for a path that ONNX Runtime cannot be given, because it is no UTF-8 text."""
    if not is_utf8(str(file)):
        raise TargetError("its path is no UTF-8 text, and onnxruntime takes no other", where=file, cure="rename it")


@contextmanager
def _engine_errors(file: Path, explain: Callable[[Path], str | None] = lambda _: None) -> Iterator[None]:
    """Turn an exception of the engine into a TargetError, with the reason that `explain` gives, if any."""
    try:
        yield
    except engine_errors() as error:
        raise TargetError(explain(file) or reason_of(error), where=file) from error


class OnnxSession(Closable["ort.InferenceSession"]):
    """A `Session` of ONNX Runtime.

    `device` has the name and the number of a device whose own memory holds inputs and outputs while it is timed.
    """

    def __init__(self, session: ort.InferenceSession, file: Path, device: tuple[str, int] | None = None) -> None:
        super().__init__(session, file)
        self._device = device
        self.inputs = tuple(_spec(value, file) for value in session.get_inputs())
        self.outputs = tuple(_spec(value, file) for value in session.get_outputs())

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Run once on `feeds` and return the outputs by name. Raises TargetError."""
        with _engine_errors(self._file):
            results = self._engine.run(None, dict(feeds))
        return {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        """Bind inputs and outputs once, so that copies by the Python interface or to a device are not timed."""
        import onnxruntime as ort

        engine = self._engine
        binding = engine.io_binding()
        with _engine_errors(self._file):
            for name, value in feeds.items():
                array = np.ascontiguousarray(value)
                if self._device is None:
                    binding.bind_cpu_input(name, array)
                else:
                    binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array, *self._device))
            for spec in self.outputs:
                binding.bind_output(spec.name, *(self._device or ("cpu",)))

        def time(iterations: int) -> list[float]:
            with _engine_errors(self._file):
                return latencies_ms(lambda: engine.run_with_iobinding(binding), iterations)

        return time

    def end_profiling(self) -> Path:
        """Finish the trace of a session whose options ask for one, and return its file; later runs are not in it."""
        return Path(self._engine.end_profiling())


def _spec(value: ort.NodeArg, file: Path) -> TensorSpec:
    kind = value.type.removeprefix("tensor(").removesuffix(")")
    if kind not in _DTYPES:
        raise TargetError(f"{value.name!r} is of type {value.type}, which numpy does not have", where=file)
    shape = tuple(dim if isinstance(dim, int) else FREE for dim in value.shape)
    return TensorSpec(value.name, shape, _DTYPES[kind])
