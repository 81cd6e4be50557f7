"""Holds the values of tensors for graphsurgeon without reading them before a pass asks for them."""

from __future__ import annotations

import hashlib
import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx_graphsurgeon.importers.onnx_importer import get_numpy_type
from onnx_graphsurgeon.ir.tensor import LazyValues, SparseValues

from fastscnn_opt.model.external_data import values_of

if TYPE_CHECKING:
    import onnx_graphsurgeon as gs
    from numpy.typing import NDArray


class StoredValues(LazyValues):  # type: ignore[misc]  # graphsurgeon has no types
    """The values of a tensor of a model, read when a pass asks for them."""

    def __init__(self, source: onnx.TensorProto) -> None:
        self.source = source
        self.shape = list(source.dims)
        self.dtype = numpy_type(source.data_type)

    @property
    def tensor(self) -> onnx.TensorProto:
        """A copy of the tensor: graphsurgeon's own exporter writes the name of the constant into what it gets."""
        copy = onnx.TensorProto()
        copy.CopyFrom(self.source)
        return copy

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        size: int = math.prod(self.shape) * np.dtype(self.dtype).itemsize
        return size

    def load(self) -> np.ndarray:
        """Return the values; those in a file are read piece by piece when they are used."""
        values = values_of(self.source)
        return values if values.flags.writeable else values.copy()


class StoredSparseValues(SparseValues):  # type: ignore[misc]  # graphsurgeon has no types
    """The values of a sparse tensor of a model; graphsurgeon makes float64 of every type."""

    def load(self) -> NDArray[Any]:
        """Return the values as a dense array."""
        values: NDArray[Any] = super().load().astype(self.dtype)
        return values


def form_of(constant: gs.Constant) -> tuple[Any, ...] | None:
    """Return element type and shape of a constant, unread; None for text and for sparse values."""
    values = constant._values
    if isinstance(values, StoredValues):
        return None if values.source.data_type == onnx.TensorProto.STRING else (values.dtype, tuple(values.shape))
    return None if isinstance(values, LazyValues) or values.dtype == object else (values.dtype, values.shape)


def digest_of(constant: gs.Constant) -> bytes:
    """Return a digest of the bytes of a constant that has a form; large ones are read, but not kept."""
    values = constant._values
    array = values_of(values.source) if isinstance(values, StoredValues) else values
    plain: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return hashlib.blake2b(plain).digest()


@cache
def numpy_type(elem_type: int) -> Any:
    """Return the type as numpy has it; the number of the ONNX type where graphsurgeon uses that."""
    numpy_type = get_numpy_type(elem_type)
    return elem_type if numpy_type is None else numpy_type
