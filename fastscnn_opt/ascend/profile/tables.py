"""Read the tables of the Ascend profiler: one line per executed operator (`op_summary`), one per type (`op_statistic`).

Columns are found by name, because releases differ in their number, order and spelling.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import TYPE_CHECKING, Generic, TypeVar

from fastscnn_opt.ascend.profile.table_text import Row, TextTable
from fastscnn_opt.errors import DataError
from fastscnn_opt.targets.figures import number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOT_AVAILABLE = ("", "n/a", "na", "-")
"""What stands in a cell without a value."""

Line = TypeVar("Line")

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


@dataclass(frozen=True)
class Table(Generic[Line]):
    """The lines of a table, and what was skipped in it."""

    lines: list[Line]
    notes: tuple[str, ...] = ()


def is_table(path: Path) -> bool:
    """Tell whether a file holds a table of the profiler. Raises DataError if it cannot be read."""
    return bool(_opened(path).columns)


def table_kind(path: Path) -> TableKind:
    """Return which table of the profiler a file holds, according to its columns; its name does not matter.

    Raises
    ------
    DataError
        The file cannot be read, is empty, or holds another table.
    """
    table = _opened(path)
    if "op name" in table.columns or "task duration" in table.columns:
        return TableKind.OP_SUMMARY
    if table.columns:
        return TableKind.OP_STATISTIC
    if table.is_blank:
        raise DataError("is empty, and so no table of the profiler", where=path)
    raise DataError("no line names 'Op Name' or 'Total Time', so this is no op_summary or op_statistic", where=path)


def _opened(path: Path) -> TextTable:
    """Return the table of a file with its columns, and without its rows."""
    table = TextTable(path)
    with suppress(StopIteration):
        next(table.rows())
    return table


def read_op_summary(path: Path) -> Table[OperatorRun]:
    """Read an `op_summary_*.csv` of any release, or a table with its columns.

    Raises
    ------
    DataError
        The file cannot be read, a column is missing, or a value is not what its column holds; the message names the
        line.
    """
    table = TextTable(path)
    lines = [
        OperatorRun(
            name=row.text("op name", "op type"),
            op_type=row.text("op type"),
            core=core_kind(row.text("task type", "core type", default="")),
            duration_us=row.time("task duration"),
            aicore_time_us=row.time("aicore time", "aic time") if row.has("aicore time", "aic time") else None,
            inputs=row.tensors("input"),
            outputs=row.tensors("output"),
        )
        for row in _rows(table)
    ]
    missing = [name for name in (*_tensor_columns("input"), *_tensor_columns("output")) if name not in table.columns]
    if missing:
        names = ", ".join(repr(name.title()) for name in missing)
        table.notes.append(f"without {names}, so the findings are less precise")
    return Table(lines, tuple(table.notes))


def _tensor_columns(side: str) -> list[str]:
    return [f"{side} {what}" for what in ("shapes", "data types", "formats")]


def read_op_statistic(path: Path) -> Table[OperatorType]:
    """Read an `op_statistic_*.csv` of any release, or a table with its columns.

    Raises
    ------
    DataError
        The file cannot be read, a column is missing, or a value is not what its column holds; the message names the
        line.
    """
    table = TextTable(path)
    return Table([_operator_type(row) for row in _rows(table)], tuple(table.notes))


def _operator_type(row: _Row) -> OperatorType:
    count = row.count("count")
    if row.has("total time") or not row.has("avg time"):
        total_us = row.known_time("total time")
        mean_us = total_us / count if count else 0.0
    else:
        mean_us = row.known_time("avg time")
        total_us = count * mean_us
    return OperatorType(
        op_type=row.text("op type"),
        core=core_kind(row.text("core type", "task type", default="")),
        count=count,
        total_us=total_us,
        min_us=row.known_time("min time") if row.has("min time") else mean_us,
        max_us=row.known_time("max time") if row.has("max time") else mean_us,
        model=row.text("model name") if row.has("model name") else None,
        device=row.text("device id") if row.has("device id") else None,
    )


def core_kind(text: str) -> str:
    """Return a core type in the spelling of newer releases: ``AI Core`` and ``AI_CORE`` are both ``AI_CORE``."""
    return re.sub(r"[\s_]+", "_", text.strip()).upper()


@dataclass(frozen=True)
class _Row(Row):
    """The cells of a line as the values that they stand for."""

    def has(self, *names: str) -> bool:
        """Tell whether the table has one of these columns."""
        return not self.cells.keys().isdisjoint(names)

    def text(self, *names: str, default: str | None = None) -> str:
        """Return the cell of the first of these columns that the table has."""
        for name in names:
            if name in self.cells:
                return self.cells[name]
        if default is None:
            raise DataError(f"the column {names[0].title()!r} is missing from the first line", where=self.place)
        return default

    def time(self, *names: str) -> float | None:
        """Return a time in microseconds, None where it is not available."""
        text = self.text(*names)
        if text.lower() in NOT_AVAILABLE:
            return None
        factor = next((self.factors[name] for name in names if name in self.factors), 1.0)
        try:
            return factor * number(text)
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
        columns = _tensor_columns(side)
        if not self.has(*columns):
            return ()
        shapes, dtypes, formats = (re.sub(r'["{}]', "", self.text(column, default="")) for column in columns)
        parts = re.sub(r"\]\s*,\s*\[", "];[", shapes).split(";")
        return tuple(
            ProfiledTensor(
                self._shape(shape, side, dtype), _dtype(dtype), form.strip(" []").upper().removeprefix("FORMAT_")
            )
            for shape, dtype, form in zip_longest(
                parts, re.split("[;,]", dtypes), re.split("[;,]", formats), fillvalue=""
            )
        )

    def _shape(self, text: str, side: str, dtype: str) -> tuple[int, ...] | None:
        inner = text.strip(" []()")
        if not inner and (inner != text.strip() or dtype.strip().lower() not in NOT_AVAILABLE):
            return ()
        if inner.lower() in NOT_AVAILABLE:
            return None
        lengths = [length.strip() for length in re.split(r"[,x*]", inner)]
        if not all(map(_INTEGER.fullmatch, lengths)):
            raise DataError(f"{side.title()} Shapes holds {text.strip()!r}, not a list of integers", where=self.place)
        return tuple(map(int, lengths))


_SHORT_TYPES = {"f": "float", "i": "int", "s": "int", "u": "uint", "bf": "bfloat", "fp": "float"}


def _dtype(text: str) -> str:
    """Return an element type, such as DT_FLOAT16, FLOAT or F16, under its numpy name."""
    name = text.strip(" []").lower().removeprefix("dt_")
    short = re.fullmatch(r"(bf|fp|[fisu])(\d+)", name)
    if short:
        return _SHORT_TYPES[short[1]] + short[2]
    return {"float": "float32", "double": "float64", "half": "float16"}.get(name, name)


def _rows(table: TextTable) -> Iterator[_Row]:
    for row in table.rows():
        if "op type" not in table.columns:
            break
        yield _Row(row.place, row.cells, row.factors)
    if "op type" not in table.columns:
        raise DataError(
            "the column 'Op Type' is missing from the first line",
            where=table.path,
            cure="is this a table of the profiler?",
        )
