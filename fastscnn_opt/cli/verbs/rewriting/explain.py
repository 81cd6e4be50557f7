"""The verb `explain`: the manual of a pass, or what it would do to a model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, print_json, say
from fastscnn_opt.processes.limits import DEFAULT_LIMITS
from fastscnn_opt.rewriting.contract import PROMISES

if TYPE_CHECKING:
    from fastscnn_opt.rewriting.contract import Pass


def command(
    text: Annotated[
        str,
        typer.Argument(
            metavar="PASS",
            help="A pass as `passes` lists it, with options if need be.",
            autocompletion=options.complete_pipeline,
        ),
    ],
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL", help="Say what the pass would do to this model (or RUN:NAME).", show_default=False
        ),
    ] = None,
    everything: options.AllNodes = False,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Print the manual of a pass, or say what it would do to a model.

    With a model, as in `explain 'resize-nearest{only=head}' model.onnx`, it says which nodes the pass would change, and
    which it considers but leaves alone, with the reason. Nothing is written.
    """
    del limit_s, memory  # of ApartCommand
    from fastscnn_opt.errors import PipelineError
    from fastscnn_opt.rewriting.pipeline import parse, read_pipeline
    from fastscnn_opt.rewriting.registry import build_pipeline, pass_class

    text = read_pipeline(text)
    named = parse(text)
    if len(named) != 1:
        raise PipelineError(
            f"{text!r} names {len(named)} passes", cure="explain takes one, and apply --dry-run several"
        )
    if named[0].options or model is not None:
        build_pipeline(text)
    cls = pass_class(named[0].name)
    if model is not None:
        _explain_on(model, text, everything=everything, form=form)
    else:
        _print_manual(cls, form)


def _explain_on(model: Path, text: str, *, everything: bool, form: Format) -> None:
    from fastscnn_opt.rewriting.applying import plan_for_file
    from fastscnn_opt.rewriting.report import describe_plan
    from fastscnn_opt.scoring.model_name import model_file

    result = plan_for_file(model_file(model), text)
    if form is Format.JSON:
        print_json(result.steps[0].to_json())
        return
    for line in describe_plan(result.steps, everything=everything):
        say(line)


def _print_manual(cls: type[Pass], form: Format) -> None:
    from fastscnn_opt.rewriting.options import options_of
    from fastscnn_opt.rewriting.registry import manual_of

    manual = manual_of(cls)
    if form is Format.JSON:
        described = [asdict(option) for option in options_of(cls)]
        print_json({"name": cls.name, "contract": str(cls.contract), "manual": manual, "options": described})
        return
    say(f"{cls.name}\n\n{manual}\n\nContract: {PROMISES[cls.contract]}.")
    for option in options_of(cls):
        default = "required" if option.default is None else f"default {option.default or 'none'}"
        say(f"  {option.name}: {option.type} ({default})")
