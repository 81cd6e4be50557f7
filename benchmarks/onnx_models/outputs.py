"""What a model gives for its inputs in onnxruntime, and how two such results differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx_models.cases import fed_inputs


def inputs_of(model: onnx.ModelProto) -> list[bytes]:
    """Return the names and types of the inputs without a default value, in a form that can be compared."""
    return [value.name.encode() + value.type.SerializeToString() for value in fed_inputs(model)]


def is_valid(model: onnx.ModelProto) -> bool:
    """Tell whether the checker of onnx accepts `model`."""
    try:
        onnx.checker.check_model(model, full_check=True)
    except Exception:  # noqa: BLE001 - it has several
        return False
    return True


def outputs(model: onnx.ModelProto, feeds: dict[str, Any]) -> list[Any]:
    """Return what onnxruntime makes of `feeds`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    results: list[Any] = session.run(None, {name: value for name, value in feeds.items() if name in wanted})
    return results


def difference(expected: Any, actual: Any) -> str:
    """Say how two values of onnxruntime differ; return "" if they do not."""
    if isinstance(expected, list):
        if not isinstance(actual, list) or len(expected) != len(actual):
            return "another number of values"
        return next((found for pair in zip(expected, actual, strict=True) if (found := difference(*pair))), "")
    if expected is None or actual is None:
        return "" if expected is actual else "a value where none was, or none where one was"
    one, two = np.asarray(expected), np.asarray(actual)
    if (one.shape, one.dtype) != (two.shape, two.dtype):
        return f"{two.dtype}{list(two.shape)} instead of {one.dtype}{list(one.shape)}"
    if one.dtype.kind != "f":
        return "" if np.array_equal(one, two) else "other values"
    finite = np.abs(one[np.isfinite(one)].astype(np.float64))
    largest = float(finite.max()) if finite.size else 0.0
    same = np.allclose(two.astype(np.float64), one.astype(np.float64), rtol=1e-3, atol=1e-4 * largest, equal_nan=True)
    return "" if same else "other values"


def is_finite(value: Any) -> bool:
    """Tell whether all floats in a value of onnxruntime are finite."""
    if isinstance(value, list):
        return all(map(is_finite, value))
    return value is None or value.dtype.kind != "f" or bool(np.isfinite(value).all())
