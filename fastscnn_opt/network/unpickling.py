"""Read the content of a checkpoint file without running code: one of torch, or a pickle of numpy arrays."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastscnn_opt.errors import CheckpointError
from fastscnn_opt.files import open_readable

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from numpy.typing import NDArray

MOST_BYTES = 1 << 29
"""Of a checkpoint, packed or not. FastSCNN has 5 MB of weights; the state of a training has a few times as much."""

_MOST_STEPS = 1 << 20
"""Instructions of a pickle, each of which can make an object of a hundred bytes. A checkpoint has some ten thousand."""

_ARCHIVE = b"PK\x03\x04"
"""How a file of torch begins in the format since 1.6."""

_PICKLES = 5
"""Pickles in a file of torch in the format before: a number, a version, the system, the content, names of its bytes."""

NO_CHECKPOINT = "not a checkpoint written by torch.save or paddle.save, or a truncated one"
SAVE_AGAIN = "download it or save it again"
SAVE_ALONE = "save model.state_dict() alone with torch.save"


def unpickle(path: Path) -> Any:
    """Return what a file holds: containers, numbers, text, and tensors of torch on the CPU or arrays of float64.

    Raises
    ------
    CheckpointError
        The file cannot be read, is no checkpoint, or would run code; or it is one of torch, which is not installed.
    """
    try:
        with open_readable(path, MOST_BYTES) as file:
            is_archive = _is_archive(file)
            _check_archive(file, path) if is_archive else _check_steps(file, path)
            return (None if is_archive else _arrays(file)) or _tensors(file)
    except CheckpointError:
        raise
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
        raise _no_checkpoint(path) from error


def _is_archive(file: IO[bytes]) -> bool:
    """Tell as torch does whether a file is an archive."""
    file.seek(0)
    return file.read(len(_ARCHIVE)) == _ARCHIVE


def _check_archive(file: IO[bytes], path: Path) -> None:
    """Raise CheckpointError if an archive, which can be small itself, unpacks to more than any checkpoint."""
    with zipfile.ZipFile(file) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MOST_BYTES:
            what = f"unpacks to {unpacked / 2**30:.1f} GiB, which no FastSCNN needs"
            raise CheckpointError(what, where=path, cure=SAVE_ALONE)
        for name in archive.namelist():
            if name.endswith("/data.pkl"):
                with archive.open(name) as content:  # which alone is slow to read byte by byte
                    _check_steps(io.BufferedReader(content), path)  # type: ignore[type-var]  # typed as any file


def _check_steps(file: IO[bytes], path: Path) -> None:
    """Raise CheckpointError if pickles would make more objects than any checkpoint, before any is made."""
    file.seek(0)
    for _ in range(_PICKLES):
        try:
            steps = sum(1 for _ in islice(pickletools.genops(file), _MOST_STEPS))
        except ValueError:  # no more pickles: reading them tells
            return
        if steps == _MOST_STEPS:
            what = f"holds more than {_MOST_STEPS} objects, which no FastSCNN needs"
            raise CheckpointError(what, where=path, cure=SAVE_ALONE)


def _tensors(file: IO[bytes]) -> Any:
    import torch

    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pickle protocols; what matters raises
        return torch.load(file, map_location="cpu", weights_only=True)


def _arrays(file: IO[bytes]) -> Mapping[Any, Any] | None:
    """Return the content of a pickle of arrays, or None for the old format of torch, which has a number first."""
    file.seek(0)
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


class _Array(np.ndarray[Any, np.dtype[np.float64]]):
    """An array of float64 that gets its shape and values last, as a pickle tells them."""

    def __setstate__(self, state: Any, /) -> None:
        _, shape, dtype, is_fortran, content = state
        values = _from_buffer(content, dtype, shape, "F" if is_fortran else "C")
        self.resize(values.shape, refcheck=False)
        self[...] = values


def _reconstruct(*_: object) -> _Array:
    return np.ndarray.__new__(_Array, (0,), np.float64)


def _from_buffer(
    content: bytes, dtype: _DType, shape: tuple[int, ...], order: Literal["C", "F"]
) -> NDArray[np.float64]:
    return np.frombuffer(content, dtype.dtype).reshape(shape, order=order).astype(np.float64)


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
            cure=SAVE_ALONE,
        )
    return _no_checkpoint(path)


def _no_checkpoint(path: Path) -> CheckpointError:
    """Return the error for a file that cannot be read as a checkpoint, with what it is where that is known."""
    ends = {name.rpartition("/")[2] for name in _names_in_archive(path)}
    if ends and ("data.pkl" not in ends or "constants.pkl" in ends):
        what = "is an archive of another kind, such as a TorchScript or an exported program, and not a checkpoint"
        return CheckpointError(what, where=path, cure=SAVE_ALONE)
    if tarfile.is_tarfile(path):
        cure = "unpack it, or save it again with a newer torch where torch wrote it"
        return CheckpointError("is a tar archive", where=path, cure=cure)
    return CheckpointError(NO_CHECKPOINT, where=path, cure=SAVE_AGAIN)


def _names_in_archive(path: Path) -> list[str]:
    """Return what an archive says it holds, nothing for a damaged one or another file."""
    try:
        with open_readable(path, MOST_BYTES) as file, zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return []
