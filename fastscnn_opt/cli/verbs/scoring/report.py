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
    from fastscnn_opt.files import check_place, write_atomically
    from fastscnn_opt.report.content import gather
    from fastscnn_opt.scoring.run_folder import read_run

    if output is None and plot is None:
        raise typer.BadParameter("give -o report.html, or --plot plot.svg, or both", param_hint="-o")
    if plot is not None and plot.suffix.lower() not in {".svg", ".png"}:
        raise typer.BadParameter("give a file that ends in .svg or .png", param_hint="--plot")
    for place in (output, plot):
        if place is not None:
            check_place(place)
    runs = [gather(read_run(folder), max_drop) for folder in (first, second) if folder is not None]
    if plot is not None:
        from fastscnn_opt.report.tradeoff import plot_file

        write_atomically(plot, plot_file(runs[-1], plot.suffix.lower()))
        note(f"wrote {plot}")
    if output is not None:
        from fastscnn_opt.report.page import render

        before = runs[0] if len(runs) > 1 else None
        page = render(runs[-1], before, pictures=not no_pictures).encode()
        write_atomically(output, page)
        note(f"wrote {output} ({len(page) / 1e6:.1f} MB); open it in a browser")
