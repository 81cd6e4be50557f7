"""Read the tables of the profiler into a profile."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import replace
from statistics import multimode
from typing import TYPE_CHECKING, TypeVar

from fastscnn_opt.ascend.profile.profile import Operator, Profile, TypeTime
from fastscnn_opt.ascend.profile.tables import (
    NOT_AVAILABLE,
    Line,
    ProfiledTensor,
    TableKind,
    is_table,
    read_op_statistic,
    read_op_summary,
    table_kind,
)
from fastscnn_opt.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from fastscnn_opt.ascend.profile.tables import OperatorRun, OperatorType, Table

Key = TypeVar("Key")

_OperatorKey = tuple[str, str, str, tuple[ProfiledTensor, ...], tuple[ProfiledTensor, ...]]


def find_tables(places: Iterable[Path]) -> list[Path]:
    """Return the tables that `places` name: files as they are, and all op_summary and op_statistic files below folders.

    In a folder without files of these names, every CSV file with their columns counts.

    Raises
    ------
    DataError
        A folder holds no such file.
    """
    found: dict[str, Path] = {}
    for place in places:
        tables = [place]
        if place.is_dir():
            tables = sorted(path for kind in TableKind for path in place.rglob(f"{kind.value}*.csv"))
            tables = tables or sorted(filter(is_table, place.rglob("*.csv")))
            if not tables:
                raise DataError(
                    "no op_summary*.csv or op_statistic*.csv is in it or below",
                    where=place,
                    cure=f"write them with `msprof --export=on --output={place}`",
                )
        found |= {os.path.realpath(table): table for table in tables}
    return list(found.values())


def read_profile(tables: Sequence[Path]) -> Profile:
    """Read and add up tables of the profiler.

    If any of the tables is an op_summary, only the op_summary tables are read: an op_statistic sums up the same runs.

    The number of runs is how often most operators occur in the op_summary tables. So a run may be an iteration or a
    device, the runs may be in one file or in several, and a file that is given twice does no harm. An op_statistic
    does not show the number of runs; each device in each file counts as one run.

    Raises
    ------
    DataError
        A file is no such table, a value in it cannot be read, or there is nothing in it to add up.
    """
    kinds = {table: table_kind(table) for table in tables}
    summaries = [table for table, kind in kinds.items() if kind is TableKind.OP_SUMMARY]
    statistics = [table for table, kind in kinds.items() if kind is TableKind.OP_STATISTIC]
    read_statistics = {table: read_op_statistic(table) for table in statistics}
    digest = {table: read.lines for table, read in read_statistics.items()}
    if not summaries:
        return _with_notes(_from_statistic(digest), read_statistics)
    read = {table: read_op_summary(table) for table in summaries}
    lines = [line for table in read.values() for line in table.lines]
    profile = _from_summary(summaries, lines, [row for rows in digest.values() for row in rows])
    return _with_notes(profile, read)


def _with_notes(profile: Profile, tables: Mapping[Path, Table[Line]]) -> Profile:
    notes = [f"{path}: {note}" for path, table in tables.items() for note in table.notes]
    return replace(profile, notes=(*profile.notes, *notes))


def _from_summary(tables: Sequence[Path], lines: Sequence[OperatorRun], statistic: Sequence[OperatorType]) -> Profile:
    timed = [(line, line.duration_us) for line in lines if line.duration_us is not None]
    if not timed:
        raise DataError("no line has a duration", where=_names(tables), cure="was anything run while it was profiled?")
    if all(line.op_type.lower() in NOT_AVAILABLE for line, _ in timed):
        raise DataError(
            "no line has an operator type", where=_names(tables), cure="profile again with `--task-time=l1`"
        )
    occurrences = Counter(line.name for line, _ in timed if line.name.lower() not in NOT_AVAILABLE)
    runs = min(multimode(occurrences.values()), default=1)
    operators: dict[_OperatorKey, list[float]] = defaultdict(list)
    types: dict[tuple[str, str], list[float]] = defaultdict(list)
    for line, duration_us in timed:
        operators[line.name, line.op_type, line.core, line.inputs, line.outputs].append(duration_us)
        types[line.op_type, line.core].append(duration_us)
    notes = [
        *_notes_on_runs(occurrences, runs, left_out=len(lines) - len(timed)),
        *_notes_on_mixture(operators, Counter(line.op_type for line in lines), statistic),
    ]
    return Profile(
        tuple(tables),
        TableKind.OP_SUMMARY,
        runs,
        tuple(
            Operator(name, op_type, core, len(times), sum(times) / runs, inputs, outputs)
            for (name, op_type, core, inputs, outputs), times in _by_time(operators)
        ),
        tuple(
            TypeTime(op_type, core, len(times), sum(times) / runs, min(times), max(times))
            for (op_type, core), times in _by_time(types)
        ),
        tuple(notes),
    )


def _from_statistic(digest: Mapping[Path, Sequence[OperatorType]]) -> Profile:
    rows = [row for group in digest.values() for row in group]
    if not rows:
        raise DataError(
            "nothing follows the first line", where=_names(digest), cure="was anything run while it was profiled?"
        )
    runs = len({(table, row.device) for table, group in digest.items() for row in group})
    types: dict[tuple[str, str], list[OperatorType]] = defaultdict(list)
    for row in rows:
        types[row.op_type, row.core].append(row)
    times = [
        TypeTime(
            op_type,
            core,
            sum(row.count for row in group),
            sum(row.total_us for row in group) / runs,
            min(row.min_us for row in group),
            max(row.max_us for row in group),
        )
        for (op_type, core), group in types.items()
    ]
    return Profile(
        tuple(digest),
        TableKind.OP_STATISTIC,
        runs,
        (),
        tuple(sorted(times, key=lambda item: item.time_us, reverse=True)),
        tuple(_statistic_notes(rows, runs)),
    )


def _statistic_notes(rows: Sequence[OperatorType], runs: int) -> Iterator[str]:
    yield "an op_statistic knows neither names nor shapes; give the op_summary of the same run for exact findings"
    if runs > 1:
        yield f"each device in each table is taken for one run, which makes {runs}"
    models = sorted({row.model for row in rows if row.model})
    if len(models) > 1:
        yield f"the figures are of {len(models)} models together: {', '.join(models)}"


def _by_time(times: Mapping[Key, list[float]]) -> list[tuple[Key, list[float]]]:
    return sorted(times.items(), key=lambda item: sum(item[1]), reverse=True)


def _notes_on_runs(occurrences: Counter[str], runs: int, *, left_out: int) -> Iterator[str]:
    if left_out:
        yield f"{left_out} lines without a duration are left out"
    uneven = [name for name, count in occurrences.items() if count != runs]
    if uneven:
        yield (
            f"most operators occur {runs} times, which is taken for the number of runs, but {len(uneven)} of "
            f"{len(occurrences)} do not, such as {uneven[0]} ({occurrences[uneven[0]]} times)"
        )


def _notes_on_mixture(
    operators: Iterable[_OperatorKey], lines: Counter[str], statistic: Sequence[OperatorType]
) -> Iterator[str]:
    several = [name for name, count in Counter(name for name, *_ in operators).items() if count > 1]
    if several:
        yield (
            f"{len(several)} operators occur with several shapes or cores, such as {several[0]}; "
            "if the tables are of different models, look at them one by one"
        )
    counted: Counter[str] = Counter()
    for row in statistic:
        counted[row.op_type] += row.count
    differs = next((op_type for op_type in counted if counted[op_type] != lines[op_type]), None)
    if differs is not None:
        yield (
            f"the op_statistic has {counted[differs]} {differs} and the op_summary {lines[differs]}, so they are "
            "not of the same runs; the figures are those of the op_summary"
        )


def _names(tables: Iterable[Path]) -> str:
    return ", ".join(map(str, tables))
