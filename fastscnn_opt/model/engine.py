"""Open models in ONNX Runtime, and list its exceptions, which have no common base class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.errors import ModelError
from fastscnn_opt.machine import usable_cores
from fastscnn_opt.model.external_data import has_weights_outside, relative_to_root

if TYPE_CHECKING:
    import onnx
    import onnxruntime as ort

_FATAL_ONLY = 4
"""Log level of ONNX Runtime. Its exceptions describe the errors, so it need not log them."""


def open_model(model: onnx.ModelProto, cure: str = "") -> ort.InferenceSession:
    """Open `model`, which may have its weights in files, in ONNX Runtime on the CPU.

    Raises
    ------
    ModelError
        ONNX Runtime refuses the model; the error carries `cure`.
    """
    import onnxruntime as ort

    silence_engine()
    options = ort.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = usable_cores()  # the engine counts cores that the process may not use, too
    options.enable_mem_pattern = False  # planning memory for later runs takes the square of the number of nodes
    if has_weights_outside(model):
        options.add_session_config_entry("session.disable_prepacking", "1")  # which would copy all weights
    try:
        return ort.InferenceSession(content_for(options, model), options, providers=["CPUExecutionProvider"])
    except engine_errors() as error:
        raise ModelError(f"onnxruntime refuses the graph ({reason_of(error)})", cure=cure) from error


def content_for(options: ort.SessionOptions, model: onnx.ModelProto) -> bytes:
    """Return the bytes of `model`, and have the `options` of its session say where its weights in files lie."""
    if has_weights_outside(model):
        model, folder = relative_to_root(model)
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    content: bytes = model.SerializeToString()
    return content


def silence_engine() -> None:
    """Let ONNX Runtime log nothing of what belongs to no session, such as allocations, or to one of another library."""
    import onnxruntime as ort

    ort.set_default_logger_severity(_FATAL_ONLY)


def engine_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of ONNX Runtime, and what its Python interface raises for unknown feeds and types."""
    from onnxruntime.capi import onnxruntime_pybind11_state as engine

    kinds = (kind for kind in vars(engine).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return (*kinds, ValueError, RuntimeError)


def reason_of(error: Exception) -> str:
    """Return the first line of the message of an engine error."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
