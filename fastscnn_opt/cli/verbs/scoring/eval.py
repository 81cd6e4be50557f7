"""The verb `eval`: score the accuracy of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastscnn_opt.ascend.dumps.files import DumpChoice, ElementType, Tool
from fastscnn_opt.cli import options
from fastscnn_opt.cli.failures import conclude
from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, note, print_json, print_table, progress, say
from fastscnn_opt.cli.table import Column
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.targets.spec import TargetSpec

_FIGURES = ("pixAcc", "mIoU", "mIoU_all", "iou", "images", "pixels")


def command(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help=f"{options.MODEL} Not with --dumps.", show_default=False),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Root of a Cityscapes tree, or a TOML description; with --dumps also a folder of `prepare`."
        ),
    ] = None,
    split: options.Split = None,
    synthetic: options.Synthetic = None,
    seed: options.Seed = None,
    batch: Annotated[
        int | None, typer.Option(help="Images per run; by default what the model takes.", min=1, show_default=False)
    ] = None,
    limit: options.ImageLimit = None,
    output: Annotated[
        str | None,
        typer.Option(help="Name of the output that is read, instead of the first.", show_default=False),
    ] = None,
    target: options.Target = "onnxruntime",
    settings: options.TargetSettings = None,
    cluster: options.Cluster = None,
    dumps: Annotated[
        Path | None, typer.Option(help="Score the outputs that benchmark, ais_bench or msame left in this folder.")
    ] = None,
    output_index: Annotated[int, typer.Option(help="Output of the model that was dumped, from 0.", min=0)] = 0,
    dtype: Annotated[
        ElementType | None, typer.Option(help="Type of binary dumps (default: deduced from their size).")
    ] = None,
    tool: Annotated[Tool | None, typer.Option(help="Who wrote the dumps (default: deduced from their names).")] = None,
    running_mean: Annotated[
        bool,
        typer.Option("--running-mean", help="Report the original script's order-dependent figures of the dumps, too."),
    ] = False,
    min_miou: Annotated[
        float | None,
        typer.Option(
            "--min-miou",
            help="The mIoU that is asked for, in percent, such as 68.5.",
            min=1,
            max=100,
            show_default=False,
        ),
    ] = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Score the accuracy of a model on labelled images.

    One confusion matrix over all labelled pixels gives pixAcc, the IoU of each class and mIoU. mIoU leaves out a class
    that neither labels nor predictions have, as the Cityscapes scripts do; mIoU_all counts it as 0.

    With --dumps nothing is run: the outputs that a vendor tool wrote for the images are scored, logits or label maps.
    Where a file holds a batch, --batch says of how many images. The running mean takes the figures of all images so
    far after each image, absent classes counted as 0, and averages them, as the original evaluation script does; that
    script reads float16 dumps as int16, so give --dtype int16 to get its figures for them.

    The exit code is 3 if the mIoU is below --min-miou.
    """
    from fastscnn_opt.scoring.tables.limits import miou_breaches

    source = options.data_source(data, split, synthetic, seed, limit)
    if dumps is None and (output_index or dtype or tool or running_mean):
        raise typer.BadParameter("goes with --dumps only", param_hint="--output-index, --dtype, --tool, --running-mean")
    if dumps is not None and (settings or output or cluster or target != "onnxruntime"):
        hint = "--target, --option, --output, --cluster"
        raise typer.BadParameter("goes with a model, not with --dumps", param_hint=hint)
    source = source if output is None else source.reading(output)
    if model is not None and dumps is None:
        limits = Limits(limit_s, memory)
        choice = options.target_choice(target, settings)
        result, scored = _score_model(model, source, choice, batch, limits, cluster), model.name
    elif dumps is not None and model is None:
        files = DumpChoice(dumps, output_index, tool, batch or 1)
        result, scored = _score_dumps(source, files, dtype, running_mean=running_mean), str(dumps)
    else:
        raise typer.BadParameter("give either a model or --dumps DIR", param_hint="MODEL")
    title = f"{scored} on {source.describe()}"
    if form is TableFormat.JSON:
        print_json(result)
    elif form is TableFormat.TABLE:
        _print_figures(result, title)
    else:
        _print_one_table(result, form, title)
    if min_miou is not None:
        where = f"{scored}{', emulated' if result.get('emulated') else ''}"
        conclude(miou_breaches(where, result["mIoU"], min_miou), form)


def _score_model(
    model: Path, source: DataSource, target: TargetSpec, batch: int | None, limits: Limits, cluster: str | None
) -> dict[str, Any]:
    from fastscnn_opt.cli.cluster import executor_at
    from fastscnn_opt.scoring.one_model import evaluate
    from fastscnn_opt.scoring.records import as_json

    with executor_at(cluster) as executor:
        found = evaluate(model, source, target, batch=batch, limits=limits, progress=progress, executor=executor)
    for text in found.details.notes:
        note(f"note: {text}")
    figures = as_json(found.accuracy)
    return {key: figures[key] for key in _FIGURES} | ({"emulated": True} if figures["emulated"] else {})


def _score_dumps(
    source: DataSource, choice: DumpChoice, dtype: ElementType | None, *, running_mean: bool
) -> dict[str, Any]:
    from fastscnn_opt.ascend.dumps.accuracy import evaluate_dumps, open_labels

    labels = open_labels(source)
    with progress(len(labels.names), "images") as advance:
        accuracy = evaluate_dumps(labels, choice, dtype=dtype, running_mean=running_mean, on_image=advance)
    return accuracy.to_json()


def _print_figures(result: dict[str, Any], what: str) -> None:
    present = [value for value in result["iou"].values() if value is not None]
    rows = [[name, "absent" if value is None else _percent(value)] for name, value in result["iou"].items()]
    say(what)
    heading = "IoU %, emulated" if result.get("emulated") else "IoU %"
    print_table([Column("class"), Column(heading, figures=True)], rows, TableFormat.TABLE)
    mark = "emulated, " if result.get("emulated") else ""
    counts = f"{counted(result['pixels'], 'pixel')} in {counted(result['images'], 'image')}"
    say(f"pixAcc    {_percent(result['pixAcc'])} % {mark}of {counts}")
    say(f"mIoU      {_percent(result['mIoU'])} % {mark}over the {len(present)} classes that are present")
    say(f"mIoU_all  {_percent(result['mIoU_all'])} % {mark}over all {len(rows)} classes, an absent one counted as 0")
    if "running_mIoU" in result:
        say(
            f"running   {_percent(result['running_mIoU'])} % mIoU, {_percent(result['running_pixAcc'])} % pixAcc: "
            "means of the figures so far after each image, in the order of the names"
        )


def _print_one_table(result: dict[str, Any], form: TableFormat, title: str) -> None:
    """Print all shares as one table: the means, then the IoU of each class."""
    rows = [[key, _percent(value)] for key, value in result.items() if isinstance(value, float)]
    rows += [[f"IoU {name}", "absent" if iou is None else _percent(iou)] for name, iou in result["iou"].items()]
    heading = "%, emulated" if result.get("emulated") else "%"
    print_table([Column("figure"), Column(heading, figures=True)], rows, form, title)


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
