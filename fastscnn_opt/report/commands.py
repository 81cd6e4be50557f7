"""The commands that build a row again, and score a whole run again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fastscnn_opt.errors import RunError
from fastscnn_opt.scoring.variants import ModelTable, parse_variants

if TYPE_CHECKING:
    from fastscnn_opt.report.content import ReportRow
    from fastscnn_opt.scoring.run import Run


def commands_for(run: Run, entry: ReportRow) -> list[str]:
    """Return the shell commands that build the model of `entry`; none if it was never built."""
    if entry.row.model is None:
        return []
    model = run.description.model.file
    first = []
    if not model.endswith(".onnx"):
        table = _model_table(run)
        options = ["--outputs", table.outputs, "--height", str(table.height), "--width", str(table.width)]
        first, model = [_line("export", model, "-o", "exported.onnx", *options)], "exported.onnx"
    made = f"row-{entry.number}.onnx"
    if not entry.pipeline:
        return [*first, f"cp -- {shlex.quote(model)} {made}"]
    return [*first, _line("apply", model, "--passes", ",".join(entry.pipeline), "-o", made)]


def command_for_run(run: Run) -> str:
    """Return the shell command that scores the same rows again, into a new folder."""
    file = run.description.variants_file.path
    again = f"{run.folder.name or 'run'}-again"
    if run.folder.joinpath("demo.toml").as_posix() == file:
        scenes = run.description.data.scenes
        choice = [] if scenes is None else ["--scenes", str(scenes)]
        return _line("demo", "--run", again, *choice, *_effort(run))
    return _line("score", file, "--run", again, *_effort(run))


def _effort(run: Run) -> list[str]:
    """Return the options for the duration of the timing, as in the last session."""
    if not run.sessions:
        return []
    effort = run.sessions[-1].effort
    return ["--seconds", f"{effort.seconds:g}"] if effort.rounds is None else ["--rounds", str(effort.rounds)]


def _model_table(run: Run) -> ModelTable:
    """Return the export options of the variants file; the defaults if the file no longer fits the schema."""
    file = run.description.variants_file
    try:
        return parse_variants(file.text, file.path).model
    except RunError:
        return ModelTable()


def _line(*words: str) -> str:
    return shlex.join(["fastscnn-opt", *words])
