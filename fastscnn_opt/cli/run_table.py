"""Print the variant table of a run; several verbs show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastscnn_opt.cli.printing import TableFormat, note, print_error, print_json, print_table
from fastscnn_opt.cli.table import Column
from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.tables.row import TableRow

_RANKS = {
    "ms": 1, "contract": 2, "status": 3, "p99 ms": 4, "pixAcc %": 5, "size MB": 6, "peak MB": 7, "streams x threads": 8,
}  # fmt: skip
"""Columns that a narrow terminal leaves out, the highest rank first."""

_TEXTS = ("variant", "passes", "target", "status", "emulated", "gate", "host", "device", "reason", "reproduce")


def print_run(run: Run, form: TableFormat, reference: str | None = None, title: str = "") -> None:
    """Print the variant table of a run, with the rows of a table of published figures below it.

    Without a `title`, the table has that of the run.
    """
    from fastscnn_opt.scoring.reference import read_reference
    from fastscnn_opt.scoring.tables.rendering import ONE_RUN, as_asked, cells, flat_table, published_cells

    _print_caveats(run)
    published = None if reference is None else read_reference(reference)
    if form is TableFormat.JSON:
        print_json(run.to_json() | ({"reference": published.to_json()} if published else {}))
        return
    rows = run.table
    others = published.row if published else ()
    if form is TableFormat.CSV:
        keys, lines = flat_table([row.to_json() for row in rows] + [row.to_json() for row in others])
        print_table([Column(key, figures=key not in _TEXTS) for key in keys], lines, form)
        return
    headings, lines = as_asked(ONE_RUN, [cells(row) for row in rows] + [published_cells(row) for row in others])
    columns = [Column(heading, figures=figures, rank=_RANKS.get(heading, 0)) for heading, figures in headings]
    title = title or f"{run.folder}: {run.description.data.words}"
    if form is TableFormat.TABLE:  # reasons are sentences, too long for a terminal's columns
        columns, lines, title = _narrowed(columns[:-1], [line[:-1] for line in lines], title)
    print_table(columns, lines, form, title=title)
    if form is TableFormat.TABLE:
        _print_reasons(rows)


def _print_caveats(run: Run) -> None:
    from fastscnn_opt.scoring.caveats import run_caveats

    for caveat in run_caveats(run):
        if caveat not in run.damaged:  # the verb ends with these
            note(f"note: {caveat}")


def _narrowed(columns: list[Column], lines: list[list[str]], title: str) -> tuple[list[Column], list[list[str]], str]:
    """Move columns with one value for all rows into the title, because a terminal is narrow."""
    same = {
        index: lines[0][index]
        for index, column in enumerate(columns)
        if column.heading in {"target", "batch", "status"} and len({line[index] for line in lines}) == 1
    }
    shown = [index for index in range(len(columns)) if index not in same]
    title += "".join(f", {columns[index].heading} {value}" for index, value in same.items())
    return [columns[index] for index in shown], [[line[index] for index in shown] for line in lines], title


def _print_reasons(rows: Sequence[TableRow]) -> None:
    """Print why rows could not be scored, each reason once."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.reason:
            again = f"\n  reproduce it with: {row.reproduce}" if row.reproduce else ""
            reasons.setdefault(f"{row.status}: {row.reason}{again}", []).append(row.label)
    for reason, labels in reasons.items():
        print_error(f"{', '.join(map(printable, labels))}: {reason}")
