"""Saves ONNX models in one move, with large weights in a file beside them, and hashes their content."""

from __future__ import annotations

import glob
import hashlib
import mmap
import os
import re
import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import ModelError
from fastscnn_opt.files import open_readable, replacing, write_atomically
from fastscnn_opt.model.external_data import (
    bytes_of,
    has_weights_outside,
    is_outside,
    locations_in,
    stored_bytes,
    write_outside,
)
from fastscnn_opt.model.loading import check_model
from fastscnn_opt.model.reading.parsing import parse_file

if TYPE_CHECKING:
    import onnx

MOST_INLINE_BYTES = 2**31 - 2**24
"""Weights that one file can hold beside the rest of a model: a protobuf message ends at 2 GB."""

_FIRST_BYTE = b"\x08"
"""How every ONNX file begins: with the tag of the field ``ir_version``."""


def save_model(model: onnx.ModelProto, path: str | os.PathLike[str]) -> None:
    """Check `model` and write it to `path` in one move: an interruption leaves the old file, or none, never a part.

    A model that has its weights in files, or that is too large for one file, gets them in ``PATH.data`` beside it; they
    go there from file to file. No file is written over, since another model may read it: if there is one of that
    name, the weights go to ``PATH.2.data`` and so on. What the old model at `path` had there is removed afterwards,
    unless another model beside it reads that, too.

    Raises
    ------
    ModelError
        The model is invalid, or holds more than 2 GB beside its weights.
    OSError
        The folder is missing or read-only, or the disk is full.
    """
    file = Path(path)
    check_model(model, str(file))
    file = file.resolve() if file.is_symlink() else file
    outdated = _data_of_this_alone(file)
    if not has_weights_outside(model) and sum(map(stored_bytes, model.graph.initializer)) < MOST_INLINE_BYTES:
        write_atomically(file, serialize(model))
    else:
        _save_with_data(model, file)
    for data in outdated:
        data.unlink(missing_ok=True)


def keep_apart(output: Path, source: Path, kind: str = "model") -> None:
    """Check that writing `output`, and files beside it that begin with its name, changes no file of `source`, a `kind`.

    The files of a model are its own and those with its weights, under any name that a link gives them.

    Raises
    ------
    ModelError
        One of these files is one of the source.
    """
    places = [output, *output.parent.glob(f"{glob.escape(output.name)}.*")]
    places = [place for place in places if place.is_file()]
    if not places or not source.is_file():
        return
    weights = [source.parent / location for location in _locations(source)]
    if output in places and output.samefile(source):
        raise ModelError(f"is the {kind} itself, which stays as it is", where=output, cure="give -o another file")
    for place in places:
        if any(place.samefile(file) for file in weights if file.is_file()):
            raise ModelError(
                f"holds weights of {source}, which stay as they are", where=place, cure="give -o a file of another name"
            )


def keep_weights_of_others(output: Path) -> None:
    """Raise ModelError if ``OUTPUT.data``, where an engine may put large weights, may belong to another model."""
    data = output.with_name(f"{output.name}.data")
    if data.is_file() and _is_shared(data, output):
        raise ModelError("holds weights of another model", where=data, cure="give -o a file of another name")


def files_of(file: Path) -> list[Path]:
    """Return the model file and those with its weights."""
    return [file, *(file.parent / location for location in sorted(_locations(file)))]


def _save_with_data(model: onnx.ModelProto, file: Path) -> None:
    """Write the model and a new file with its weights, which is in its place before the model that reads it."""
    names = (f"{file.name}.{f'{number}.' if number > 1 else ''}data" for number in count(1))
    data = next(file.with_name(name) for name in names if not os.path.lexists(file.with_name(name)))
    try:
        with replacing(file) as model_file:
            with replacing(data) as data_file:
                lean = write_outside(model, data_file, data.name)
            try:
                model_file.write(serialize(lean))
            except ValueError as error:
                raise ModelError(
                    "the model holds more than 2 GB beside its weights", where=file, cure="export it again"
                ) from error
    except BaseException:
        if data.is_file() and data.name not in _locations(file):  # it may come after the model took its place
            data.unlink()
        raise


def _data_of_this_alone(file: Path) -> list[Path]:
    """Return the files that `save_model` made for the weights of the model `file`, and that no other model reads."""
    ours = re.compile(re.escape(file.name) + r"(\.\d+)?\.data")
    made = [place for place in file.parent.glob(f"{glob.escape(file.name)}.*") if ours.fullmatch(place.name)]
    own = _locations(file) if made else set()
    return [place for place in made if place.name in own and not _is_shared(place, file)]


def _is_shared(data: Path, file: Path) -> bool:
    """Tell whether a model other than `file`, in its folder or the one above, may read `data`."""
    try:
        names = [entry.name for entry in data.parent.iterdir() if entry.is_file() and entry.samefile(data)]
        others = (other for folder in (data.parent, data.parent.parent) for other in folder.iterdir())
        return any(_may_mention(other, names) for other in others if other.name != file.name)
    except OSError:  # a folder or a file that this user may not read
        return True


def _may_mention(file: Path, names: list[str]) -> bool:
    """Tell whether `file` begins as a model does, and holds one of the names."""
    if not file.is_file() or not file.stat().st_size:
        return False
    with open_readable(file, sys.maxsize) as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content[:1] == _FIRST_BYTE and any(content.find(os.fsencode(name)) >= 0 for name in names)


def _locations(file: Path) -> set[str]:
    """Return the locations of the external data of a model file; none of a file that is no model."""
    try:
        return locations_in(parse_file(file)) if file.is_file() else set()
    except ModelError:
        return set()


def serialize(model: onnx.ModelProto) -> bytes:
    """Return the bytes of `model`, the same for the same content."""
    content: bytes = model.SerializeToString(deterministic=True)
    return content


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
