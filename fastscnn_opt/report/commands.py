"""The commands that build a row of a report again."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from fastscnn_opt.errors import RunError
from fastscnn_opt.scoring.tables.commands import command_line
from fastscnn_opt.scoring.variants import ModelTable, parse_variants

if TYPE_CHECKING:
    from fastscnn_opt.report.content import ReportRow
    from fastscnn_opt.scoring.run import Run


def commands_for(run: Run, entry: ReportRow) -> list[str]:
    """Return the shell commands that build the model of `entry`; none if it was never built."""
    if entry.row.model is None:
        return []
    model = entry.row.path or run.description.model.file
    first = []
    if not model.endswith(".onnx"):
        table = _model_table(run)
        options = ["--outputs", table.outputs, "--height", str(table.height), "--width", str(table.width)]
        first, model = [command_line("export", model, "-o", "exported.onnx", *options)], "exported.onnx"
    made = f"row-{entry.number}.onnx"
    if not entry.pipeline:
        return [*first, f"cp -- {shlex.quote(model)} {made}"]
    return [*first, command_line("apply", model, "--passes", ",".join(entry.pipeline), "-o", made)]


def _model_table(run: Run) -> ModelTable:
    """Return the export options of the variants file; the defaults if the file no longer fits the schema."""
    file = run.description.variants_file
    try:
        return parse_variants(file.text, file.path).model
    except RunError:
        return ModelTable()
