"""Turn a table into plain lines, Markdown, CSV or HTML, and keep names from being read as code or markup."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.text import markdown, printable, printable_lines

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Column:
    """One column of a table: its heading, and whether it holds figures (aligned to the right).

    Where a terminal is too narrow, the columns of the highest `rank` are left out first, and those of rank 0 never.
    """

    heading: str
    figures: bool = False
    rank: int = 0


def as_plain(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    """Return one line for the headings and one for each row, after the title."""
    lines = [[printable(cell) for cell in row] for row in ([column.heading for column in columns], *rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    texts = [printable(title)] if title else []
    for line in lines:
        cells = zip(line, widths, columns, strict=True)
        padded = [cell.rjust(width) if column.figures else cell.ljust(width) for cell, width, column in cells]
        texts.append("  ".join(padded).rstrip())
    return "\n".join(texts)


def as_markdown(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    """Return a Markdown table, which has no title."""
    del title
    head = [[column.heading for column in columns], ["---:" if column.figures else "---" for column in columns]]
    body = [[_literal(cell, column) for cell, column in zip(row, columns, strict=True)] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in [*head, *body])


def _literal(cell: str, column: Column) -> str:
    """Keep Markdown from reading a name as a tag, a link, code or the end of a cell; figures may stand in brackets."""
    return re.sub(r"([|<])", r"\\\1", printable(cell)) if column.figures else markdown(cell)


def as_csv(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    """Return comma-separated values, which have no title."""
    del title
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.heading for column in columns])
    writer.writerows([_not_a_formula(cell, column) for cell, column in zip(row, columns, strict=True)] for row in rows)
    return text.getvalue()


def _not_a_formula(cell: str, column: Column) -> str:
    """Keep a spreadsheet from running a name as a formula, also one that splits cells at ``;``; figures have signs."""
    signs = "=@\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH COMMERCIAL AT}"
    if not column.figures:
        signs += "+\N{FULLWIDTH PLUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}-"
    return printable_lines(re.sub(rf"\A(?=[\t\r\n]|\s*[{signs}])|(?<=[;\t\r\n])(?=\s*[{signs}])", "'", cell))


def as_html(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> str:
    """Return an HTML table."""
    from fastscnn_opt.html import html_table

    safe = [[printable_lines(cell) for cell in row] for row in rows]
    return html_table([(column.heading, column.figures) for column in columns], safe, printable(title))
