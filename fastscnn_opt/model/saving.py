"""Saves ONNX models in one move, with large weights in a file beside them, and hashes their content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import ModelError
from fastscnn_opt.files import replacing, write_atomically
from fastscnn_opt.model.external_data import bytes_of, has_weights_outside, is_outside, stored_bytes, write_outside
from fastscnn_opt.model.loading import check_model

if TYPE_CHECKING:
    import os

    import onnx

MOST_INLINE_BYTES = 2**31 - 2**24
"""Weights that one file can hold beside the rest of a model: a protobuf message ends at 2 GB."""


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
            raise ModelError(
                "the model holds more than 2 GB beside its weights", where=file, cure="export it again"
            ) from error


def data_beside(path: Path) -> Path:
    """Return where `save_model` puts the weights of a model at `path` that do not go into that file."""
    return path.with_name(f"{path.name}.data")


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
