"""The verb `report`: one page that shows a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli.printing import note


def command(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that `score`, `search` or `demo` made.")],
    second: Annotated[
        Path | None,
        typer.Argument(metavar="RUN2", help="A later run; the page is about it and what changed.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where the page goes, such as report.html.", show_default=False),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Write the plot of accuracy against speed to this .svg or .png file.", show_default=False),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, help="Points of mIoU that a row may lose.", show_default="max_drop of the variants file"),
    ] = None,
    no_pictures: Annotated[bool, typer.Option("--no-pictures", help="Leave out photographs and label maps.")] = False,
) -> None:
    """Show a run as one HTML page that opens from the disk: what to ship, the table, plots, classes, pictures.

    The page is one file without any reference to the network. With two runs it shows the second, and what got better
    or worse since the first.
    """
    from fastscnn_opt.report.writing import write_report

    if output is None and plot is None:
        raise typer.BadParameter("give -o report.html, or --plot plot.svg, or both", param_hint="-o")
    if plot is not None and plot.suffix.lower() not in {".svg", ".png"}:
        raise typer.BadParameter("give a file that ends in .svg or .png", param_hint="--plot")
    runs = [first] if second is None else [first, second]
    write_report(runs, output, plot, max_drop=max_drop, pictures=not no_pictures, note=note)
