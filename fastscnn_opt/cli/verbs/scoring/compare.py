"""The verb `compare`: the variant table of one run, or of two side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, print_json, print_table
from fastscnn_opt.cli.run_table import print_run
from fastscnn_opt.cli.table import Column

if TYPE_CHECKING:
    from fastscnn_opt.scoring.run import Run


def command(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that `score` or `demo` made.")],
    second: Annotated[
        Path | None, typer.Argument(metavar="RUN2", help="Another one to compare it with.", show_default=False)
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Published figures to print below one run, such as fastscnn-ascend310.", show_default=False),
    ] = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Show the variant table of one run, or two runs side by side.

    Of two runs, the change of a row is that from the first run to the second: mIoU in points, and how many times the
    fps. Times of different sessions are not paired, so a small change of fps between runs means little.
    """
    from fastscnn_opt.scoring.run_folder import read_run
    from fastscnn_opt.scoring.tables.comparison import comparison_json

    one = read_run(first)
    if second is not None and reference is not None:
        raise typer.BadParameter("goes with one run only", param_hint="--reference")
    if second is None:
        print_run(one, form, reference)
        one.check_whole()
        return
    two = read_run(second)
    if form is TableFormat.JSON:
        print_json(comparison_json(one, two))
    else:
        _print_two(one, two, form)
    for run in (one, two):
        run.check_whole()


def _print_two(one: Run, two: Run, form: TableFormat) -> None:
    from fastscnn_opt.scoring.tables.comparison import TWO_RUNS, side_by_side, two_run_cells

    columns = [Column(heading, figures=figures) for heading, figures in TWO_RUNS]
    rows = [two_run_cells(row) for row in side_by_side(one, two)]
    print_table(columns, rows, form, title=f"1: {one.folder}, 2: {two.folder}")
