"""Read the content of a checkpoint file without running code: one of torch, or a pickle of numpy arrays."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastscnn_opt.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MOST_BYTES = 1 << 31
"""What a checkpoint may unpack to. FastSCNN has 5 MB of weights; the state of a training has a few times as much."""

NO_CHECKPOINT = "not a checkpoint written by torch.save or paddle.save, or a truncated one"
SAVE_AGAIN = "download it or save it again"


def unpickle(path: Path) -> Any:
    """Return what a file holds: containers, numbers, text, and tensors of torch on the CPU or arrays of float32.

    Raises
    ------
    CheckpointError
        The file cannot be read, is no checkpoint, or would run code; or it is one of torch, which is not installed.
    """
    try:
        unpacked = _unpacked_bytes(path)
        if unpacked <= MOST_BYTES:
            return _arrays(path) or _tensors(path)
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror or error})", where=path) from error
    except ModuleNotFoundError as error:
        raise CheckpointError(
            "reading a checkpoint of torch needs torch",
            where=path,
            cure="install it with: pip install 'fastscnn-opt[export]'",
        ) from error
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from error
    except Exception as error:  # a damaged pickle can raise anything at all
        raise CheckpointError(NO_CHECKPOINT, where=path, cure=SAVE_AGAIN) from error
    raise CheckpointError(
        f"unpacks to {unpacked / 2**30:.1f} GiB, which no FastSCNN needs",
        where=path,
        cure="save model.state_dict() alone",
    )


def _unpacked_bytes(path: Path) -> int:
    """Return the unpacked size of a checkpoint: that of the archive if it is one, since a small one can be large."""
    if not zipfile.is_zipfile(path):
        return path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _tensors(path: Path) -> Any:
    import torch

    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pickle protocols; what matters raises
        return torch.load(file, map_location="cpu", weights_only=True)


def _arrays(path: Path) -> Mapping[Any, Any] | None:
    """Return the content of a pickle of arrays, or None for the two formats of torch: an archive, or a number first."""
    if zipfile.is_zipfile(path):
        return None
    with path.open("rb") as file:
        content = _ArrayUnpickler(file).load()
    return content if isinstance(content, Mapping) else None


class _ArrayUnpickler(pickle.Unpickler):
    """Unpickles containers, numbers, text and arrays of numpy, and refuses everything else.

    What a pickle of arrays calls are the stand-ins below, because numpy's own functions trust a pickle: a forged dtype
    can make them read bytes as pointers.
    """

    def find_class(self, module: str, name: str, /) -> Any:
        """Return what a pickle may call by this name."""
        known = (module.replace("numpy._core", "numpy.core"), name)  # _core since numpy 2
        return _STAND_INS[known] if known in _STAND_INS else _refuse(module, name)


def _refuse(module: str, name: str) -> Any:
    raise pickle.UnpicklingError(f"GLOBAL {module}.{name}")


class _DType:
    """A pickled dtype: a letter with a number of bytes, and the order of the bytes."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch("[fiub][1248]", code):
            raise pickle.UnpicklingError(f"an array of {code}")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[object, Literal["<", ">", "=", "|"]]) -> None:
        self.dtype = self.dtype.newbyteorder("=" if state[1] == "|" else state[1])


class _Array(np.ndarray[Any, np.dtype[np.float32]]):
    """An array of float32 that gets its shape and values last, as a pickle tells them."""

    def __setstate__(self, state: Any, /) -> None:
        _, shape, dtype, is_fortran, content = state
        values = _from_buffer(content, dtype, shape, "F" if is_fortran else "C")
        self.resize(values.shape, refcheck=False)
        self[...] = values


def _reconstruct(*_: object) -> _Array:
    return np.ndarray.__new__(_Array, (0,), np.float32)


def _from_buffer(
    content: bytes, dtype: _DType, shape: tuple[int, ...], order: Literal["C", "F"]
) -> NDArray[np.float32]:
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order).astype(np.float32)


def _encode(text: str, encoding: str) -> bytes:
    """Return bytes as old pickle protocols store them: as text in one encoding."""
    return text.encode("latin1") if encoding == "latin1" else _refuse("_codecs", "encode")


_STAND_INS = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
    ("builtins", "tuple"): tuple,  # paddle.save writes a tensor as its name and its array
    ("__builtin__", "tuple"): tuple,
    ("collections", "OrderedDict"): OrderedDict,
}
"""What a pickle of arrays names, mapped to what does the same here."""


def _refusal(path: Path, reason: str) -> CheckpointError:
    """Return the error for a file that a restricted unpickler refused: it holds code, or is no pickle at all."""
    if wanted := re.search(r"GLOBAL\s+(\S+)", reason):
        return CheckpointError(
            f"refused, because loading it would run {wanted.group(1)!r} and not only read tensors",
            where=path,
            cure="save model.state_dict() alone with torch.save",
        )
    return CheckpointError(NO_CHECKPOINT, where=path, cure=SAVE_AGAIN)
