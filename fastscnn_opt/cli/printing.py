"""What every verb shares to print its result: formats, tables, notes and progress.

Results go to stdout, notes and progress to stderr; JSON goes to stdout alone.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import NOTES
from fastscnn_opt.text import printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastscnn_opt.scoring.progress import Advance


class Format(StrEnum):
    """How a result that is not a table is printed."""

    TABLE = "table"
    JSON = "json"


class TableFormat(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    JSON = "json"
    MD = "md"
    CSV = "csv"
    HTML = "html"


FormatOption = Annotated[Format, typer.Option("--format", help="How the result is printed on stdout.")]
TableFormatOption = Annotated[TableFormat, typer.Option("--format", help="How the table is printed on stdout.")]


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading, and whether it holds figures (aligned to the right).

    Where a terminal is too narrow, columns of the highest `rank` are left out first, those of rank 0 never.
    """

    heading: str
    figures: bool = False
    rank: int = 0


def is_quiet() -> bool:
    """Tell whether the user wants results and errors only."""
    return logging.getLogger(NOTES).level >= logging.ERROR


def note(text: str) -> None:
    """Print a line for the person at the terminal on stderr, unless the user wants none."""
    if not is_quiet():
        print(printable_lines(text), file=sys.stderr)  # noqa: T201  # echo would write past a bar, which print puts the line above


def say(text: str, *, nl: bool = True) -> None:
    """Print text for people on stdout; names in it cannot control the terminal."""
    typer.echo(printable_lines(text), nl=nl)


def print_json(result: object) -> None:
    """Print `result` as JSON on stdout; a NaN is a bug, not a result, and raises ValueError."""
    typer.echo(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], form: TableFormat, title: str = "") -> None:
    """Print rows of ready text in any format but JSON, whose shape each verb decides itself.

    On a terminal a table fits its width. In a pipe or a file, which have none, it is plain lines: every row is one, so
    that `grep`, `diff` and `sort` see it whole.
    """
    writers: dict[TableFormat, Callable[[Sequence[Column], Sequence[Sequence[str]], str], str]] = {
        TableFormat.MD: _markdown,
        TableFormat.CSV: _csv,
        TableFormat.HTML: _html,
    }
    if form in writers:
        typer.echo(writers[form](columns, rows, title).rstrip("\n"))
    elif not sys.stdout.isatty():
        typer.echo(_plain(columns, rows, title))
    else:
        from fastscnn_opt.cli.terminal import print_fitting

        print_fitting(columns, rows, title)


def _plain(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    lines = [[column.heading for column in columns], *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    texts = [printable(title)] if title else []
    for line in lines:
        cells = zip(line, widths, columns, strict=True)
        padded = [cell.rjust(width) if column.figures else cell.ljust(width) for cell, width, column in cells]
        texts.append("  ".join(padded).rstrip())
    return "\n".join(texts)


def _markdown(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    del title
    head = [[column.heading for column in columns], ["---:" if column.figures else "---" for column in columns]]
    body = [[_literal(cell, column) for cell, column in zip(row, columns, strict=True)] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in [*head, *body])


def _literal(cell: str, column: Column) -> str:
    """Keep Markdown from reading a name as a tag, a link, code or the end of a cell; figures may stand in brackets."""
    return re.sub(r"([|])" if column.figures else r"([\\`*<>\[\]|])", r"\\\1", printable(cell))


def _csv(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    del title
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.heading for column in columns])
    writer.writerows([_not_a_formula(cell, column) for cell, column in zip(row, columns, strict=True)] for row in rows)
    return text.getvalue()


def _not_a_formula(cell: str, column: Column) -> str:
    """Keep a spreadsheet from running a name as a formula; figures may start with a sign."""
    is_formula = not column.figures and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return "'" * is_formula + printable_lines(cell)


def _html(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    from fastscnn_opt.html import html_table

    safe = [[printable_lines(cell) for cell in row] for row in rows]
    return html_table([(column.heading, column.figures) for column in columns], safe, printable(title))


@contextmanager
def progress(total: int | None, what: str) -> Iterator[Advance]:
    """Show on stderr how far the block is, how fast and how long still, on a terminal only; yields what advances it.

    Without a `total` the time so far is shown.
    """
    from fastscnn_opt.scoring.progress import stand_still

    if not sys.stderr.isatty() or is_quiet():
        yield stand_still
        return
    from fastscnn_opt.cli.terminal import Bar

    with Bar(total, what) as bar:
        yield bar
