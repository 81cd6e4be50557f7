"""The child process in which `PassManager` works on a model file; `apart` starts it."""

from __future__ import annotations

import logging
import sys
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.model.loading import load_model
from fastscnn_opt.model.sampling.given import read_inputs
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.processes.server import serve
from fastscnn_opt.rewriting.manager import PassManager

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscnn_opt.processes.server import Command, ProgressReporter

_STEPS = ("fastscnn_opt.model.loading", "fastscnn_opt.rewriting", "fastscnn_opt.passes")

_MOST_NOTES = 100


class _SignsOfLife(logging.Handler):
    """Reports every record as progress, and writes what the process is doing to its log, as its last words."""

    def __init__(self, progress: ProgressReporter) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """Report it."""
        if record.levelno >= logging.INFO:
            sys.stderr.write(f"{record.getMessage()}\n")
            sys.stderr.flush()
        self._progress(0)


def commands(progress: ProgressReporter) -> Mapping[str, Command]:
    """Return the only command, `run`."""
    for name in _STEPS:
        logging.getLogger(name).setLevel(logging.DEBUG)
        logging.getLogger(name).addHandler(_SignsOfLife(progress))
    return {"run": _run}


def _run(
    model: str, pipeline: str, output: str, *, verify: bool, inputs: str | None, reproducers: str | None
) -> dict[str, Any]:
    """Run a pipeline on the file `model`, save the result as `output`, and return the notes and what the passes did."""
    notes = BufferingHandler(_MOST_NOTES)
    logging.getLogger("fastscnn_opt.notes").addHandler(notes)
    loaded = load_model(model)
    given = read_inputs(Path(inputs), loaded) if inputs else {}
    place = Path(reproducers) if reproducers else None
    result = PassManager(pipeline, verify=verify, inputs=given, reproducers=place).run(loaded)
    save_model(result.model, output)
    steps = [
        {**vars(step), "changes": list(map(vars, step.changes)), "skips": list(map(vars, step.skips))}
        for step in result.steps
    ]
    told = [record.getMessage() for record in notes.buffer]
    return {"notes": told, "steps": steps, "nodes_before": result.nodes_before, "nodes_after": result.nodes_after}


if __name__ == "__main__":
    serve(commands)
