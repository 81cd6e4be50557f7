"""ONNX models as files: load, check, infer shapes, save, fingerprint, and sample inputs.

Every function takes and returns `onnx.ModelProto`. The one operator that is allowed without being an ONNX operator is
``AdaptiveAvgPool2d`` (any domain, attribute ``output_size`` = [height, width]): the vendor compiler accepts it in the
default domain.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from fastscnn_opt import outline
from fastscnn_opt.errors import ModelError
from fastscnn_opt.flaws import first_flaw
from fastscnn_opt.outline import Outline, has_subgraphs
from fastscnn_opt.weights import attach, bytes_of, has_weights_outside, is_outside, stored_bytes, write_outside

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx
    from numpy.typing import NDArray

ADAPTIVE_POOL = outline.ADAPTIVE_POOL

MOST_INLINE_BYTES = 2**31 - 2**24
"""Weights that one file can hold beside the rest of a model: a protobuf message ends at 2 GB."""

OLDEST_OPSET = 9
"""Resize and its predecessors settle only from opset 9 on; older files are rare and need a new export."""

_MOST_ELEMENTS = 1 << 29
"""Elements of an input beyond which it is a mistake in the file rather than a batch of images: 2 GB of float32."""


def load_model(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Read and check an ONNX file; large weights with external data stay in their files until something reads them.

    Raises
    ------
    ModelError
        The file is missing, truncated, not ONNX, invalid, cyclic or unsorted, of an unsupported opset, or lacks its
        external data, or has it outside its folder.
    """
    import onnx
    from google.protobuf.message import DecodeError

    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise ModelError(f"{file}: the model file {what}; give the path of an .onnx file")
    try:
        model = onnx.load(file, load_external_data=False)
    except DecodeError as error:
        raise ModelError(f"{file}: not an ONNX model, or a truncated one; export or copy it again") from error
    if not model.graph.node and not model.graph.output:
        raise ModelError(f"{file}: holds no graph, so it is not an ONNX model or is an empty one; export it again")
    attach(model, file)
    if flaw := first_flaw(model):
        raise ModelError(f"{file}: {flaw}; export or copy it again")
    check_model(model, str(file))
    return model


def check_model(model: onnx.ModelProto, where: str) -> None:
    """Hold `model` against the ONNX checker and the opset range; `where` names it in the error.

    Raises
    ------
    ModelError
        With the first finding of the checker.
    """
    _check_opset(model, where)
    Outline(model, where).check()


