"""Keeps large weights in their files: external data is read when something needs its values, and never as a whole.

A tensor in a file is a message with external data whose ``basepath`` is the folder of the file. So the message can be
copied within the process. Its ``checksum`` identifies the version of the file, so that a replaced file is noticed.
Neither is written to a model file.
"""

from __future__ import annotations

import functools
import math
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.element_types import bits_of, element_type
from fastscnn_opt.model.skeleton import copy_without, is_large, subgraphs

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx
    from numpy.typing import NDArray

ALIGNMENT = 64
"""Tensors begin at multiples of this many bytes in a data file, so that every element type is aligned."""

_CHUNK_BYTES = 2**24


@dataclass(frozen=True)
class Place:
    """Where the values of a tensor lie: `length` bytes from `offset` on in `version` of the file `path`."""

    path: Path
    offset: int
    length: int
    version: str

    def map(self, mode: str = "r") -> NDArray[np.uint8]:
        """Return the bytes, which the system reads when they are used; mode "c" lets them be changed in memory.

        Raises
        ------
        ModelError
            The file was removed or replaced.
        """
        if _version(self.path) != self.version:
            raise ModelError(
                "was changed or removed while its weights were in use", where=self.path, cure="start again"
            )
        mapped = np.memmap(self.path, np.uint8, mode, self.offset, (self.length,))  # type: ignore[call-overload]  # the stubs want the mode as a literal
        plain: NDArray[np.uint8] = mapped.view(np.ndarray)
        return plain


def is_outside(tensor: onnx.TensorProto) -> bool:
    """Tell whether the values of `tensor` are in a file."""
    import onnx

    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def has_weights_outside(model: onnx.ModelProto) -> bool:
    """Tell whether any weights of `model` are in files."""
    return any(map(is_outside, model.graph.initializer))


def place_of(tensor: onnx.TensorProto) -> Place:
    """Return where the values of a tensor of a loaded model lie."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = Path(entries["basepath"]) / entries["location"]
    return Place(path, int(entries["offset"]), int(entries["length"]), entries["checksum"])


def values_of(tensor: onnx.TensorProto) -> NDArray[np.generic]:
    """Return the values of a tensor of a loaded model; those in a file are mapped, and copied only where written to."""
    import onnx

    if not is_outside(tensor):
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    content = place_of(tensor).map("c")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    if bits_of(tensor.data_type) == dtype.itemsize * 8:
        return content.view(dtype).reshape(tuple(tensor.dims))
    packed = onnx.TensorProto(data_type=tensor.data_type, dims=tensor.dims, raw_data=content.tobytes())
    return np.asarray(onnx.numpy_helper.to_array(packed))


def bytes_of(tensor: onnx.TensorProto) -> Iterator[memoryview]:
    """Yield the bytes of a tensor with raw or external data, in pieces."""
    whole = _view(place_of(tensor).map()) if is_outside(tensor) else memoryview(tensor.raw_data)
    for start in range(0, len(whole), _CHUNK_BYTES):
        yield whole[start : start + _CHUNK_BYTES]


def is_same(values: NDArray[np.generic], tensor: onnx.TensorProto) -> bool:
    """Tell whether `values` are, byte for byte, those of a tensor of a loaded model."""
    if not is_outside(tensor):
        stored_here = values_of(tensor)
        return (values.dtype, values.shape) == (stored_here.dtype, stored_here.shape) and (
            values.tobytes() == stored_here.tobytes()
        )
    place = place_of(tensor)
    if values.nbytes != place.length or not values.flags.c_contiguous:
        return False
    mine, stored = _view(values), _view(place.map())
    return all(
        mine[start : start + _CHUNK_BYTES] == stored[start : start + _CHUNK_BYTES]
        for start in range(0, place.length, _CHUNK_BYTES)
    )


def stored_bytes(tensor: onnx.TensorProto) -> int:
    """Return how many bytes the values of a tensor take, by its shape and type; 0 for text."""
    bits: int = math.prod(tensor.dims) * bits_of(tensor.data_type)
    return (bits + 7) // 8


def attach(model: onnx.ModelProto, file: Path) -> None:
    """Locate the external data of a model that was read from `file`; leave large initializers there and read the rest.

    Raises
    ------
    ModelError
        A tensor's data lies outside the folder of the model, is not there, or is not as long as its shape says.
    """
    outside = [tensor for tensor in model.graph.initializer if is_outside(tensor)]
    for tensor in outside:
        _point(tensor, _checked_place(tensor, file))
        if not is_large(tensor):
            load_values(tensor)
    for tensor in filter(is_outside, _inner_tensors(model)):
        _point(tensor, _checked_place(tensor, file))
        load_values(tensor)


def locations_in(model: onnx.ModelProto) -> set[str]:
    """Return the paths of the data files of a model as its file gives them, relative to its folder."""
    tensors = filter(is_outside, (*model.graph.initializer, *_inner_tensors(model)))
    return {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}


def load_values(tensor: onnx.TensorProto) -> None:
    """Read the values of a tensor from its file into the message."""
    tensor.raw_data = place_of(tensor).map().tobytes()
    tensor.ClearField("data_location")
    del tensor.external_data[:]


def write_temporary(array: NDArray[np.generic], name: str) -> onnx.TensorProto:
    """Write the values of a large tensor to a temporary file of this process, and return a tensor with external data.

    Text and 4-bit numbers, which numpy stores in another form, come in the message itself.
    """
    import onnx

    data_type = 0 if array.dtype == object else element_type(array.dtype)
    if bits_of(data_type) != array.itemsize * 8:
        return onnx.numpy_helper.from_array(array, name)
    handle, path = tempfile.mkstemp(dir=scratch_folder(), suffix=".data")
    with os.fdopen(handle, "wb") as file:
        file.write(_view(np.ascontiguousarray(array)))
    tensor = onnx.TensorProto(name=name, data_type=data_type, dims=array.shape)
    _point(tensor, Place(Path(path), 0, array.nbytes, _version(Path(path))))
    return tensor


def relative_to_root(model: onnx.ModelProto) -> tuple[onnx.ModelProto, Path]:
    """Return a copy of a model with locations relative to the root of the file system, and that root.

    Engines read external data from one folder, and the weights of a model may lie in several.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    root = Path("/")
    for tensor in filter(is_outside, copy.graph.initializer):
        place = place_of(tensor)
        root = Path(place.path.anchor)
        location = place.path.relative_to(root).as_posix()
        _locate(tensor, location=location, offset=place.offset, length=place.length)
    return copy, root


