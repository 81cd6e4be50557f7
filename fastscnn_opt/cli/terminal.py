"""Print tables that fit a terminal of any width, and draw progress bars."""

from __future__ import annotations

import sys
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from fastscnn_opt.cli.streams import write
from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from fastscnn_opt.cli.table import Column

_FOLDED_WIDTHS = (16, 10)
"""Least widths of folded text: while there are columns to leave out, and when there are none."""

_DRAWN_EVERY_S = 0.1


def print_fitting(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> None:
    """Print a table on the terminal so that no figure is cut or broken, whatever its width.

    Text is folded first. Then the columns of the highest rank are left out, and a last line names them. Where even
    that does not fit, every row becomes a block of lines.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    console = Console(file=sys.stdout, highlight=False)
    shown = list(range(len(columns)))
    droppable = sorted((index for index in shown if columns[index].rank), key=lambda index: columns[index].rank)
    while True:
        for folded in _FOLDED_WIDTHS[:1] if droppable else _FOLDED_WIDTHS:
            table = _table(
                [columns[index] for index in shown], [[row[index] for index in shown] for row in rows], title, folded
            )
            if _needed(table) <= console.width:
                _print(console, table)
                _name_missing(columns, shown)
                return
        if not droppable:
            break
        shown.remove(droppable.pop())
    _print_blocks(console, columns, rows, title)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str, folded: int) -> Table:
    table = Table(
        title=Text(printable(title)) if title else None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False
    )
    for index, column in enumerate(columns):
        longest = max(len(cell) for cell in (column.heading, *(row[index] for row in rows)))
        table.add_column(
            Text(printable(column.heading)),
            justify="right" if column.figures else "left",
            no_wrap=column.figures,
            min_width=longest if column.figures else min(longest, folded),
            overflow="fold",
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _needed(table: Table) -> int:
    endless = Console(width=10_000)
    return Measurement.get(endless, endless.options, table).minimum


def _name_missing(columns: Sequence[Column], shown: Sequence[int]) -> None:
    missing = [column.heading for index, column in enumerate(columns) if index not in shown]
    if missing:
        write(f"left out in this width: {', '.join(missing)}\n")


def _print_blocks(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]], title: str) -> None:
    lines = [Text(printable(title))] if title else []
    widest = max(len(column.heading) for column in columns)
    for row in rows:
        cells = zip(columns, row, strict=True)
        lines += [Text(), *(Text(f"{column.heading:<{widest}}  {cell}", overflow="fold") for column, cell in cells)]
    _print(console, *lines)


def _print(console: Console, *parts: Table | Text) -> None:
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    write(captured.get())


class _Pace(ProgressColumn):
    """How much is done, how fast, and how long the rest will take."""

    def render(self, task: Task) -> Text:
        done = f"{task.completed:.0f}"
        if task.total is None:
            return Text(f"{done + '  ' if task.completed else ''}{_clock(task.elapsed)}")
        parts = [f"{done}/{task.total:.0f}"]
        if task.speed:
            parts.append(f"{task.speed:.1f}/s" if task.speed >= 1 else f"{1 / task.speed:.1f} s each")
        if task.time_remaining is not None:
            parts.append(f"{_clock(task.time_remaining)} left")
        return Text("  ".join(parts))


def _clock(seconds: float | None) -> str:
    return str(timedelta(seconds=int(seconds or 0)))


class _Detailed(Progress):
    """Bars with a text below them."""

    detail = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.detail:
            yield Text(self.detail)


class Bar:
    """A progress bar on stderr while a block runs. Call it with a number of steps to advance it, and with a new total.

    It is drawn when it advances, at most ten times a second: a bar that is drawn all the time would disturb what is
    being timed. A bar without a total shows a clock.
    """

    def __init__(self, total: int | None, what: str) -> None:
        console = Console(file=sys.stderr)
        bar = BarColumn(bar_width=max(8, min(40, console.width - 54)))
        self._progress = _Detailed(
            TextColumn("{task.description}", markup=False), bar, _Pace(),
            console=console, transient=True, speed_estimate_period=120, auto_refresh=total is None,
            refresh_per_second=2,
        )  # fmt: skip
        self._task = self._progress.add_task(printable(what), total=total)
        self._drawn = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, steps: int, total: int | None = None, detail: str = "") -> None:
        """Move on by `steps`; `detail` is shown below the bar."""
        if total is not None:
            self._progress.update(self._task, total=total)
        if detail:
            self._progress.detail = printable(detail)
        self._progress.advance(self._task, steps)
        if monotonic() - self._drawn > _DRAWN_EVERY_S:
            self._progress.refresh()
            self._drawn = monotonic()
