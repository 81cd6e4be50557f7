"""The verb `search`: which pipelines are worth having."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, note, print_json
from fastscnn_opt.cli.run_table import print_run
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.searching.search import SearchResult


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help=f"{options.MODEL} Every pipeline starts from it.")],
    run: Annotated[Path, typer.Option("--run", help="The run folder; an existing search is continued.")],
    space: Annotated[
        Path | None,
        typer.Option(help="A TOML file with slots and alternatives.", show_default="made of the installed passes"),
    ] = None,
    evaluations: Annotated[
        int | None, typer.Option(min=1, help="Pipelines to try, those of earlier starts included.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Minutes of this start, the last timing included.", show_default="10 without --evaluations"
        ),
    ] = None,
    max_drop: Annotated[float, typer.Option(min=0, help="Points of mIoU that a pipeline may lose.")] = 3.0,
    few: Annotated[
        int, typer.Option(min=1, help="Images on which a pipeline is looked at before it is scored on all.")
    ] = 2,
    seconds: Annotated[float, typer.Option(min=0.1, help="Seconds of timing for each of the best in the end.")] = 5.0,
    data: options.Data = None,
    split: options.Split = None,
    synthetic: options.Synthetic = None,
    seed: options.Seed = None,
    limit: options.ImageLimit = None,
    target: options.Target = "onnxruntime",
    settings: options.TargetSettings = None,
    batch: Annotated[int, typer.Option(min=1, help="Images per run.")] = 1,
    threads: options.Threads = None,
    no_verify: options.NoVerify = False,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    cluster: options.Cluster = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Explore pipelines and return the best trade-offs between accuracy and speed.

    A pipeline is one alternative of each slot of the space. Small spaces are explored whole; in large ones every
    alternative is tried alone first, and optuna combines those that are of use. A pipeline that loses more than
    --max-drop on a few images is dropped without scoring it on all images. Speed is measured one pipeline at a time
    beside the baseline, and the best are timed side by side in the end.

    It shows the pipelines that no other pipeline beats in both accuracy and speed. The run folder holds all that were
    tried, failed ones included, for `compare` and `report`, and the best as a variants file, front.toml, for `score`.
    The same command on the same folder goes on where it stopped; --minutes limits each start.
    """
    from fastscnn_opt.cli.cluster import executor_at
    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.stages.settings import Settings
    from fastscnn_opt.searching.search import DEFAULT_BUDGET, Budget, search

    how = Settings(
        verify=not no_verify, effort=Effort(seconds=seconds), threads=threads, limit_s=limit_s, memory_bytes=memory
    )
    with executor_at(cluster) as executor:
        found = search(
            model,
            options.data_source(data, split, synthetic, seed, limit),
            run,
            space=space,
            target=options.target_choice(target, settings, threads),
            batch=batch,
            max_drop=max_drop,
            few=few,
            budget=Budget(evaluations, minutes) if evaluations or minutes else DEFAULT_BUDGET,
            settings=how,
            note=note,
            executor=executor,
        )
    _print(found, form)


def _print(found: SearchResult, form: TableFormat) -> None:
    if form is TableFormat.JSON:
        print_json(found.to_json())
        return
    print_run(found.best, form)
    counts = ", ".join(f"{count} {status}" for status, count in found.counts.items() if count)
    folder = found.run.folder
    note(f"tried {sum(found.counts.values())} of {counted(found.pipelines, 'pipeline')}: {counts}")
    note(f"all of them: fastscnn-opt compare {folder}; the best as a variants file: {folder / 'front.toml'}")
