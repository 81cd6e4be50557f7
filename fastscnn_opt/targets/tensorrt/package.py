"""TensorRT through its Python package, which needs no trtexec; cuda-python holds the memory of the GPU."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import TargetError
from fastscnn_opt.files import MOST_MODEL_BYTES, read_bytes
from fastscnn_opt.measuring.session import Closable
from fastscnn_opt.targets.base import Availability
from fastscnn_opt.targets.command_session import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from fastscnn_opt.targets.signature import Signature
    from fastscnn_opt.targets.tensorrt.building import Build, Version

_OLDEST = (10,)
"""The first release with the interface that is used here: tensors by name, and no implicit batch."""

_CURE = "pip install tensorrt cuda-python"


def is_installed() -> bool:
    """Return whether the package tensorrt is installed."""
    return find_spec("tensorrt") is not None


def version() -> Version:
    """Return the release of the package; empty if it cannot be imported."""
    try:
        import tensorrt as trt
    except ImportError:
        return ()
    return tuple(int(part) for part in trt.__version__.split(".")[:3] if part.isdecimal())


def availability() -> Availability:
    """Tell whether both packages can be imported, in a release that fits."""
    try:
        import tensorrt  # noqa: F401 - it fails where its libraries are missing
        from cuda.bindings import runtime  # noqa: F401 - it fails where its libraries are missing
    except ImportError as error:
        return Availability(available=False, missing=f"the Python package cannot be imported ({error})", cure=_CURE)
    found = ".".join(map(str, version()))
    if version() < _OLDEST:
        missing = f"the Python package is TensorRT {found}, and {_OLDEST[0]} or newer is needed"
        return Availability(available=False, missing=missing, cure=f"{_CURE}, or use trtexec")
    return Availability(available=True, version=f"{found} (Python)")


def build(asked: Build) -> None:
    """Build an engine. Raises TargetError with the first error that TensorRT logs."""
    import tensorrt as trt

    _on_device(asked.device)
    logger = _logger(asked.log)
    builder = trt.Builder(logger)
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed if asked.strongly_typed else 0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(asked.source)):
        raise _refused(logger, asked.log, parser.get_error(0).desc() if parser.num_errors else "")
    config = builder.create_builder_config()
    for kind in asked.permissions:
        config.set_flag(getattr(trt.BuilderFlag, kind.upper()))
    if not asked.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if asked.shapes:
        profile = builder.create_optimization_profile()
        for name, shape in asked.shapes.items():
            profile.set_shape(name, shape, shape, shape)
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise _refused(logger, asked.log)
    asked.engine.write_bytes(memoryview(engine))


def _refused(logger: Any, log: Path, reason: str = "") -> TargetError:
    said = reason or next(iter(logger.errors), "it gives no reason")
    return TargetError(f"{said.strip().rstrip('.')} (log: {log})", where="tensorrt")


def _logger(log: Path) -> Any:
    """Return a logger of TensorRT that appends to `log` and keeps the errors, and load the operators with plug-ins."""
    import tensorrt as trt

    names = {trt.ILogger.INTERNAL_ERROR: "F", trt.ILogger.ERROR: "E", trt.ILogger.WARNING: "W", trt.ILogger.INFO: "I"}

    class Logger(trt.ILogger):  # type: ignore[misc]  # the package has no types
        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 asks for this form
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in names:
                with log.open("a", encoding="utf-8") as words:
                    words.write(f"[{names[severity]}] {msg}\n")
            if names.get(severity) in ("F", "E"):
                self.errors.append(msg)

    logger = Logger()
    trt.init_libnvinfer_plugins(logger, "")
    return logger


def _checked(result: tuple[Any, ...], what: str) -> Any:
    """Return the value of a call of cuda-python, which gives (error, value) or (error,). Raises TargetError."""
    from cuda.bindings import runtime

    error, *values = result
    if int(error):
        _, text = runtime.cudaGetErrorString(error)
        raise TargetError(f"{what} failed ({text.decode()})", where="CUDA")
    return values[0] if values else None


def _on_device(number: int) -> None:
    from cuda.bindings import runtime

    _checked(runtime.cudaSetDevice(number), f"choosing GPU {number}")


class _Engine:
    """A loaded engine with memory on the GPU for each of its tensors, by name."""

    def __init__(self, file: Path, signature: Signature, device: int) -> None:
        import tensorrt as trt
        from cuda.bindings import runtime

        _on_device(device)
        logger = _logger(file.with_name(f"{file.name}.run.log"))
        loader = trt.Runtime(logger)
        engine = loader.deserialize_cuda_engine(read_bytes(file, MOST_MODEL_BYTES))
        if engine is not None:
            _check_tensors(engine, signature, file)
        self.context: Any = engine.create_execution_context() if engine is not None else None
        if self.context is None:
            reason = next(iter(logger.errors), "it gives no reason")
            cure = "compile the model again, on this machine and with this release of TensorRT"
            raise TargetError(f"TensorRT cannot load the engine ({reason})", where=file, cure=cure)
        self._kept = (logger, loader, engine)  # the context points to them
        self.stream = _checked(runtime.cudaStreamCreate(), "making a stream")
        self.memory: dict[str, int] = {}
        for spec in (*signature.inputs, *signature.outputs):
            size = int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize
            self.memory[spec.name] = _checked(runtime.cudaMalloc(size), f"allocating {size} bytes for {spec.name!r}")
            self.context.set_tensor_address(spec.name, int(self.memory[spec.name]))
        for spec in signature.inputs:
            self.context.set_input_shape(spec.name, spec.shape)

    def enqueue(self, file: Path) -> None:
        """Start a run."""
        if not self.context.execute_async_v3(int(self.stream)):
            raise TargetError(f"TensorRT cannot run the engine (log: {file.name}.run.log)", where=file)

    def free(self) -> None:
        """Give the memory back."""
        from cuda.bindings import runtime

        self.context = None
        for address in self.memory.values():
            _checked(runtime.cudaFree(address), "freeing memory")
        _checked(runtime.cudaStreamDestroy(self.stream), "ending a stream")


def _check_tensors(engine: Any, signature: Signature, file: Path) -> None:
    """Raise a TargetError if an engine has other inputs and outputs than its signature says."""
    import tensorrt as trt

    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = {name: np.dtype(trt.nptype(engine.get_tensor_dtype(name))).name for name in names}
    expected = {spec.name: spec.dtype for spec in (*signature.inputs, *signature.outputs)}
    if found != expected:
        what = f"has the inputs and outputs {found}, and not {expected} as the file beside it says"
        raise TargetError(what, where=file, cure="compile the model again, and keep both files together")


class EngineSession(Closable[_Engine]):
    """An engine as a `Session`; what TensorRT logs is appended to ``<artefact>.run.log``."""

    def __init__(self, artefact: Path, signature: Signature, device: int) -> None:
        self.inputs = signature.inputs
        self.outputs = signature.outputs
        super().__init__(_Engine(artefact, signature, device), artefact)

    def run(self, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Run once on `feeds`. Raises TargetError, also for feeds that do not fit the inputs."""
        from cuda.bindings import runtime

        engine = self._engine
        self._copy_in(feeds)
        engine.enqueue(self._file)
        _checked(runtime.cudaStreamSynchronize(engine.stream), "a run")
        back = runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        results = {}
        for spec in self.outputs:
            result = np.empty(spec.shape, spec.dtype)
            copied = runtime.cudaMemcpy(result.ctypes.data, engine.memory[spec.name], result.nbytes, back)
            _checked(copied, f"copying {spec.name!r}")
            results[spec.name] = result
        return results

    def timer(self, feeds: Mapping[str, NDArray[np.generic]]) -> Callable[[int], list[float]]:
        """Return a function that runs n times and returns the time on the GPU of each run in ms, without copies."""
        from cuda.bindings import runtime

        self._copy_in(feeds)
        start, end = (_checked(runtime.cudaEventCreate(), "making an event") for _ in range(2))

        def once() -> float:
            engine = self._engine
            _checked(runtime.cudaEventRecord(start, engine.stream), "timing")
            engine.enqueue(self._file)
            _checked(runtime.cudaEventRecord(end, engine.stream), "timing")
            _checked(runtime.cudaEventSynchronize(end), "a run")
            return float(_checked(runtime.cudaEventElapsedTime(start, end), "timing"))

        return lambda iterations: [once() for _ in range(iterations)]

    def close(self) -> None:
        """Free the engine and its memory."""
        if self._held is not None:
            self._held.free()
        super().close()

    def _copy_in(self, feeds: Mapping[str, NDArray[np.generic]]) -> None:
        from cuda.bindings import runtime

        engine, there = self._engine, runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        for spec, array in zip(self.inputs, in_order(feeds, self.inputs, self._file), strict=True):
            copied = runtime.cudaMemcpy(engine.memory[spec.name], array.ctypes.data, array.nbytes, there)
            _checked(copied, f"copying {spec.name!r}")
