"""Read the tables of the Ascend profiler: one line per executed operator (`op_summary`), one per type (`op_statistic`).

Columns are found by name, because releases differ in their number, order and spelling.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from math import isfinite, nan
from typing import TYPE_CHECKING

from fastscnn_opt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_AVAILABLE = ("", "n/a", "na", "-")


class TableKind(StrEnum):
    """The tables of the profiler that are read here."""

    OP_SUMMARY = "op_summary"
    OP_STATISTIC = "op_statistic"


@dataclass(frozen=True)
class TensorColumn:
    """One input or output of an operator as the profile names it.

    `shape` is None where the profile does not tell it, and empty for a scalar. `dtype` is lower case and without its
    prefix (``float16``), `format` upper case (``NCHW``).
    """

    shape: tuple[int, ...] | None
    dtype: str
    format: str


@dataclass(frozen=True)
class OperatorRun:
    """One line of `op_summary`: an operator that was executed. Times are in microseconds, None where not available."""

    line: int
    name: str
    op_type: str
    core: str
    duration_us: float | None
    aicore_time_us: float | None
    inputs: tuple[TensorColumn, ...]
    outputs: tuple[TensorColumn, ...]


@dataclass(frozen=True)
class OperatorType:
    """One line of `op_statistic`: all runs of one operator type on one kind of core. Times are in microseconds."""

    line: int
    op_type: str
    core: str
    count: int
    total_us: float
    min_us: float
    avg_us: float
    max_us: float
    ratio_percent: float
    model: str | None
    device: str | None


def table_kind(path: Path) -> TableKind:
    """Tell by the first line which table of the profiler a file holds, whatever its name.

    Raises
    ------
    DataError
        The file cannot be read, is empty, or holds another table.
    """
    header = next((cells for _, cells in _lines(path)), [])
    columns = {_column(cell) for cell in header}
    if not columns:
        raise DataError("is empty, and a table of the profiler is wanted", where=path)
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
            line=row.line,
            name=row.text("op name"),
            op_type=row.text("op type", "op_type"),
            core=core_kind(row.text("task type", "core type")),
            duration_us=row.number("task duration", "duration"),
            aicore_time_us=row.optional_number("aicore time", "aic time"),
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
            line=row.line,
            op_type=row.text("op type"),
            core=core_kind(row.text("core type", "task type")),
            count=int(row.needed_number("count")),
            total_us=row.needed_number("total time"),
            min_us=row.needed_number("min time"),
            avg_us=row.needed_number("avg time"),
            max_us=row.needed_number("max time"),
            ratio_percent=row.needed_number("ratio"),
            model=row.optional_text("model name"),
            device=row.optional_text("device id"),
        )
        for row in _rows(path)
    ]


def core_kind(text: str) -> str:
    """Return a core type in the spelling of newer releases: ``AI Core`` and ``AI_CORE`` are both ``AI_CORE``."""
    return re.sub(r"[\s_]+", "_", text.strip()).upper()


@dataclass(frozen=True)
class _Row:
    path: Path
    line: int
    cells: dict[str, str]

    def text(self, *names: str) -> str:
        """Return the cell of the first of these columns that the file has."""
        for name in names:
            if name in self.cells:
                return self.cells[name]
        raise DataError(f"the column {names[0].title()!r} is missing from the first line", where=self.path)

    def optional_text(self, *names: str) -> str | None:
        return next((self.cells[name] for name in names if name in self.cells), None)

    def number(self, *names: str) -> float | None:
        text = self.text(*names)
        if text.lower() in NOT_AVAILABLE:
            return None
        try:
            number = float(text)
        except ValueError:
            number = nan
        if not isfinite(number):
            raise DataError(f"{self.path}, line {self.line}: {names[0].title()} is {text!r}, not a number")
        return number

    def optional_number(self, *names: str) -> float | None:
        present = [name for name in names if name in self.cells]
        return self.number(*present) if present else None

    def needed_number(self, *names: str) -> float:
        number = self.number(*names)
        if number is None:
            raise DataError(f"{self.path}, line {self.line}: {names[0].title()} is not available")
        return number

    def tensors(self, side: str) -> tuple[TensorColumn, ...]:
        """Return the inputs or outputs: three columns for shape, type and format, tensors parted by semicolons."""
        shapes, dtypes, formats = (
            self.text(f"{side} {what}").replace('"', "").split(";") for what in ("shapes", "data types", "formats")
        )
        return tuple(
            TensorColumn(self._shape(shape, side, dtype), _dtype(dtype), form.strip().upper())
            for shape, dtype, form in zip_longest(shapes, dtypes, formats, fillvalue="")
        )

    def _shape(self, text: str, side: str, dtype: str) -> tuple[int, ...] | None:
        text = text.strip()
        if not text and dtype.strip().lower() not in NOT_AVAILABLE:
            return ()
        if text.lower() in NOT_AVAILABLE:
            return None
        try:
            return tuple(int(extent) for extent in text.split(","))
        except ValueError:
            raise DataError(
                f"{self.path}, line {self.line}: {side.title()} Shapes holds {text!r}, not a list of integers"
            ) from None


def _dtype(text: str) -> str:
    return text.strip().lower().removeprefix("dt_")


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
            raise DataError(f"{path}, line {line}: {len(cells)} cells for {len(header)} columns", cure="is it cut off?")
        yield _Row(path, line, dict(zip(header, (cell.strip() for cell in cells), strict=True)))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield every line with its number."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for cells in reader:
                yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"not a CSV table: {error}", where=path) from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=path) from error


def _column(text: str) -> str:
    """Return a column name without case, unit and underscores: ``Task Duration(us)`` is ``task duration``."""
    return re.sub(r"[\s_]+", " ", re.sub(r"\(.*?\)", "", text)).strip().lower()
