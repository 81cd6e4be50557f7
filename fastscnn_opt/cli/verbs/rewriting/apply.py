"""The verb `apply`: rewrite a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, note, print_json, progress, say
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.rewriting.report import Result


def command(
    model: options.Model,
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
    require_change: Annotated[
        bool,
        typer.Option("--require-change", help="End with exit code 3 if a pass changes nothing; write no model then."),
    ] = False,
    inputs: options.Inputs = None,
    everything: options.AllNodes = False,
    dump: Annotated[Path | None, typer.Option(help="Folder for the graph after every pass (NN-name.onnx).")] = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Apply named passes to a model and verify each one.

    With --dry-run nothing is written or verified. The command says for each pass what it would change in the graph that
    the passes before it make, and which nodes it considers but leaves alone, with the reason.
    """
    del limit_s, memory  # of ApartCommand
    from fastscnn_opt.rewriting.applying import apply_to_file, check_changed, plan_for_file
    from fastscnn_opt.scoring.model_name import model_file

    model = model_file(model)
    if inputs is not None and (dry_run or no_verify):
        raise typer.BadParameter("with --dry-run or --no-verify no graph is run", param_hint="--input")
    if dry_run:
        for option, place in {"-o": output, "--dump": dump}.items():
            if place is not None:
                note(f"{option} {place}: nothing is written there, because of --dry-run")
        result = plan_for_file(model, passes, note=note, progress=progress)
    elif output is None:
        raise typer.BadParameter("give -o OUT, or --dry-run to write nothing", param_hint="-o")
    else:
        result = apply_to_file(
            model, passes, output, verify=not no_verify, inputs=inputs, dump=dump, require_change=require_change,
            note=note, progress=progress,
        )  # fmt: skip
    if form is Format.JSON:
        print_json(result.to_json())
    else:
        _print(result, output, dry_run=dry_run, everything=everything)
    if dry_run and require_change:
        check_changed(result)


def _print(result: Result, output: Path | None, *, dry_run: bool, everything: bool) -> None:
    from fastscnn_opt.rewriting.report import describe_plan

    if not dry_run:
        say(result.summary(everything=everything))
        say(f"wrote {output}")
        return
    for line in describe_plan(result.steps, everything=everything):
        say(line)
    say(f"{result.nodes_before} -> {counted(result.nodes_after, 'node')}; nothing was written (--dry-run)")
