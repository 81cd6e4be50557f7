"""The verb `bench`: the speed of models side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.failures import conclude
from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, note, print_json, print_table, progress
from fastscnn_opt.cli.table import Column
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits

_RANKS = {"p99 ms": 1, "p90 ms": 2, "streams x threads": 3}
"""Columns that a narrow terminal leaves out, the highest rank first."""


def command(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL", help=f"{options.MODEL}")],
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, help="Images per run; models of another batch are changed.", show_default="each model's own"
        ),
    ] = None,
    rounds: options.Rounds = None,
    seconds: options.Seconds = None,
    baseline: Annotated[
        str | None, typer.Option(help="The model the others are compared with.", show_default="the first")
    ] = None,
    target: options.Target = "onnxruntime",
    settings: options.TargetSettings = None,
    threads: options.Threads = None,
    streams: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1024,
            help="Run this many requests at once, too, which share the threads, for the images per second of all.",
            show_default=False,
        ),
    ] = None,
    min_ratio: Annotated[
        float | None,
        typer.Option(
            help="How many times as fast as the baseline each other model has to be; it is too slow when its whole "
            "95 % interval is below this.",
            min=0,
            show_default=False,
        ),
    ] = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Time models side by side.

    Each model is compiled and runs in a process of its own. After a warm-up they take turns, A B C A B C, while the
    others stand still. A ratio above 1 is faster than the baseline, image by image; its 95 % interval comes from
    resampling the rounds. Latencies are those of the engine on prepared inputs.

    With --streams, each model also runs with several requests at once. The table then shows the images per second of
    all streams together, and how many times those of one stream with all the threads this is.

    The exit code is 3 if a model is slower than --min-ratio allows.
    """
    from fastscnn_opt.scoring.bench import bench

    if min_ratio is not None and len(models) == 1:
        raise typer.BadParameter("needs two models or more", param_hint="--min-ratio")
    choice = options.target_choice(target, settings, threads)
    effort, limits = options.effort_from(rounds, seconds), Limits(limit_s, memory)
    table = bench(
        models, choice, baseline=baseline, batch=batch, effort=effort, streams=streams, limits=limits, note=note,
        progress=progress,
    )  # fmt: skip
    if form is TableFormat.JSON:
        print_json(table.to_json())
    else:
        headings, lines = table.shown
        columns = [Column(heading, figures=figures, rank=_RANKS.get(heading, 0)) for heading, figures in headings]
        print_table(columns, lines, form)
    if min_ratio is not None:
        conclude(table.breaches(min_ratio), form)
