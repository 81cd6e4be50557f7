"""The verb `package`: write a model with all that is needed to use it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import TableFormat, TableFormatOption, note, print_json, print_table, progress
from fastscnn_opt.cli.table import Column
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits

_COLUMNS = (Column("file"), Column("bytes", figures=True), Column("sha256"))


def command(
    model: Annotated[
        Path, typer.Argument(metavar="RUN|MODEL", help=f"A run, of which --variant is taken. {options.MODEL}")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR|FILE.zip", help="Where the package goes.", show_default=False)
    ],
    variant: Annotated[str | None, typer.Option(help="The variant of the run.", show_default=False)] = None,
    data: options.Data = None,
    split: options.Split = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Add the model compiled for this target.", autocompletion=options.complete_target, show_default=False
        ),
    ] = None,
    settings: options.TargetSettings = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: TableFormatOption = TableFormat.TABLE,
) -> None:
    """Write a model with all that is needed to use it on a machine without fastscnn-opt.

    The package has the model, its classes and preprocessing as JSON, predict.py, a model card, and one image with its
    labels. predict.py needs onnxruntime, numpy and Pillow alone, and gives the labels that `eval` counts; predict.py
    --check says whether it does so on another machine. Classes, preprocessing and the image are those of the run,
    unless --data names others.
    """
    from fastscnn_opt.packaging.package import package

    if data is None and split is not None:
        raise typer.BadParameter("goes with --data only", param_hint="--split")
    if target is None and settings:
        raise typer.BadParameter("goes with --target only", param_hint="--option")
    source = None if data is None else options.data_source(data, split, None, None, None)
    compiled_for = None if target is None else options.target_choice(target, settings)
    with progress(None, "packaging"):
        files = package(
            model,
            output,
            variant=variant,
            data=source,
            target=compiled_for,
            limits=Limits(limit_s, memory),
            note=note,
        )
    if form is TableFormat.JSON:
        print_json([asdict(file) for file in files])
        return
    print_table(_COLUMNS, [[file.file, str(file.bytes), file.sha256] for file in files], form)
    note(f"wrote {output}")
