"""The verb `bisect`: which pass costs too much accuracy, and which of its changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, TableFormat, note, print_json, print_table, say
from fastscnn_opt.cli.table import Column
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from fastscnn_opt.bisecting.losses import MeasuredLoss
    from fastscnn_opt.bisecting.result import Bisection, HarmfulChanges


def command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help=f"{options.MODEL} The passes start from it. Or a variants file.")
    ],
    passes: Annotated[
        str | None,
        typer.Option(
            "--passes",
            "-p",
            help="The pipeline to search: name{option=value},... or @FILE.",
            autocompletion=options.complete_pipeline,
        ),
    ] = None,
    variant: Annotated[str | None, typer.Option(help="The variant to search, where MODEL is a variants file.")] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, help="Points of mIoU that may be lost.", show_default="that of the variants file"),
    ] = None,
    max_diff: Annotated[
        float | None, typer.Option(min=0, help="Instead: how far an output may deviate, in its own unit.")
    ] = None,
    nodes: Annotated[
        bool, typer.Option("--nodes", help="Also find the smallest set of the pass's changes that causes the loss.")
    ] = False,
    data: options.Data = None,
    split: options.Split = None,
    synthetic: options.Synthetic = None,
    seed: options.Seed = None,
    limit: options.ImageLimit = None,
    inputs: options.Inputs = None,
    target: options.Target = "onnxruntime",
    settings: options.TargetSettings = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    cluster: options.Cluster = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Find the first pass of a pipeline that costs too much accuracy, and which of its changes do.

    The model before all passes and the model after some of them are scored on the same images. A binary search finds
    the first pass after which more than --max-drop points of mIoU are lost, with at most log2(passes) + 2 evaluations.
    A graph that the engine refuses or crashes on counts as lost. Contracts are not checked, so bisect also finds passes
    that break theirs. With --max-diff the outputs are compared instead: on the images given, or without images on the
    inputs that contracts are checked on, which --input replaces.

    With --nodes, bisect runs that pass with some of its changes only, until it has found the smallest set that causes
    the loss. The pipeline without the harmful pass or changes is measured too, and shown last. The exit code is 0
    whether or not a pass breaks the limit.
    """
    from fastscnn_opt.bisecting.bisect import bisect
    from fastscnn_opt.bisecting.wording import to_json
    from fastscnn_opt.cli.cluster import executor_at

    given = any(option is not None for option in (data, split, synthetic, seed))
    _check_usage(passes, variant, max_drop, max_diff, takes_images=given or variant is not None, limit=limit)
    if inputs is not None and (max_diff is None or given):
        raise typer.BadParameter("goes with --max-diff, in place of images", param_hint="--input")
    if max_diff is not None and (settings or cluster or target != "onnxruntime"):
        raise typer.BadParameter("goes with --max-drop only", param_hint="--target, --option, --cluster")
    with executor_at(cluster) as executor:
        found = bisect(
            model,
            passes,
            variant=variant,
            max_drop=max_drop,
            max_diff=max_diff,
            nodes=nodes,
            data=options.data_source(data, split, synthetic, seed, limit) if given else None,
            limit=limit,
            inputs=inputs,
            target=options.target_choice(target, settings),
            limits=Limits(limit_s, memory),
            note=note,
            executor=executor,
        )
    if form is Format.JSON:
        print_json({"model": str(model), "data": found.images, **to_json(found)})
    else:
        _print(found)


def _check_usage(
    passes: str | None,
    variant: str | None,
    max_drop: float | None,
    max_diff: float | None,
    *,
    takes_images: bool,
    limit: int | None,
) -> None:
    if (passes is None) == (variant is None):
        raise typer.BadParameter("give --passes with a model, or --variant with a variants file", param_hint="--passes")
    if max_drop is not None and max_diff is not None:
        raise typer.BadParameter("give --max-drop or --max-diff, not both", param_hint="--max-drop")
    if passes is not None and max_drop is None and max_diff is None:
        raise typer.BadParameter("give --max-drop or --max-diff: how much may be lost", param_hint="--max-drop")
    if max_drop is not None and not takes_images:
        raise typer.BadParameter("--max-drop needs images: give --data ROOT or --synthetic N", param_hint="--data")
    if limit is not None and not takes_images:
        raise typer.BadParameter("goes with --data, --synthetic or --variant", param_hint="--limit")


def _print(found: Bisection) -> None:
    from fastscnn_opt.bisecting.wording import advice, summary

    say(summary(found))
    rows = [
        [str(number), text, _figure(found.losses.get(number)), _verdict(found, number)]
        for number, text in enumerate(found.pipeline, start=1)
    ]
    columns = [
        Column("pass", figures=True),
        Column("after"),
        Column(found.metric.heading, figures=True),
        Column("verdict"),
    ]
    print_table(columns, rows, TableFormat.TABLE)
    if found.harmful is not None and found.harmful.sets:
        _print_changes(found.harmful)
    if found.repaired is not None:
        say(advice(found))
        if not found.repaired.reason:
            say(f"  {found.repaired.passes or '(no pass)'}")


def _print_changes(changes: HarmfulChanges) -> None:
    harmful = {node for nodes in changes.sets for node in nodes}
    rows = [
        [node, what, _figure(changes.losses.get((node,))), "harmful" if node in harmful else "harmless"]
        for node, what in changes.changes.items()
    ]
    columns = [Column("node"), Column("change"), Column("alone", figures=True), Column("verdict")]
    print_table(columns, rows, TableFormat.TABLE)


def _figure(loss: MeasuredLoss | None) -> str:
    return "-" if loss is None else "does not run" if loss.figure is None else f"{loss.figure:.4g}"


def _verdict(found: Bisection, number: int) -> str:
    first = found.first_failing
    if first is not None and number == first.number:
        return "breaks the limit first"
    if number in found.unchanged:
        return "changes nothing"
    if number not in found.losses:
        return "not measured"
    return "breaks the limit" if first is not None and number > first.number else "within the limit"
