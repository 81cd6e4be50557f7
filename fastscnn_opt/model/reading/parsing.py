"""Reads the protobuf message in an ONNX file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.errors import ModelError
from fastscnn_opt.files import MOST_MODEL_BYTES, open_readable

if TYPE_CHECKING:
    from pathlib import Path

    import onnx


_CHECKPOINTS = (".ckpt", ".pdparams", ".pt", ".pth")
"""How the files of checkpoints end, for the errors."""


def parse_file(file: Path) -> onnx.ModelProto:
    """Return the model in a file as it is there, without its external data.

    Raises ModelError if the file is missing, cannot be read, is too large for a model, or holds another message.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        with open_readable(file, MOST_MODEL_BYTES) as content:
            return onnx.load(content, load_external_data=False)
    except DecodeError as error:
        if file.suffix in _CHECKPOINTS:
            what = "is a checkpoint by its name, not an ONNX model"
            raise ModelError(what, where=file, cure="make a model of it with `fastscnn-opt export`") from error
        raise ModelError("not an ONNX model, or a truncated one", where=file, cure="export or copy it again") from error
    except OSError as error:
        raise unreadable(file, error) from error


def unreadable(file: Path, error: OSError) -> ModelError:
    """Return the error for a model file that is missing or cannot be read."""
    what = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
    return ModelError(f"the model file {what}", where=file, cure="give the path of an .onnx file")
