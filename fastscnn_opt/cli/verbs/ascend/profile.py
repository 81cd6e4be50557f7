"""The verb `profile`: where the time of a run went, and what would save it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fastscnn_opt.ascend.chip import SOC_VERSION
from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, note, print_json, print_table, progress, say
from fastscnn_opt.cli.table import Column
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits

_RUNS = 10
_MODEL_SUFFIX = ".onnx"

Row = dict[str, Any]


class ProfileTable(StrEnum):
    """The tables of a profile that `--show` chooses from."""

    ALL = "all"
    TYPES = "types"
    OPERATORS = "operators"
    CONVERSIONS = "conversions"
    OFF_CORE = "off-core"
    FINDINGS = "findings"


def command(
    what: Annotated[
        list[Path],
        typer.Argument(
            metavar="TABLE...|REPORT...|MODEL",
            help="op_summary and op_statistic files or folders of them, reports of a vendor's tool, or one ONNX model.",
        ),
    ],
    show: Annotated[ProfileTable, typer.Option(help="Print one table only.")] = ProfileTable.ALL,
    top: Annotated[int, typer.Option(min=0, help="Operators to print; 0 prints all of them.")] = 20,
    min_percent: Annotated[
        float, typer.Option(min=0, max=100, help="Share of the time below which a finding is not printed.")
    ] = 0.0,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Runs of a model.", show_default=f"{_RUNS}, after a warm-up")
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Images per run of a model or report.", show_default="what it says, or 1"),
    ] = None,
    soc_version: Annotated[
        str | None, typer.Option(help="Processor of a report, for the fps of a card.", show_default=SOC_VERSION)
    ] = None,
    threads: options.Threads = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Show where the time of a run went, operator by operator, and what would save it.

    For tables of the Ascend profiler, of old or new releases, as CSV or pasted from a document: the operators by time,
    the TransData with shapes and formats, the operators that leave the AI Core, and for each finding the pass or patch
    that addresses it. Times are of one run: the sum over all runs (iterations and devices) divided by their number,
    which is how often most operators occur.

    For reports (perf_vision files, what ais_bench, msame, the benchmark tool or trtexec printed, or the summary of
    ais_bench): images per second of one device and of a card. What a file is follows from its content, not its name.

    For a model: it runs in onnxruntime, in a process of its own. The times are means over the runs, and the nodes are
    those of the graph that onnxruntime optimised.
    """
    from fastscnn_opt.ascend.profile.tables import is_table
    from fastscnn_opt.scoring.model_name import model_file

    what = [model_file(path) for path in what]
    models = [path for path in what if path.suffix == _MODEL_SUFFIX]
    if models and len(what) > 1:
        raise typer.BadParameter("give either one model or tables of the profiler", param_hint="TABLE...|MODEL")
    if models:
        if show not in (ProfileTable.ALL, ProfileTable.TYPES, ProfileTable.OPERATORS):
            raise typer.BadParameter("a model has types and operators only", param_hint="--show")
        limits = Limits(limit_s, memory)
        _profile_model(models[0], _Printer(show, top, form), runs=runs, batch=batch, threads=threads, limits=limits)
        return
    if runs or threads:
        raise typer.BadParameter("go with a model only", param_hint="--runs, --threads")
    reports = [path for path in what if not path.is_dir() and not is_table(path)]
    if reports and len(reports) < len(what):
        raise typer.BadParameter("give either reports or tables of the profiler", param_hint="TABLE...|REPORT...")
    if reports:
        _print_reports(reports, batch, soc_version or SOC_VERSION, form)
        return
    if batch or soc_version:
        raise typer.BadParameter("go with a report, --batch with a model, too", param_hint="--batch, --soc-version")
    _profile_tables(what, _Printer(show, top, form), min_percent)


def _print_reports(files: Sequence[Path], batch: int | None, soc_version: str, form: TableFormat) -> None:
    from fastscnn_opt.ascend.reports import read_reports

    reports = [report for file in files for report in read_reports(file, batch=batch, soc_version=soc_version)]
    if form is TableFormat.JSON:
        print_json([asdict(report) for report in reports])
        return
    figures = ("batch", "mean ms", "devices", "fps", "fps per device", "fps per card")
    columns = [Column("report"), Column("tool"), *(Column(heading, figures=True) for heading in figures)]
    rows = [
        [
            report.title,
            str(report.tool),
            str(report.batch),
            "-" if report.mean_ms is None else f"{report.mean_ms:.4f}",
            str(report.devices),
            f"{report.fps:.4f}",
            f"{report.fps_per_device:.4f}",
            f"{report.fps_per_card:.3f}",
        ]
        for report in reports
    ]
    print_table(columns, rows, form)
    for report in reports:
        for text in report.notes:
            note(f"note: {report.title}: {text}")


