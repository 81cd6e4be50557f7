"""Writes the page about a run, or its plot alone, to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.files import check_place, write_atomically
from fastscnn_opt.report.content import gather
from fastscnn_opt.report.page import render
from fastscnn_opt.report.tradeoff import plot_file
from fastscnn_opt.scoring.run_folder import read_run, refuse_own_file

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence


def write_report(
    folders: Sequence[str | os.PathLike[str]],
    page: str | os.PathLike[str] | None = None,
    plot: str | os.PathLike[str] | None = None,
    *,
    max_drop: float | None = None,
    pictures: bool = True,
    note: Callable[[str], None] = lambda _: None,
) -> None:
    """Write the requested files of a report.

    Parameters
    ----------
    folders
        One run folder; or an earlier one and the one that the report is about.
    page
        Where the HTML page goes.
    plot
        Where the plot of accuracy against speed goes, an .svg or .png file.
    max_drop
        Points of mIoU that a row may lose, instead of those of the variants file.
    pictures
        Show photographs and label maps on the page.
    note
        Is called with a line for each file that was written.

    Raises
    ------
    RunError
        A folder is no run, a file would replace one of a run, or there is nothing to plot. After the files are written:
        damaged records were left out.
    OSError
        A file cannot be written; this is found before the work as far as possible.
    """
    page_place, plot_place = (None if place is None else Path(place) for place in (page, plot))
    for place in (page_place, plot_place):
        if place is not None:
            check_place(place)
            for folder in folders:
                refuse_own_file(place, Path(folder))
    runs = [read_run(folder) for folder in folders]
    contents = [gather(run, max_drop) for run in runs]
    if plot_place is not None:
        write_atomically(plot_place, plot_file(contents[-1], plot_place.suffix.lower()))
        note(f"wrote {plot}")
    if page_place is not None:
        before = contents[0] if len(contents) > 1 else None
        html = render(contents[-1], before, pictures=pictures).encode(errors="replace")
        write_atomically(page_place, html)
        note(f"wrote {page} ({len(html) / 1e6:.1f} MB); open it in a browser")
    for run in runs:
        run.check_whole()
