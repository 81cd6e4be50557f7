"""The verb `score`: the variant table of a variants file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, note, progress
from fastscnn_opt.cli.run_table import print_run
from fastscnn_opt.processes.limits import LONGEST_S
from fastscnn_opt.scoring.stages.settings import Stage


def command(
    variants: Annotated[Path, typer.Argument(metavar="VARIANTS.toml", help="The variants file.")],
    run: Annotated[Path, typer.Option("--run", help="The run folder; an existing one is continued.")],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Root of a Cityscapes tree, or a TOML file that describes a dataset.",
            show_default="[data] of the variants file",
        ),
    ] = None,
    rounds: options.Rounds = None,
    seconds: options.Seconds = None,
    threads: options.Threads = None,
    jobs: options.Jobs = 1,
    no_verify: options.NoVerify = False,
    stage: Annotated[
        Stage, typer.Option(help="compile: no data and no device needed; run: no model and no compiler needed.")
    ] = Stage.ALL,
    limit_s: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            min=1,
            max=LONGEST_S,
            help="Seconds without a sign of life after which a process is ended.",
            show_default="what the file says, or 600",
        ),
    ] = None,
    memory: options.MemoryLimit = None,
    cluster: options.Cluster = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Build, compile and score every variant of a variants file.

    Accuracy is measured row by row. Speed is measured side by side: the variants take turns, and the others are paused.
    The same command on the same run folder skips finished work. To compile and run on two machines, use --stage compile
    on the first, copy the run folder and the variants file, and use --stage run on the second.
    The exit code is 3 if a row loses more mIoU than max_drop allows, a pass broke its contract, or a row failed,
    crashed or timed out; a target that is not available here is no failure.
    """
    from fastscnn_opt.cli.cluster import executor_at
    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.scoring.score import score
    from fastscnn_opt.scoring.stages.settings import Settings
    from fastscnn_opt.scoring.tables.gate import check_outcome
    from fastscnn_opt.scoring.variants import read_variants

    settings = Settings(
        verify=not no_verify, effort=options.effort_from(rounds, seconds), threads=threads, limit_s=limit_s,
        memory_bytes=memory, jobs=jobs, stage=stage,
    )  # fmt: skip
    images = None if data is None else DataSource.at(data)
    chosen = read_variants(variants, source=images, needs_model=stage is not Stage.RUN)
    with executor_at(cluster, chosen.tables.cluster) as executor:
        finished = score(chosen, run, settings, note, progress, executor=executor)
    print_run(finished, form)
    check_outcome(finished)