class _Printer:
    """Prints the tables of a profile that were asked for."""

    def __init__(self, show: ProfileTable, top: int, form: TableFormat) -> None:
        if show is ProfileTable.ALL and form is TableFormat.CSV:
            note("CSV holds one table, that of the operator types; --show chooses another")
            show = ProfileTable.TYPES
        self.form = form
        self._show = show
        self._top = top

    def wants(self, table: ProfileTable) -> bool:
        return self._show in (ProfileTable.ALL, table)

    def print(self, table: ProfileTable, title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Print one of the tables, cut to the number of operators that are wanted."""
        if not self.wants(table) or (self._show is ProfileTable.ALL and not rows):
            return
        cut = rows[: self._top] if self._top and table not in (ProfileTable.TYPES, ProfileTable.FINDINGS) else rows
        heading = title if len(cut) == len(rows) else f"{title}, {len(cut)} of {len(rows)}"
        if self.form is TableFormat.MD:
            say(f"### {heading}\n")
        print_table(columns, cut, self.form, heading)
        if self.form is TableFormat.MD:
            say()


def _profile_model(
    model: Path, printer: _Printer, *, runs: int | None, batch: int | None, threads: int | None, limits: Limits
) -> None:
    from fastscnn_opt.scoring.one_model import profile_model

    with progress(None, "runs") as advance:
        profile = profile_model(model, runs=runs or _RUNS, batch=batch, threads=threads, limits=limits, on_run=advance)
    result = profile.to_json()
    if printer.form is TableFormat.JSON:
        print_json({"model": str(model), **result})
        return
    printer.print(
        ProfileTable.TYPES,
        "operator types",
        [Column("type"), Column("nodes", figures=True), *_TIME],
        [[row["type"], str(row["nodes"]), *_times(row)] for row in result["types"]],
    )
    printer.print(
        ProfileTable.OPERATORS,
        "nodes",
        [Column("node"), Column("type"), *_TIME, Column("outputs")],
        [[row["name"], row["type"], *_times(row), ", ".join(row["outputs"])] for row in result["nodes"]],
    )
    note(
        f"{result['total_us']:.1f} us in a run, {result['between_us']:.1f} us of them between the nodes "
        f"(runs: {result['runs']})"
    )


def _profile_tables(places: Sequence[Path], printer: _Printer, min_percent: float) -> None:
    from fastscnn_opt.ascend.profile.find import profile_tables

    profile, found = profile_tables(places)
    result = profile.to_json() | {"findings": [finding.to_json(profile) for finding in found]}
    if printer.form is TableFormat.JSON:
        print_json(result)
        return
    _print_figures(result, printer)
    if printer.wants(ProfileTable.FINDINGS):
        worth = [row for row in result["findings"] if 100 * row["share"] >= min_percent]
        _print_findings(worth, printer)
        if len(worth) < len(found):
            note(f"findings below {min_percent:g} %, which are left out: {len(found) - len(worth)}")
    note(f"{profile.total_us:.1f} us in a run (runs: {profile.runs}, tables: {len(profile.tables)})")
    for text in profile.notes:
        note(f"note: {text}")


def _print_figures(result: dict[str, Any], printer: _Printer) -> None:
    printer.print(
        ProfileTable.TYPES,
        "operator types",
        [
            Column("type"),
            Column("core"),
            Column("executions", figures=True),
            *_TIME,
            Column("longest us", figures=True),
        ],
        [
            [row["type"], row["core"], str(row["executions"]), *_times(row), f"{row['longest_us']:.1f}"]
            for row in result["types"]
        ],
    )
    operator = [Column("operator"), Column("type"), Column("core")]
    tensors = [Column("inputs"), Column("outputs")]
    for table, title, rows in (
        (ProfileTable.OPERATORS, "operators", result["operators"]),
        (ProfileTable.OFF_CORE, "operators that leave the AI Core", result["off_core"]),
    ):
        cells = [[row["name"], row["type"], row["core"], *_times(row), *_tensors(row)] for row in rows]
        printer.print(table, title, [*operator, *_TIME, *tensors], cells)
    cells = [[row["name"], *_times(row), *_tensors(row)] for row in result["conversions"]]
    printer.print(ProfileTable.CONVERSIONS, "TransData", [operator[0], *_TIME, *tensors], cells)


def _print_findings(findings: Sequence[Row], printer: _Printer) -> None:
    if printer.form is not TableFormat.TABLE:
        cells = [[row["what"], *_times(row), row["cure"]] for row in findings]
        printer.print(ProfileTable.FINDINGS, "findings", [Column("finding"), *_TIME, Column("cure")], cells)
        return
    for row in findings:
        say(f"{row['time_us']:.1f} us, {100 * row['share']:.1f} %: {row['what']}\n     cure: {row['cure']}")


_TIME = (Column("us per run", figures=True), Column("share %", figures=True))


def _times(row: Row) -> list[str]:
    return [f"{row['time_us']:.1f}", f"{100 * row['share']:.2f}"]


def _tensors(row: Row) -> list[str]:
    return ["; ".join(_describe(tensor) for tensor in row[side]) for side in ("inputs", "outputs")]


def _describe(tensor: Row) -> str:
    shape = "?" if tensor["shape"] is None else "x".join(map(str, tensor["shape"])) or "scalar"
    return f"{tensor['dtype']} {shape} {tensor['format']}"
