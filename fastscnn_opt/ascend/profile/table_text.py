"""Find a table of the profiler in a text: a CSV file, or a table with bars or tabs that was pasted from a document."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from fastscnn_opt.ascend.vendor_text import encoding_of, is_filler, plain
from fastscnn_opt.errors import DataError
from fastscnn_opt.files import MOST_TABLE_BYTES, open_readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SPELLINGS = {
    "name": "op name",
    "kernel name": "op name",
    "type": "op type",
    "optype": "op type",
    "opname": "op name",
    "accelerator core": "task type",
    "duration": "task duration",
    "mintime": "min time",
    "maxtime": "max time",
    "avgtime": "avg time",
    "totaltime": "total time",
}
"""Names of columns in the tables of frameworks on top of the profiler, and names without their blanks."""

_MICROSECONDS = {"ns": 1e-3, "us": 1.0, "μs": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}

_LONGEST_HEADER = 1 << 14
"""Characters of the line that names the columns, at most."""

_FEW = 3
"""Cells of a line that is a sentence with commas, and no row of a table with many columns."""


@dataclass(frozen=True)
class Row:
    """The cells of a line by column, and the microseconds in the unit of a column that is not in microseconds."""

    place: str
    cells: dict[str, str]
    factors: dict[str, float]


@dataclass
class TextTable:
    """A table in a file. `notes` are complete when all rows have been read.

    Raises
    ------
    DataError
        The file cannot be read, or its rows do not fit its header.
    """

    path: Path
    columns: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    is_blank: bool = True

    def rows(self) -> Iterator[Row]:
        """Yield the rows below the first line that names columns of the profiler; sets `columns`."""
        try:
            with open_readable(self.path, MOST_TABLE_BYTES) as raw:
                yield from self._rows(io.TextIOWrapper(raw, encoding_of(self.path), errors="replace", newline=""))
        except (UnicodeError, csv.Error) as error:
            raise DataError(f"not a CSV table: {error}", where=self.path) from error
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", where=self.path) from error

    def _rows(self, lines: TextIO) -> Iterator[Row]:
        for before, line in enumerate(lines, start=1):
            self.is_blank = self.is_blank and not line.strip()
            if len(line) > _LONGEST_HEADER or ("type" not in (words := line.lower()) and "name" not in words):
                continue
            for separator in "|\t;,":
                header = _cells(line, separator)
                columns = [column_name(cell) for cell in header]
                if is_header(columns):
                    self.columns = columns
                    yield from self._body(lines, separator, header, before)
                    return

    def _body(self, lines: TextIO, separator: str, header: list[str], before: int) -> Iterator[Row]:
        factors = {column_name(cell): unit for cell in header if (unit := _unit(cell)) not in (None, 1.0)}
        waiting: list[str] = []
        ended = False
        for number, split in _split(lines, separator, before):
            where = f"{self.path}, line {number}"
            cells = split if len(split) <= len(header) else _join_brackets(split, separator)
            if not any(cells):
                ended = True
            elif separator == "|" and all(re.fullmatch(r"[\s:=+-]*", cell) for cell in cells):
                continue
            elif list(map(column_name, cells)) == self.columns:
                self.notes.append(f"line {number} names the columns again; the rows below it are counted, too")
            elif all(cell in ("", "...", "\N{HORIZONTAL ELLIPSIS}") for cell in cells):
                self.notes.append(f"line {number} stands for rows that were left out, so the sums lack them")
            elif len(cells) == len(header):
                self.notes += waiting
                waiting, ended = [], False
                yield Row(where, dict(zip(self.columns, cells, strict=True)), factors)
            elif ended or len(cells) == 1 or len(cells) <= _FEW < len(header) / 2:
                if not all(map(is_filler, cells)):
                    note = f"line {number}: {separator.join(cells)[:60]!r} is no row of the table, and is skipped"
                    (waiting if ended else self.notes).append(note)
                ended = True
            else:
                what = f"{len(cells)} cells for {len(header)} columns"
                raise DataError(what, where=where, cure="is it cut off?")


def is_header(columns: list[str]) -> bool:
    """Tell whether columns are those of an op_summary or an op_statistic."""
    names = set(columns)
    return (
        {"op type", "task duration"} <= names
        or ("op name" in names and not names.isdisjoint({"task duration", "op type", "task type"}))
        or {"op type", "count"} <= names
        or ("total time" in names and not names.isdisjoint({"op type", "count"}))
    )


def column_name(text: str) -> str:
    """Return a column name without case, unit and underscores: ``Task Duration(us)`` is ``task duration``."""
    name = re.sub(r"[\s_]+", " ", re.sub(r"\(.*?\)", "", text)).strip().lower()
    return _SPELLINGS.get(name, name)


def _unit(text: str) -> float | None:
    found = re.search(r"\((\w+)\)", text)
    return _MICROSECONDS.get(found[1].lower()) if found else None


def _split(lines: TextIO, separator: str, before: int) -> Iterator[tuple[int, list[str]]]:
    if separator == ",":
        reader = csv.reader(lines)
        for cells in reader:
            yield before + reader.line_num, [cell.strip() for cell in cells]
    else:
        for number, line in enumerate(lines, start=before + 1):
            yield number, _cells(line, separator)


def _cells(line: str, separator: str) -> list[str]:
    """Return the cells of one line, without the bars around it and the marks of Markdown."""
    if separator == ",":
        return [cell.strip() for cell in next(csv.reader([line.strip()]), [])]
    text = plain(line.replace("\N{BOX DRAWINGS LIGHT VERTICAL}", "|")).strip("\r\n" if separator == "\t" else None)
    if separator == "|":
        text = re.sub(r"^[>\s]*\|", "", text).removesuffix("|")
    cells = next(csv.reader([text], delimiter=separator), []) if separator in "\t;" else text.split(separator)
    return [cell.strip().strip("`*").strip() for cell in cells]


def _join_brackets(cells: list[str], separator: str) -> list[str]:
    """Join the cells of lists in brackets, such as ``[1`` and ``2]``, which a file without quotes splits."""
    joined: list[str] = []
    open_brackets = 0
    for cell in cells:
        if open_brackets:
            joined[-1] += separator + cell
        else:
            joined.append(cell)
        open_brackets = max(0, open_brackets + len(re.findall(r"[\[(]", cell)) - len(re.findall(r"[\])]", cell)))
    return joined
