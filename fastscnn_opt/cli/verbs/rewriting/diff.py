"""The verb `diff`: show what changed between two models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, print_json
from fastscnn_opt.cli.streams import write
from fastscnn_opt.processes.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from fastscnn_opt.diff import ModelDiff

_LINES = 20
"""Lines of each kind that are shown without --all."""

_COLOURS = {"+": "green", "-": "red", "~": "yellow", "": "bold"}


def command(
    before: Annotated[Path, typer.Argument(metavar="A", help=options.MODEL)],
    after: Annotated[Path, typer.Argument(metavar="B", help="The model to compare it with.")],
    everything: Annotated[
        bool, typer.Option("--all", help=f"Show every difference; without it, {_LINES} lines of each kind.")
    ] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with exit code 1 if the models differ.")] = False,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show what changed between two models.

    Nodes are paired by name, or by their place in the structure if that leaves fewer differences. Renaming nodes, inner
    tensors and initializers is no difference, and neither is another order of the nodes in the file or a default of
    ONNX that only one file writes. Inputs of nodes are compared by the origin of the tensor: an inserted node is one
    added node and one changed input. Initializers are compared by shape, type and largest absolute difference.
    """
    del limit_s, memory  # of ApartCommand
    from fastscnn_opt.diff import diff_models
    from fastscnn_opt.scoring.model_name import model_file

    found = diff_models(model_file(before), model_file(after))
    if form is Format.JSON:
        print_json(found.to_json())
    else:
        _print(found, None if everything else _LINES)
    if exit_code and found:
        raise typer.Exit(1)


def _print(found: ModelDiff, limit: int | None) -> None:
    """Print the lines, coloured on a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    with console.capture() as captured:
        for line in found.lines(limit):
            console.print(Text(line.text, style=_COLOURS[line.mark] if found else ""))
    write(captured.get())
