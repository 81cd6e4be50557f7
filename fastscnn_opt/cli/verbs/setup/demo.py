"""The verb `demo`: score the bundled network and show its variant table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, note, progress
from fastscnn_opt.cli.run_table import print_run


def command(
    run: Annotated[Path, typer.Option("--run", help="The run folder; an existing one is continued.")] = Path(
        "fastscnn-opt-demo"
    ),
    scenes: Annotated[
        int | None, typer.Option(min=1, help="Synthetic street scenes to score on.", show_default="those of demo.toml")
    ] = None,
    rounds: options.Rounds = None,
    seconds: options.Seconds = None,
    threads: options.Threads = None,
    jobs: options.Jobs = 1,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Build and score the bundled demo variants and show their table.

    The run folder gets the network, demo.onnx, and the variants file, demo.toml, to copy and change.
    """
    from fastscnn_opt.demo.scoring import score_demo
    from fastscnn_opt.scoring.stages.settings import Settings
    from fastscnn_opt.scoring.tables.gate import check_outcome

    settings = Settings(effort=options.effort_from(rounds, seconds), threads=threads, jobs=jobs)
    finished = score_demo(run, settings, scenes=scenes, note=note, progress=progress)
    print_run(finished, form)
    note(f"the table again: fastscnn-opt compare {run}; as a page: fastscnn-opt report {run} -o report.html")
    check_outcome(finished)
