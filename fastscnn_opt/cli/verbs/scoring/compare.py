"""The verb `compare`: the variant table of one run, or of two side by side, or two models on the same images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.failures import conclude
from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, note, print_json, print_table, progress
from fastscnn_opt.cli.run_table import print_run
from fastscnn_opt.cli.table import Column
from fastscnn_opt.processes.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.tables.limits import Gate


def command(
    context: typer.Context,
    first: Annotated[
        Path,
        typer.Argument(metavar="OLD", help="A run folder that `score` or `demo` made; with --data, a model."),
    ],
    second: Annotated[
        Path | None, typer.Argument(metavar="NEW", help="What to compare with it.", show_default=False)
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Published figures to print below one run, such as fastscnn-ascend310.", show_default=False),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="Points of mIoU that a row may lose from OLD to NEW.", min=0, show_default=False),
    ] = None,
    max_slowdown: Annotated[
        float | None,
        typer.Option(
            help="How many times as long a row may take in NEW, such as 1.05; a slowdown counts when its whole 95 % "
            "interval is above this.",
            min=1,
            show_default=False,
        ),
    ] = None,
    data: options.Data = None,
    split: options.Split = None,
    synthetic: options.Synthetic = None,
    seed: options.Seed = None,
    limit: options.ImageLimit = None,
    target: options.Target = "onnxruntime",
    settings: options.TargetSettings = None,
    threads: options.Threads = None,
    rounds: options.Rounds = None,
    seconds: options.Seconds = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Show the variant table of one run, two runs side by side, or two models on the same images.

    Of two runs, the change of a row is that from the first run to the second: mIoU in points, and how many times the
    fps. Times of different sessions are not paired, so a small change of fps between runs means little. --max-slowdown
    therefore judges how many times slower a row has become against the baseline of its own run, and needs the same
    baseline and the same kind of machine in both runs.

    With --data or --synthetic, OLD and NEW are ONNX files, or RUN:NAME. Both are evaluated, and timed in one session.
    The exit code is 3 if a row is beyond a limit, or is missing or failed in NEW, with a line for each.
    """
    from fastscnn_opt.scoring.tables.limits import Gate

    gate = Gate(max_drop, max_slowdown)
    if second is None and not gate.is_open:
        raise typer.BadParameter("needs OLD and NEW", param_hint="--max-drop, --max-slowdown")
    if second is not None and reference is not None:
        raise typer.BadParameter("goes with one run only", param_hint="--reference")
    if data is not None or synthetic is not None:
        if second is None:
            raise typer.BadParameter("give two models", param_hint="NEW")
        from fastscnn_opt.scoring.score import score_models
        from fastscnn_opt.scoring.stages.settings import Settings
        from fastscnn_opt.scoring.tables.gate import outcome_breaches

        how = Settings(
            effort=options.effort_from(rounds, seconds), threads=threads, limit_s=limit_s, memory_bytes=memory
        )
        source, choice = (
            options.data_source(data, split, synthetic, seed, limit),
            options.target_choice(target, settings),
        )
        run = score_models(first, second, source, choice, how, max_drop=max_drop, note=note, progress=progress)
        print_run(run, form, title=f"{first} and {second}: {source.describe()}")
        conclude(outcome_breaches(run, max_slowdown), form)
        return
    if first.is_file():
        raise typer.BadParameter("is a file; to compare two models, give --data or --synthetic, too", param_hint="OLD")
    _refuse_options_of_models(context)
    _compare_runs(first, second, gate, reference, form)


_OF_MODELS = ("split", "seed", "limit", "target", "settings", "threads", "rounds", "seconds", "limit_s", "memory")


def _refuse_options_of_models(context: typer.Context) -> None:
    """Raise an error of usage for an option that has no effect on run folders."""
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name))
        if parameter.name in _OF_MODELS and given is not None and given.name != "DEFAULT":
            raise typer.BadParameter("goes with two models and --data only", param_hint=parameter.opts[0])


def _compare_runs(first: Path, second: Path | None, gate: Gate, reference: str | None, form: TableFormat) -> None:
    from fastscnn_opt.scoring.run_folder import read_run
    from fastscnn_opt.scoring.tables.comparison import comparison_breaches, comparison_json, other_places
    from fastscnn_opt.scoring.tables.hosts import place_caveat

    one = read_run(first)
    if second is None:
        print_run(one, form, reference)
        one.check_whole()
        return
    two = read_run(second)
    breaches = comparison_breaches(one, two, gate)
    for places in dict.fromkeys((other_places(one, two), place_caveat(one.places), place_caveat(two.places))):
        if places:
            note(f"note: {places}")
    if form is TableFormat.JSON:
        print_json(comparison_json(one, two, gate))
    else:
        _print_two(one, two, form)
    for run in (one, two):
        run.check_whole()
    if not gate.is_open:
        conclude(breaches, form)


def _print_two(one: Run, two: Run, form: TableFormat) -> None:
    from fastscnn_opt.scoring.tables.comparison import TWO_RUNS, side_by_side, two_run_cells
    from fastscnn_opt.scoring.tables.rendering import as_asked

    headings, rows = as_asked(TWO_RUNS, [two_run_cells(row) for row in side_by_side(one, two)])
    columns = [Column(heading, figures=figures) for heading, figures in headings]
    print_table(columns, rows, form, title=f"1: {one.folder}, 2: {two.folder}")
