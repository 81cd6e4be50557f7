"""Print results, notes and progress; every verb does it with these functions.

Results go to stdout, notes and progress to stderr; JSON goes to stdout alone. No name in them controls the terminal.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import table
from fastscnn_opt.cli.streams import write
from fastscnn_opt.text import printable_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastscnn_opt.cli.table import Column
    from fastscnn_opt.progress import Advance

NOTES = "fastscnn_opt.notes"
"""Name of the logger whose level tells whether notes and progress are wanted: INFO, or ERROR with ``--quiet``."""


_collected: ContextVar[list[object] | None] = ContextVar("collected", default=None)


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


def is_quiet() -> bool:
    """Tell whether the user wants results and errors only."""
    return logging.getLogger(NOTES).level >= logging.ERROR


def note(text: str) -> None:
    """Print a note on stderr, unless the user wants none."""
    if not is_quiet():
        print_error(text)


def print_error(text: str) -> None:
    """Print on stderr what the user has to know."""
    write(printable_lines(text) + "\n", to_stderr=True)


def say(text: str = "", *, nl: bool = True) -> None:
    """Print text that is not JSON on stdout."""
    write(printable_lines(text) + "\n" * nl)


@contextmanager
def collected_json(documents: list[object]) -> Iterator[None]:
    """Let `print_json` add to `documents` while the block runs, and print nothing."""
    token = _collected.set(documents)
    try:
        yield
    finally:
        _collected.reset(token)


def print_json(result: object) -> None:
    """Print `result` as JSON in ASCII on stdout, or collect it. A NaN in it is a bug and raises ValueError."""
    documents = _collected.get()
    if documents is not None:
        documents.append(result)
        return
    text = json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)
    text = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)  # from file names that are not UTF-8
    write(re.sub(r"[^\n -~]", lambda found: json.dumps(found[0])[1:-1], text) + "\n")


def print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]], form: TableFormat, title: str = "") -> None:
    """Print rows of text in any format but JSON, whose structure each verb decides itself.

    On a terminal, the table fits its width. In a pipe or a file, every row is one plain line, so that `grep`, `diff`
    and `sort` see it whole.
    """
    writers: dict[TableFormat, Callable[[Sequence[Column], Sequence[Sequence[str]], str], str]] = {
        TableFormat.MD: table.as_markdown,
        TableFormat.CSV: table.as_csv,
        TableFormat.HTML: table.as_html,
    }
    if form in writers:
        say(writers[form](columns, rows, title).rstrip("\n"))
    elif not sys.stdout.isatty():
        say(table.as_plain(columns, rows, title))
    else:
        from fastscnn_opt.cli.terminal import print_fitting

        print_fitting(columns, rows, title)


@contextmanager
def progress(total: int | None, what: str) -> Iterator[Advance]:
    """Show a progress bar on stderr, if that is a terminal, while the block runs; calling the bar advances it.

    Without a `total`, show the time so far.
    """
    from fastscnn_opt.progress import ignore_progress

    if not sys.stderr.isatty() or is_quiet():
        yield ignore_progress
        return
    from fastscnn_opt.cli.terminal import Bar

    with Bar(total, what) as bar:
        yield bar
