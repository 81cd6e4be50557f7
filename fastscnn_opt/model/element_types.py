"""The element types of tensors: their ONNX numbers, their names, and their sizes in bits."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

_BITS_OF_NARROW = {"UINT4": 4, "INT4": 4, "FLOAT4E2M1": 4, "UINT2": 2, "INT2": 2}
"""Types with elements smaller than a byte."""


def element_type(dtype: DTypeLike | int) -> int:
    """Return the number that ONNX gives to a type; a type that numpy does not have is given as that number."""
    import onnx

    return dtype if isinstance(dtype, int) else int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def is_element_type(number: int) -> bool:
    """Tell whether ONNX has an element type of that number."""
    import onnx

    return number != onnx.TensorProto.UNDEFINED and number in onnx.TensorProto.DataType.values()


def type_name(number: int) -> str:
    """Return ONNX's name of an element type in lower case, such as ``float``, ``float16`` and ``uint8``."""
    import onnx

    known = onnx.TensorProto.DataType.values()
    return onnx.TensorProto.DataType.Name(number).lower() if number in known else f"type {number}"


@cache
def bits_of(number: int) -> int:
    """Return how many bits an element takes in raw or external data; 0 for types that cannot be there, as text."""
    import onnx

    if not is_element_type(number) or number == onnx.TensorProto.STRING:
        return 0
    name = onnx.TensorProto.DataType.Name(number)
    itemsize: int = onnx.helper.tensor_dtype_to_np_dtype(number).itemsize
    return _BITS_OF_NARROW.get(name, 8 * itemsize)
