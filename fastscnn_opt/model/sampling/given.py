"""Reads inputs that a user gives for a model from an ``.npz`` file of numpy."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import DataError
from fastscnn_opt.files import open_readable
from fastscnn_opt.model.interface import graph_inputs
from fastscnn_opt.model.sampling.samples import fits
from fastscnn_opt.text import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

_MOST_BYTES = 1 << 32
"""Bytes of the arrays of a file at most, packed and unpacked."""


def read_inputs(file: Path, model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """Return the arrays in `file` by the names of the inputs of `model`, some of which may be missing.

    Numbers of a wider type of the same kind are converted to that of the input.

    Raises
    ------
    DataError
        The file is no ``.npz``, or an array in it has a name, type or shape that the model does not take.
    """
    inputs = {value.name: value for value in graph_inputs(model)}
    result = {}
    for name, array in _arrays(file).items():
        if name not in inputs:
            raise DataError(f"{name!r} is no input of the model", where=file, cure=nearest(name, inputs))
        converted = _converted(inputs[name], array)
        if not fits(inputs[name], converted):
            raise DataError(
                f"{name!r} is {array.dtype} of shape {list(array.shape)}, and the model takes {_words(inputs[name])}",
                where=file,
                cure="save it in that type and shape",
            )
        result[name] = converted
    return result


def write_inputs(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to an ``.npz`` file that `read_inputs` reads, text as numpy's own kind of it."""
    plain: dict[str, Any] = {
        name: values.astype(str) if values.dtype == object else values for name, values in arrays.items()
    }
    np.savez(file, **plain)


def _arrays(file: Path) -> dict[str, NDArray[Any]]:
    what, cure = "is no archive of arrays", "write it with numpy.savez(FILE, name=array)"
    try:
        with open_readable(file, _MOST_BYTES) as opened, zipfile.ZipFile(opened) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > _MOST_BYTES:
                what = f"unpacks to {unpacked} bytes, and the inputs of a model have at most {_MOST_BYTES}"
                raise DataError(what, where=file, cure="check what was saved in it")
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as content:
                return dict(content)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror or error})", where=file, cure=cure) from error
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise DataError(what, where=file, cure=cure) from error


def _converted(value: onnx.ValueInfoProto, array: NDArray[Any]) -> NDArray[Any]:
    """Return `array` in the type of an input, where that is another one of the same kind."""
    import onnx

    wanted = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type or 1))
    if wanted.isbuiltin == 2 and array.dtype.kind == "V" and array.dtype.itemsize == wanted.itemsize:
        return array.view(wanted)  # numpy.savez forgets such types
    if (wanted.kind, array.dtype.kind) in (("O", "U"), ("f", "f"), ("i", "i"), ("u", "u")):
        return array.astype(wanted)
    return array


def _words(value: onnx.ValueInfoProto) -> str:
    from fastscnn_opt.model.element_types import type_name

    tensor = value.type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in tensor.shape.dim]
    return f"{type_name(tensor.elem_type)} of shape [{', '.join(map(str, sizes))}]"
