"""The verb `score`: the variant table of a variants file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscnn_opt.cli.printing import Column, TableFormat, TableFormatOption, note, print_json, print_table, progress
from fastscnn_opt.cli.target_options import MemoryLimitOption

if TYPE_CHECKING:
    from fastscnn_opt.scoring.run_folder import Run
    from fastscnn_opt.scoring.stages.timing import Effort


class StageName(StrEnum):
    """Which part of the work is done here."""

    ALL = "all"
    COMPILE = "compile"
    RUN = "run"


RoundsOption = Annotated[
    int | None,
    typer.Option(
        min=5,
        help="Rounds of timing, each model once or a few times per round; fewer give no interval.",
        show_default=False,
    ),
]
SecondsOption = Annotated[
    float | None,
    typer.Option(
        min=0.1, help="Seconds of timing per model, if no rounds are given.", show_default="15, at most 200 rounds"
    ),
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Threads of one operator.", show_default="every usable core")
]
JobsOption = Annotated[
    int, typer.Option(min=1, help="Rows whose accuracy is measured at the same time; timing is never shared.")
]


def command(
    variants: Annotated[Path, typer.Argument(metavar="VARIANTS.toml", help="The variants file.")],
    run: Annotated[Path, typer.Option("--run", help="The run folder; an existing one is continued.")],
    rounds: RoundsOption = None,
    seconds: SecondsOption = None,
    threads: ThreadsOption = None,
    jobs: JobsOption = 1,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Do not hold the passes against their contracts.")
    ] = False,
    stage: Annotated[
        StageName, typer.Option(help="compile: no data and no device needed; run: no model and no compiler needed.")
    ] = StageName.ALL,
    limit_s: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            min=1,
            help="Seconds without a sign of life after which a process is ended.",
            show_default="what the file says, or 600",
        ),
    ] = None,
    memory: MemoryLimitOption = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Build, compile and score every variant of a variants file.

    Accuracy is measured row by row, speed side by side: all variants take turns, while the others stand still. Started
    again on the same run folder, the verb skips what is finished. Conversion and inference may be on two machines:
    --stage compile on the first, then the run folder and the variants file are copied, and --stage run on the second.
    The exit code is 3 if a row loses more mIoU than max_drop allows, a pass broke its contract, or a row failed,
    crashed or timed out; a target that is not available here is no failure.
    """
    from fastscnn_opt.scoring.score import score
    from fastscnn_opt.scoring.stages.settings import Settings, Stage
    from fastscnn_opt.scoring.tables import raise_for
    from fastscnn_opt.scoring.variants import read_variants

    settings = Settings(
        verify=not no_verify, effort=effort_from(rounds, seconds), threads=threads, limit_s=limit_s,
        memory_bytes=memory, jobs=jobs, stage=Stage(stage),
    )  # fmt: skip
    finished = score(read_variants(variants, needs_model=stage is not StageName.RUN), run, settings, note, progress)
    print_run(finished, form)
    raise_for(finished)


def effort_from(rounds: int | None, seconds: float | None) -> Effort | None:
    """Return the effort that the options ask for, or None where they leave it open."""
    from fastscnn_opt.scoring.stages.timing import Effort

    if rounds is not None and seconds is not None:
        raise typer.BadParameter("give --rounds or --seconds, not both", param_hint="--rounds")
    if rounds is not None:
        return Effort(rounds=rounds)
    return None if seconds is None else Effort(seconds=seconds)


def print_run(run: Run, form: TableFormat, reference: str | None = None) -> None:
    """Print the variant table of a run, with the rows of a table of published figures below it."""
    from fastscnn_opt.scoring.stages.precision import doubts_about
    from fastscnn_opt.scoring.tables import FLAT, ONE_RUN, cells, flat_cells, published, published_cells, to_json

    table = to_json(run)
    if reference is not None:
        table["reference"] = published(reference)
    if form is TableFormat.JSON:
        print_json(table)
        return
    rows, others = table["rows"], table.get("reference", {"rows": []})["rows"]
    if form is TableFormat.CSV:
        columns = [Column(key, figures=key not in _TEXTS) for key in FLAT]
        print_table(columns, [flat_cells(row) for row in [*rows, *others]], form)
        return
    columns = [Column(heading, figures=figures, rank=_RANKS.get(heading, 0)) for heading, figures in ONE_RUN]
    lines = [cells(row) for row in rows] + [published_cells(row) for row in others]
    title = f"{run.folder}: {run.about['data']['is']}"
    if form is TableFormat.TABLE:  # reasons are sentences, too long for a terminal's columns
        columns, lines, title = _narrowed(columns[:-1], [line[:-1] for line in lines], title)
    print_table(columns, lines, form, title=title)
    if form is TableFormat.TABLE:
        _print_reasons(rows)
        for doubt in doubts_about(run):
            note(f"note: {doubt}")


_RANKS = {"ms": 1, "contract": 2, "status": 3, "p99 ms": 4, "pixAcc %": 5, "size MB": 6, "peak MB": 7}
"""Which columns a narrow terminal does without, the highest first."""

_TEXTS = ("variant", "passes", "target", "status", "gate", "reason", "reproduce")


def _narrowed(columns: list[Column], lines: list[list[str]], title: str) -> tuple[list[Column], list[list[str]], str]:
    """Move columns that say the same of every row into the title: a terminal is narrow."""
    same = {
        index: lines[0][index]
        for index, column in enumerate(columns)
        if column.heading in {"target", "batch", "status"} and len({line[index] for line in lines}) == 1
    }
    kept = [index for index in range(len(columns)) if index not in same]
    said = "".join(f", {columns[index].heading} {value}" for index, value in same.items())
    return [columns[index] for index in kept], [[line[index] for index in kept] for line in lines], title + said


def _print_reasons(rows: list[dict[str, Any]]) -> None:
    """Say why rows could not be scored, each reason once."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row["reason"]:
            label = f"{row['variant']} ({row['target']}, batch {row['batch']})"
            again = f"\n  reproduce it with: {row['reproduce']}" if row["reproduce"] else ""
            reasons.setdefault(f"{row['status']}: {row['reason']}{again}", []).append(label)
    for reason, labels in reasons.items():
        typer.echo(f"{', '.join(labels)}: {reason}", err=True)