def write_outside(model: onnx.ModelProto, file: IO[bytes], location: str) -> onnx.ModelProto:
    """Write the values of all large initializers to `file`, and return a copy of `model` that reads them at `location`.

    Values are copied from file to file in pieces, so that they are never in memory as a whole.
    """
    lean = copy_without(model, "graph")
    lean.graph.CopyFrom(copy_without(model.graph, "initializer"))
    for tensor in model.graph.initializer:
        copy = lean.graph.initializer.add()
        if not is_large(tensor):
            copy.CopyFrom(tensor)
            continue
        file.write(bytes(-file.tell() % ALIGNMENT))
        offset = file.tell()
        for piece in bytes_of(tensor):
            file.write(piece)
        copy.CopyFrom(copy_without(tensor, "raw_data"))
        _locate(copy, location=location, offset=offset, length=file.tell() - offset)
    return lean


def _view(array: NDArray[np.generic]) -> memoryview:
    """Return the bytes of a contiguous array."""
    plain: Any = array.reshape(-1).view(np.uint8)
    return memoryview(plain)


def _inner_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of the model that is no initializer of its main graph."""
    for body in subgraphs(model.graph):
        yield from body.initializer
    graphs = (model.graph, *subgraphs(model.graph))
    for nodes in (*(graph.node for graph in graphs), *(function.node for function in model.functions)):
        for attribute in (attribute for node in nodes for attribute in node.attribute):
            yield from attribute.tensors
            yield attribute.t
    for sparse in (sparse for graph in graphs for sparse in graph.sparse_initializer):
        yield from (sparse.values, sparse.indices)


def _checked_place(tensor: onnx.TensorProto, file: Path) -> Place:
    """Return where the external data of `tensor` lies, checked to be complete and in the folder of `file`."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = _inside(entries.get("location", ""), file, tensor.name)
    if not bits_of(tensor.data_type) or any(size < 0 for size in tensor.dims):
        kind = f"type {tensor.data_type} and shape {list(tensor.dims)}"
        raise _unreadable(file, f"{tensor.name!r} is of {kind}, which cannot lie in a file")
    length = stored_bytes(tensor)
    offset = _number(entries.get("offset", "0"), "offset", tensor.name, file)
    stated = _number(entries.get("length", str(length)), "length", tensor.name, file)
    if stated != length:
        kind = f"its shape and type make {length} bytes"
        raise _unreadable(file, f"{tensor.name!r} is said to have {stated} bytes, and {kind}")
    size = path.stat().st_size
    if offset + length > size:
        what = f"{tensor.name!r} ends at byte {offset + length} of {path.name}, which has {size}"
        raise _unreadable(file, what, "copy both files again")
    return Place(path, offset, length, _version(path))


def _inside(location: str, file: Path, name: str) -> Path:
    """Return the path of a data file. Raises ModelError unless it is a file in the folder of the model or below."""
    what = f"{name!r} lies in {location!r}"
    windows = PureWindowsPath(location)
    if not location or "\0" in location or ".." in (*PurePosixPath(location).parts, *windows.parts):
        raise _unreadable(file, f"{what}, which is no path inside the folder of the model")
    if PurePosixPath(location).is_absolute() or windows.is_absolute() or windows.drive:
        raise _unreadable(file, f"{what}, an absolute path", "export it again with the data beside the model")
    try:
        whole = (file.parent / location).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise _unreadable(file, f"{what}, which is not there", "keep the data files beside the model") from error
    if not whole.is_relative_to(file.parent.resolve()):
        raise _unreadable(file, f"{what}, a link that leaves the folder of the model", "copy the data file there")
    if not whole.is_file():
        raise _unreadable(file, f"{what}, which is no file", "keep the data files beside the model")
    return whole


def _number(text: str, what: str, name: str, file: Path) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise _unreadable(file, f"the {what} of {name!r} is {text[:40]!r}, which is no number of bytes")
    return int(text)


def _unreadable(file: Path, what: str, cure: str = "export it again") -> ModelError:
    return ModelError(f"its external data cannot be read ({what})", where=file, cure=f"{cure}")


def _point(tensor: onnx.TensorProto, place: Place) -> None:
    """Make the values of `tensor` those at `place`."""
    _locate(
        tensor,
        basepath=str(place.path.parent),
        location=place.path.name,
        offset=place.offset,
        length=place.length,
        checksum=place.version,
    )


def _locate(tensor: onnx.TensorProto, **entries: str | int) -> None:
    import onnx

    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))


def _version(path: Path) -> str:
    """Return a text that differs for a file that replaces another; the empty text if there is no file."""
    with suppress(OSError):
        status = path.stat()
        return f"{status.st_dev}-{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
    return ""


@functools.cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fastscnn-opt-weights-")


def scratch_folder() -> str:
    """Return the folder for weights that passes made; it is removed when the process ends."""
    return _scratch().name
