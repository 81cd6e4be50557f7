"""The verb `apply`: rewrite a model."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, note, print_json, progress
from fastscnn_opt.text import counted

_OBJECTS_PER_COLLECTION = 50_000
"""Objects that are made before Python looks for garbage. The graph of a model is many objects, none of them garbage:
with Python's own 700, a model of 50,000 nodes takes 1.4 times as long."""


def command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The ONNX model to rewrite; the file itself stays as it is.")
    ],
    passes: Annotated[
        str,
        typer.Option(
            "--passes",
            "-p",
            help="The pipeline: name{option=value option=value},name,... or @FILE.",
            autocompletion=options.complete_pipeline,
        ),
    ],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where the rewritten model goes.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what every pass would do and write nothing.")] = False,
    no_verify: options.NoVerify = False,
    everything: options.AllNodes = False,
    dump: Annotated[Path | None, typer.Option(help="Folder for the graph after every pass (NN-name.onnx).")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Apply named passes to a model and verify each one.

    With --dry-run nothing is written or verified. The command says for each pass what it would change in the graph that
    the passes before it make, and which nodes it considers but leaves alone, with the reason.
    """
    from fastscnn_opt.model.loading import load_model
    from fastscnn_opt.model.saving import save_model
    from fastscnn_opt.rewriting.instruments import Dump, Progress
    from fastscnn_opt.rewriting.manager import PassManager
    from fastscnn_opt.rewriting.pipeline import read_pipeline
    from fastscnn_opt.rewriting.registry import build_pipeline
    from fastscnn_opt.rewriting.report import describe_plan

    if output is None and not dry_run:
        raise typer.BadParameter("give -o OUT, or --dry-run to write nothing", param_hint="-o")
    if dry_run:
        for option, place in {"-o": output, "--dump": dump}.items():
            if place is not None:
                note(f"{option} {place}: nothing is written there, because of --dry-run")
        output = dump = None
    text = read_pipeline(passes)
    count = len(build_pipeline(text))
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    if output is not None:
        _check_output(output, model)
    with progress(count, "passes") as advance:
        instruments = [Progress(note, advance), *([Dump(dump)] if dump else [])]
        manager = PassManager(text, verify=not (no_verify or dry_run), instruments=instruments)
        result = manager.run(load_model(model))
    if output is not None:
        save_model(result.model, output)
    if form is Format.JSON:
        print_json(result.to_json())
        return
    if not dry_run:
        typer.echo(result.summary(everything=everything))
        typer.echo(f"wrote {output}")
        return
    for line in describe_plan(result.steps, everything=everything):
        typer.echo(line)
    typer.echo(f"{result.nodes_before} -> {counted(result.nodes_after, 'node')}; nothing was written (--dry-run)")


def _check_output(output: Path, model: Path) -> None:
    """Raise ModelError if `output` is the model itself, and what `check_place` raises if it cannot be written."""
    from fastscnn_opt.errors import ModelError
    from fastscnn_opt.files import check_place

    if output.exists() and model.exists() and output.samefile(model):
        raise ModelError("is the model itself, which stays as it is", where=output, cure="give -o another file")
    check_place(output)
