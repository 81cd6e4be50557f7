"""Read the tables of the Ascend profiler: one line per executed operator (`op_summary`), one per type (`op_statistic`).

Columns are found by name, because releases differ in their number, order and spelling.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING

from fastscnn_opt.errors import DataError
from fastscnn_opt.files import MOST_TABLE_BYTES, open_readable
from fastscnn_opt.targets.figures import number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_AVAILABLE = ("", "n/a", "na", "-")
"""What stands in a cell without a value."""

_INTEGER = re.compile(r"-?\d+", re.ASCII)


class TableKind(StrEnum):
    """The tables of the profiler that are read here."""

    OP_SUMMARY = "op_summary"
    OP_STATISTIC = "op_statistic"


@dataclass(frozen=True)
class ProfiledTensor:
    """One input or output of an operator, as described in the profile.

    `shape` is None if the profile does not contain it, and empty for a scalar. `dtype` is the numpy name
    (``float16``), `format` upper case (``NCHW``).
    """

    shape: tuple[int, ...] | None
    dtype: str
    format: str


@dataclass(frozen=True)
class OperatorRun:
    """One line of `op_summary`: an operator that was executed. Times are in microseconds, None where not available."""

    name: str
    op_type: str
    core: str
    duration_us: float | None
    aicore_time_us: float | None
    inputs: tuple[ProfiledTensor, ...]
    outputs: tuple[ProfiledTensor, ...]


@dataclass(frozen=True)
class OperatorType:
    """One line of `op_statistic`: all runs of one operator type on one kind of core. Times are in microseconds."""

    op_type: str
    core: str
    count: int
    total_us: float
    min_us: float
    max_us: float
    model: str | None
    device: str | None


def table_kind(path: Path) -> TableKind:
    """Return which table of the profiler a file holds, according to its first line; its name does not matter.

    Raises
    ------
    DataError
        The file cannot be read, is empty, or holds another table.
    """
    header = next((cells for _, cells in _lines(path)), [])
    columns = {_column(cell) for cell in header}
    if not columns:
        raise DataError("is empty, and so no table of the profiler", where=path)
    if "op name" in columns:
        return TableKind.OP_SUMMARY
    if "total time" in columns or {"op type", "count"} <= columns:
        return TableKind.OP_STATISTIC
    raise DataError(
        "the first line names neither 'Op Name' nor 'Total Time', so this is no op_summary or op_statistic", where=path
    )


def read_op_summary(path: Path) -> list[OperatorRun]:
    """Read an `op_summary_*.csv` of any release.

    Raises
    ------
    DataError
        The file cannot be read, a column is missing, or a value is not what its column holds; the message names the
        line.
    """
    return [
        OperatorRun(
            name=row.text("op name"),
            op_type=row.text("op type"),
            core=core_kind(row.text("task type", "core type")),
            duration_us=row.time("task duration", "duration"),
            aicore_time_us=row.time("aicore time", "aic time") if row.has("aicore time", "aic time") else None,
            inputs=row.tensors("input"),
            outputs=row.tensors("output"),
        )
        for row in _rows(path)
    ]


def read_op_statistic(path: Path) -> list[OperatorType]:
    """Read an `op_statistic_*.csv` of any release.

    Raises
    ------
    DataError
        The file cannot be read, a column is missing, or a value is not what its column holds; the message names the
        line.
    """
    return [
        OperatorType(
            op_type=row.text("op type"),
            core=core_kind(row.text("core type", "task type")),
            count=row.count("count"),
            total_us=row.known_time("total time"),
            min_us=row.known_time("min time"),
            max_us=row.known_time("max time"),
            model=row.text("model name") if row.has("model name") else None,
            device=row.text("device id") if row.has("device id") else None,
        )
        for row in _rows(path)
    ]


def core_kind(text: str) -> str:
    """Return a core type in the spelling of newer releases: ``AI Core`` and ``AI_CORE`` are both ``AI_CORE``."""
    return re.sub(r"[\s_]+", "_", text.strip()).upper()


@dataclass(frozen=True)
class _Row:
    """The cells of a line by column."""

    place: str
    cells: dict[str, str]

    def has(self, *names: str) -> bool:
        """Tell whether the file has one of these columns."""
        return not self.cells.keys().isdisjoint(names)

    def text(self, *names: str) -> str:
        """Return the cell of the first of these columns that the file has."""
        for name in names:
            if name in self.cells:
                return self.cells[name]
        raise DataError(f"the column {names[0].title()!r} is missing from the first line", where=self.place)

    def time(self, *names: str) -> float | None:
        """Return a time, None where it is not available."""
        text = self.text(*names)
        if text.lower() in NOT_AVAILABLE:
            return None
        try:
            return number(text)
        except ValueError:
            raise DataError(f"{names[0].title()} is {text!r}, not a number", where=self.place) from None

    def known_time(self, name: str) -> float:
        time = self.time(name)
        if time is None:
            raise DataError(f"{name.title()} is not available", where=self.place)
        return time

    def count(self, name: str) -> int:
        text = self.text(name)
        if not _INTEGER.fullmatch(text):
            raise DataError(f"{name.title()} is {text!r}, not a whole number", where=self.place)
        return int(text)

    def tensors(self, side: str) -> tuple[ProfiledTensor, ...]:
        """Return the inputs or outputs: three columns for shape, type and format, tensors separated by semicolons."""
        shapes, dtypes, formats = (
            self.text(f"{side} {what}").replace('"', "").split(";") for what in ("shapes", "data types", "formats")
        )
        return tuple(
            ProfiledTensor(self._shape(shape, side, dtype), _dtype(dtype), form.strip().upper())
            for shape, dtype, form in zip_longest(shapes, dtypes, formats, fillvalue="")
        )

    def _shape(self, text: str, side: str, dtype: str) -> tuple[int, ...] | None:
        text = text.strip()
        if not text and dtype.strip().lower() not in NOT_AVAILABLE:
            return ()
        if text.lower() in NOT_AVAILABLE:
            return None
        lengths = [length.strip() for length in text.split(",")]
        if not all(map(_INTEGER.fullmatch, lengths)):
            raise DataError(f"{side.title()} Shapes holds {text!r}, not a list of integers", where=self.place)
        return tuple(map(int, lengths))


def _dtype(text: str) -> str:
    """Return an element type, such as DT_FLOAT16 or FLOAT, under its numpy name."""
    name = text.strip().lower().removeprefix("dt_")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _rows(path: Path) -> Iterator[_Row]:
    lines = _lines(path)
    _, first = next(lines, (1, []))
    header = [_column(cell) for cell in first]
    if "op type" not in header:
        raise DataError(
            "the column 'Op Type' is missing from the first line", where=path, cure="is this a table of the profiler?"
        )
    for line, cells in lines:
        if not cells:
            continue
        if len(cells) != len(header):
            what = f"{len(cells)} cells for {len(header)} columns"
            raise DataError(what, where=f"{path}, line {line}", cure="is it cut off?")
        yield _Row(f"{path}, line {line}", dict(zip(header, map(str.strip, cells), strict=True)))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield every line with its number."""
    try:
        with open_readable(path, MOST_TABLE_BYTES) as file:
            reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8-sig", newline=""))
            for cells in reader:
                yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"not a CSV table: {error}", where=path) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error


def _column(text: str) -> str:
    """Return a column name without case, unit and underscores: ``Task Duration(us)`` is ``task duration``."""
    return re.sub(r"[\s_]+", " ", re.sub(r"\(.*?\)", "", text)).strip().lower()
