"""The verb `diff`: show what changed between two models, or where the values of their tensors part."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, TableFormat, print_json, print_table, progress, say
from fastscnn_opt.cli.streams import write
from fastscnn_opt.cli.table import Column
from fastscnn_opt.processes.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from fastscnn_opt.data.source import DataSource
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
    exit_code: Annotated[
        bool,
        typer.Option("--exit-code", help="End with exit code 1 if the models differ; with --values, beyond --min-snr."),
    ] = False,
    values: Annotated[
        bool, typer.Option("--values", help="Run both models, and show where the values of their tensors part.")
    ] = False,
    min_snr: Annotated[
        float | None,
        typer.Option(
            "--min-snr",
            metavar="DB",
            help="With --values: the signal-to-noise ratio that a tensor should have.",
            show_default="40",
        ),
    ] = None,
    data: options.Data = None,
    split: options.Split = None,
    synthetic: options.Synthetic = None,
    seed: options.Seed = None,
    limit: options.ImageLimit = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Show what changed between two models.

    Nodes are paired by name, or by their place in the structure if that leaves fewer differences. Renaming nodes, inner
    tensors and initializers is no difference, and neither is another order of the nodes in the file or a default of
    ONNX that only one file writes. Inputs of nodes are compared by the origin of the tensor: an inserted node is one
    added node and one changed input. Initializers are compared by shape, type and largest absolute difference.

    With --values, both models run on the same images, by default the first 8 of --data, or on one generated input.
    The float tensors are paired by name, through casts and quantisation, and by structure. For each pair the table
    shows the signal-to-noise ratio, 10 log10(sum a^2 / sum (a - b)^2) with a of A and b of B, the largest deviation,
    the same by the largest magnitude of a, and the cosine. For a layer it also shows which ratio the noise that arises
    there leaves at the end of the network. The layers with the lowest ratios there are marked.
    """
    del limit_s, memory  # of ApartCommand
    from fastscnn_opt.diff import diff_models
    from fastscnn_opt.scoring.model_name import model_file

    models = model_file(before), model_file(after)
    images = options.images_for("--values", (data, split, synthetic, seed, limit), is_given=values)
    if values:
        if _print_values(models, images, min_snr, form) and exit_code:
            raise typer.Exit(1)
        return
    if min_snr is not None:
        raise typer.BadParameter("goes with --values only", param_hint="--min-snr")
    found = diff_models(*models)
    if form is Format.JSON:
        print_json(found.to_json())
    else:
        _print(found, None if everything else _LINES)
    if exit_code and found:
        raise typer.Exit(1)


def _print_values(models: tuple[Path, Path], images: DataSource | None, min_snr: float | None, form: Format) -> bool:
    """Print where the values part, and return whether a tensor is beyond the limit."""
    from fastscnn_opt.deviations.result import HEADINGS
    from fastscnn_opt.deviations.values import MIN_SNR_DB, diff_values

    found = diff_values(*models, images, min_snr_db=MIN_SNR_DB if min_snr is None else min_snr, progress=progress)
    if form is Format.JSON:
        print_json(found.to_json())
    else:
        print_table([Column(*heading) for heading in HEADINGS], found.cells(), TableFormat.TABLE)
        for line in found.summary():
            say(line)
    return found.first_beyond is not None


def _print(found: ModelDiff, limit: int | None) -> None:
    """Print the lines, coloured on a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    with console.capture() as captured:
        for line in found.lines(limit):
            console.print(Text(line.text, style=_COLOURS[line.mark] if found else ""))
    write(captured.get())
