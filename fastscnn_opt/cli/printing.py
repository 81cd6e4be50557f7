"""What every verb shares to print its result: formats, tables, notes and progress.

Results go to stdout, notes and progress to stderr; JSON goes to stdout alone.
"""

from __future__ import annotations

import csv
import html
import io
import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscnn_opt.errors import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


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


_NARROWEST_TEXT = 16
"""Characters below which a column of text is not folded on a terminal."""


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading, and whether it holds figures (aligned to the right)."""

    heading: str
    figures: bool = False


def note(text: str) -> None:
    """Print a line for the person at the terminal on stderr."""
    typer.echo(text, err=True)


def print_json(result: object) -> None:
    """Print `result` as JSON on stdout; a NaN is a bug, not a result, and raises ValueError."""
    typer.echo(json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], form: TableFormat, title: str = "") -> None:
    """Print rows of ready text in any format but JSON, whose shape each verb decides itself."""
    writers: dict[TableFormat, Callable[[Sequence[Column], Sequence[Sequence[str]], str], str]] = {
        TableFormat.MD: _markdown,
        TableFormat.CSV: _csv,
        TableFormat.HTML: _html,
    }
    if form in writers:
        typer.echo(writers[form](columns, rows, title).rstrip("\n"))
    else:
        _rich(columns, rows, title)


def _markdown(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    del title
    lines = [[column.heading for column in columns], ["---:" if column.figures else "---" for column in columns], *rows]
    return "\n".join("| " + " | ".join(printable(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _csv(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    del title
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.heading for column in columns])
    writer.writerows([_not_a_formula(cell, column) for cell, column in zip(row, columns, strict=True)] for row in rows)
    return text.getvalue()


def _not_a_formula(cell: str, column: Column) -> str:
    """Keep a spreadsheet from running a name as a formula; figures may start with a sign."""
    return "'" + cell if not column.figures and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _html(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        aligned = (
            f'<{tag} style="text-align:{"right" if column.figures else "left"}">{html.escape(cell)}</{tag}>'
            for cell, column in zip(cells, columns, strict=True)
        )
        return "<tr>" + "".join(aligned) + "</tr>"

    head = line([column.heading for column in columns], "th")
    caption = f"<caption>{html.escape(title)}</caption>\n" if title else ""
    return "\n".join(
        [f"<table>\n{caption}<thead>{head}</thead>\n<tbody>", *(line(row, "td") for row in rows), "</tbody></table>"]
    )


def _rich(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, column in enumerate(columns):
        longest = max(len(printable(cell)) for cell in (column.heading, *(row[index] for row in rows)))
        table.add_column(
            column.heading,
            justify="right" if column.figures else "left",
            no_wrap=column.figures,
            min_width=longest if column.figures else min(longest, _NARROWEST_TEXT),
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    # A pipe or a file has no width: nothing is folded there, so that `grep` and `diff` see whole rows. A terminal that
    # is too narrow breaks the lines by itself, which can still be read; figures cut to "1..." cannot.
    endless = Console(width=10_000)
    needed = Measurement.get(endless, endless.options, table).minimum
    width = max(Console(file=sys.stdout).width, needed) if sys.stdout.isatty() else 240
    Console(file=sys.stdout, highlight=False, width=width).print(table)


@contextmanager
def progress(total: int | None, what: str) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while the block runs, on a terminal only; yields ``advance(steps)``."""
    if not sys.stderr.isatty():
        yield lambda _steps: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    parts: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*parts, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)
