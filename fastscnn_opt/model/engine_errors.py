"""The exceptions of ONNX Runtime, which share no base class."""

from __future__ import annotations


def engine_errors() -> tuple[type[Exception], ...]:
    """Return every exception of ONNX Runtime, and ValueError, which its Python interface raises for unknown feeds."""
    from onnxruntime.capi import onnxruntime_pybind11_state as engine

    kinds = (kind for kind in vars(engine).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return (*kinds, ValueError)


def reason_of(error: Exception) -> str:
    """Return the first line of what the engine says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
