"""Loads and checks ONNX files."""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import ModelError
from fastscnn_opt.files import MOST_MODEL_BYTES, check_readable
from fastscnn_opt.model.external_data import attach
from fastscnn_opt.model.interface import ONNX_DOMAINS, is_onnx_operator, opset_of
from fastscnn_opt.model.reading.integrity import first_problem
from fastscnn_opt.model.reading.mending import OLDEST_OPSET, complete_outputs, convert_opset, mend
from fastscnn_opt.model.reading.parsing import parse_file, unreadable
from fastscnn_opt.model.skeleton import ADAPTIVE_POOL, Skeleton
from fastscnn_opt.text import joined

if TYPE_CHECKING:
    import os

    import onnx

_log = logging.getLogger(__name__)
_notes = logging.getLogger("fastscnn_opt.notes")
"""Notes for the user, which ``--quiet`` turns off."""


def load_model(path: str | os.PathLike[str], *, mended: list[str] | None = None) -> onnx.ModelProto:
    """Read, mend and check an ONNX file; large external data stay in their files until something reads them.

    What engines put up with is mended, see `mend`: the order of the nodes, missing operator sets, shapes of outputs and
    the like. The sentences that say so are appended to `mended`; without a list they are logged as warnings.

    Raises
    ------
    ModelError
        The file is missing, truncated, not ONNX, invalid, cyclic, of an unsupported opset, or lacks its
        external data, or has it outside its folder.
    """
    file = Path(path)
    _log.info("the loading of %s", file)
    model = parse_file(file)
    _check_graph(model, str(file))
    attach(model, file)
    done = mend(model)
    if problem := first_problem(model):
        raise ModelError(problem, where=file, cure="export or copy it again")
    _check_opset(model, str(file))
    Skeleton(model, str(file)).check()
    model, conversion = convert_opset(model, str(file))
    done += [text for text in (conversion, complete_outputs(model)) if text]
    if plugins := sorted({node.op_type for node in model.graph.node if _is_plugin(node)}):
        them = joined([repr(name) for name in plugins])
        _note(f"{file}: ONNX does not define {them}; passes leave it alone, and no shape behind it is inferred")
    if mended is not None:
        mended += done
    elif done:
        _note(f"{file}: {'; '.join(done)}")
    return model


def check_is_file(file: Path) -> None:
    """Raise ModelError if there is no such file, or none that can be a model."""
    try:
        check_readable(file, MOST_MODEL_BYTES)
    except OSError as error:
        raise unreadable(file, error) from error


def _is_plugin(node: onnx.NodeProto) -> bool:
    known = is_onnx_operator(node.op_type) or node.op_type == ADAPTIVE_POOL
    return node.domain in ONNX_DOMAINS and not known


@functools.cache
def _note(text: str) -> None:
    """Log a note, once in a process, however often a command reads the file."""
    _notes.warning(text)


def check_model(model: onnx.ModelProto, where: str) -> None:
    """Check that `load_model` takes `model` as it is, with nothing to mend; `where` names it in the error.

    Raises
    ------
    ModelError
        With the first thing that is wrong.
    """
    _check_graph(model, where)
    if problem := first_problem(model):
        raise ModelError(problem, where=where)
    _check_opset(model, where)
    if (version := opset_of(model)) < OLDEST_OPSET:
        what = f"opset {version} is older than {OLDEST_OPSET}"
        raise ModelError(what, where=where, cure="write it to a file and read that with load_model, which converts it")
    Skeleton(model, where).check()


def _check_graph(model: onnx.ModelProto, where: str) -> None:
    if not model.graph.node and not model.graph.output:
        what = "holds no graph, so it is not an ONNX model or is an empty one"
        raise ModelError(what, where=where, cure="export it again")


def _check_opset(model: onnx.ModelProto, where: str) -> None:
    import onnx

    versions = sorted({int(opset.version) for opset in model.opset_import if opset.domain in ONNX_DOMAINS})
    if len(versions) > 1:  # engines take the last one
        what = f"names several versions of the default operator set, {joined([*map(str, versions)])}"
        raise ModelError(what, where=where, cure="export it again")
    version = versions[0] if versions else 0
    newest = onnx.defs.onnx_opset_version()
    if not version:
        raise ModelError("names no version of the default operator set", where=where, cure="export it again")
    if version > newest:
        raise ModelError(
            f"opset {version} is newer than {newest}, the newest of the installed onnx",
            where=where,
            cure="upgrade onnx",
        )