def _check_opset(model: onnx.ModelProto, where: str) -> None:
    import onnx

    versions = {opset.domain: opset.version for opset in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    newest = onnx.defs.onnx_opset_version()
    if not version:
        raise ModelError(f"{where}: names no version of the default operator set; export it again")
    if version < OLDEST_OPSET:
        raise ModelError(
            f"{where}: opset {version} is older than {OLDEST_OPSET}; export it again with opset 11 or newer"
        )
    if version > newest:
        raise ModelError(
            f"{where}: opset {version} is newer than {newest}, the newest of the installed onnx; upgrade onnx"
        )


def infer_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of `model` with fresh shapes of all inner tensors, through ``AdaptiveAvgPool2d`` too.

    Shapes that the file carried are dropped first, but for those behind operators that ONNX does not define: after a
    rewrite they may no longer be true.
    """
    import onnx

    inferred = onnx.ModelProto()
    inferred.CopyFrom(model)
    enter_types(inferred, Outline(model, "the model").infer())
    return inferred


def enter_types(model: onnx.ModelProto, inferred: onnx.GraphProto) -> None:
    """Give `model` the types that the inference on its outline found, inside control flow too."""
    graph = model.graph
    for field in ("value_info", "output"):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(getattr(inferred, field))
    bodies = {node.output[0]: node for node in inferred.node if has_subgraphs(node)}
    for node in graph.node if bodies else ():
        if node.output and node.output[0] in bodies and has_subgraphs(node):
            node.CopyFrom(bodies[node.output[0]])


def save_model(model: onnx.ModelProto, path: str | os.PathLike[str]) -> None:
    """Check `model` and write it to `path` in one move: an interruption leaves the old file, or none, never a part.

    A model that has its weights in files, or that is too large for one file, gets them in ``PATH.data`` beside it; they
    go there from file to file.

    Raises
    ------
    ModelError
        The model is invalid, or holds more than 2 GB beside its weights.
    OSError
        The folder is missing or read-only, or the disk is full.
    """
    file = Path(path)
    check_model(model, str(file))
    if not has_weights_outside(model) and sum(map(stored_bytes, model.graph.initializer)) < MOST_INLINE_BYTES:
        write_atomically(file, serialize(model))
        return
    file = file.resolve() if file.is_symlink() else file
    data = data_beside(file)
    with replacing(file) as model_file, replacing(data) as data_file:
        try:
            model_file.write(serialize(write_outside(model, data_file, data.name)))
        except ValueError as error:
            raise ModelError(f"{file}: the model holds more than 2 GB beside its weights; export it again") from error


def data_beside(path: Path) -> Path:
    """Return where `save_model` puts the weights of a model at `path` that do not go into that file."""
    return path.with_name(f"{path.name}.data")


def check_place(path: Path) -> None:
    """Raise the OSError that writing to `path` would end in, as far as can be told beforehand."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def serialize(model: onnx.ModelProto) -> bytes:
    """Return the bytes of `model`, the same for the same content."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, flush it to the disk, and move it into place.

    A symbolic link stays, and the file that it names is replaced. What is no file, such as a device, is written to.
    Raises OSError, which names `path` and never the temporary file, when the system refuses.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(content)
        return
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` that takes its place when the block ends, and goes when it fails.

    Raises OSError, which names `path` and never the temporary file, when the system refuses.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException as error:
        if temporary is not None:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()
        if isinstance(error, OSError):  # the user knows the file that was to be, not the temporary one
            error.filename, error.filename2 = str(path), None
        raise


def fingerprint(model: onnx.ModelProto) -> str:
    """Return the SHA-256 of the model's bytes, and of its weights in files, as hexadecimal text."""
    if not has_weights_outside(model):
        return hashlib.sha256(serialize(model)).hexdigest()
    import onnx

    placeless = onnx.ModelProto()
    placeless.CopyFrom(model)
    digest = hashlib.sha256()
    for tensor in placeless.graph.initializer:
        if is_outside(tensor):
            for piece in bytes_of(tensor):
                digest.update(piece)
            del tensor.external_data[:]
    digest.update(serialize(placeless))
    return digest.hexdigest()


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the default operator set."""
    return max(int(opset.version) for opset in model.opset_import if opset.domain in ("", "ai.onnx"))


def graph_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs that a caller feeds: those without an initializer."""
    initialized = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in initialized]


def sample_inputs(model: onnx.ModelProto, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    """Return feeds that look like the model's inputs: images with areas, edges and noise; the same for the same seed.

    A dimension that is not fixed is taken as 1 in front and as 256 elsewhere. Float images are about normalised (mean
    0, deviation 1),
    integer ones span 0 to 255.

    Raises
    ------
    ModelError
        An input is not a tensor, has no elements, or more than could be an image.
    """
    import onnx

    rng = np.random.default_rng(seed)
    feeds: dict[str, NDArray[np.generic]] = {}
    for value in graph_inputs(model):
        if not value.type.HasField("tensor_type"):
            raise ModelError(f"input {value.name!r} is not a tensor, so no sample input can be made for it")
        tensor = value.type.tensor_type
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") else (256 if axis else 1)
            for axis, dim in enumerate(tensor.shape.dim)
        )
        if 0 in shape:
            raise ModelError(
                f"dimension {shape.index(0)} of input {value.name!r} is 0, so no sample input can be made for it; "
                "export the model with a fixed size"
            )
        if math.prod(shape) > _MOST_ELEMENTS:
            raise ModelError(
                f"input {value.name!r} has {math.prod(shape)} elements ({' x '.join(map(str, shape))}), more than any "
                "image; export the model with the size it is meant for"
            )
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        feeds[value.name] = _sample(rng, shape, dtype)
    return feeds


def _sample(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    noise = rng.standard_normal(shape, dtype=np.float32)
    if len(shape) == 4:
        noise = 0.4 * noise + _areas(rng, shape)
    if np.issubdtype(dtype, np.integer):
        return np.clip(128 + 55 * noise, 0, 255).astype(dtype)
    return noise.astype(dtype)


def _areas(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Areas of one value with sharp edges at three scales, along the two longest axes of a batch of images."""
    height_axis, width_axis = (1, 2) if shape[3] <= 4 < shape[1] else (2, 3)
    areas = np.zeros(shape, dtype=np.float32)
    for cell in (8, 32, 128):
        coarse_shape = list(shape)
        for axis in (height_axis, width_axis):
            coarse_shape[axis] = -(-shape[axis] // cell)
        coarse = rng.standard_normal(coarse_shape, dtype=np.float32)
        fine = coarse.repeat(cell, axis=height_axis).repeat(cell, axis=width_axis)
        areas += 0.5 * fine[tuple(slice(size) for size in shape)]
    return areas
