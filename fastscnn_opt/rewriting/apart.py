"""Runs a pipeline on a model file in a child process with limits, where a crash of a library is an error."""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.model.external_data import attach, has_weights_outside, scratch_folder
from fastscnn_opt.model.reading.parsing import parse_file
from fastscnn_opt.model.reproducing import keep_reproducer
from fastscnn_opt.model.sampling.given import write_inputs
from fastscnn_opt.processes.child import Child
from fastscnn_opt.processes.death import ChildCrashedError
from fastscnn_opt.rewriting.contract import Change, Contract, Skip
from fastscnn_opt.rewriting.report import PassReport, Result

if TYPE_CHECKING:
    from typing import Any

    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.rewriting.contract import Feeds

_notes = logging.getLogger("fastscnn_opt.notes")


def run_apart(
    model: Path, pipeline: str, *, verify: bool, inputs: Feeds, reproducers: Path | None, limits: Limits
) -> Result:
    """Return what `PassManager.run` returns for the model in a file.

    Raises what `PassManager.run` does, and `TargetError` when the process crashed or was ended.
    """
    folder = Path(tempfile.mkdtemp(dir=scratch_folder()))
    given, output = folder / "inputs.npz", folder / "result.onnx"
    try:
        if inputs:
            write_inputs(given, inputs)
        with Child("fastscnn_opt.rewriting.server", name=str(model), log=None, limits=limits) as child:
            answer = child.request(
                "run",
                model=str(model.absolute()),
                pipeline=pipeline,
                output=str(output),
                verify=verify,
                inputs=str(given) if inputs else None,
                reproducers=None if reproducers is None else str(reproducers),
            )
        for text in answer["notes"]:
            _notes.warning("%s", text)
        return _result(pipeline, output, answer)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, ChildCrashedError) and not error.cure:  # what went beyond a limit has one
            command = ["apply", str(model), "--passes", pipeline, "-o", "result.onnx"]
            error.cure = keep_reproducer(model, [*command, *([] if verify else ["--no-verify"])], reproducers)
        raise


def _result(pipeline: str, file: Path, answer: dict[str, Any]) -> Result:
    model = parse_file(file)
    attach(model, file)
    if not has_weights_outside(model):  # which are read when something needs them
        shutil.rmtree(file.parent)
    steps = [
        PassReport(
            **{
                **step,
                "contract": Contract(step["contract"]),
                "changes": [Change(**change) for change in step["changes"]],
                "skips": [Skip(**skip) for skip in step["skips"]],
            }
        )
        for step in answer["steps"]
    ]
    return Result(pipeline, model, steps, answer["nodes_before"], answer["nodes_after"])
