"""Loads and checks ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import ModelError
from fastscnn_opt.model.external_data import attach
from fastscnn_opt.model.integrity import first_problem
from fastscnn_opt.model.skeleton import Skeleton

if TYPE_CHECKING:
    import os

    import onnx

OLDEST_OPSET = 9
"""The definitions of Resize and its predecessors are stable from opset 9 on; older files need a new export."""


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
        raise ModelError(f"the model file {what}", where=file, cure="give the path of an .onnx file")
    try:
        model = onnx.load(file, load_external_data=False)
    except DecodeError as error:
        raise ModelError("not an ONNX model, or a truncated one", where=file, cure="export or copy it again") from error
    if not model.graph.node and not model.graph.output:
        raise ModelError(
            "holds no graph, so it is not an ONNX model or is an empty one", where=file, cure="export it again"
        )
    attach(model, file)
    if problem := first_problem(model):
        raise ModelError(problem, where=file, cure="export or copy it again")
    check_model(model, str(file))
    return model


def check_model(model: onnx.ModelProto, where: str) -> None:
    """Check `model` with the ONNX checker, and its opset; `where` names it in the error.

    Raises
    ------
    ModelError
        With the first finding of the checker.
    """
    _check_opset(model, where)
    Skeleton(model, where).check()


def _check_opset(model: onnx.ModelProto, where: str) -> None:
    import onnx

    versions = {opset.domain: opset.version for opset in model.opset_import}
    version = versions.get("", versions.get("ai.onnx", 0))
    newest = onnx.defs.onnx_opset_version()
    if not version:
        raise ModelError("names no version of the default operator set", where=where, cure="export it again")
    if version < OLDEST_OPSET:
        raise ModelError(
            f"opset {version} is older than {OLDEST_OPSET}", where=where, cure="export it again with opset 11 or newer"
        )
    if version > newest:
        raise ModelError(
            f"opset {version} is newer than {newest}, the newest of the installed onnx",
            where=where,
            cure="upgrade onnx",
        )
