"""The verb `explain`: the manual of a pass."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer

from fastscnn_opt.cli.printing import Format, FormatOption, print_json
from fastscnn_opt.errors import PipelineError, unknown
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.registry import entry_points, options_of, pass_class

PROMISES = {
    Contract.EXACT: "exact: the same function up to the order of float sums; checked on every run",
    Contract.ROUNDING: "rounding: the same function in a narrower type; checked on every run against that type",
    Contract.LOSSY: "lossy: another function; its deviation is reported, and only a task metric can judge it",
}


def command(
    name: Annotated[str, typer.Argument(metavar="PASS", help="The name of a pass, as `passes` lists it.")],
    form: FormatOption = Format.TABLE,
) -> None:
    """Print the manual of a pass."""
    if name not in entry_points():
        raise PipelineError(unknown("pass", name, entry_points()))
    cls = pass_class(name)
    manual = inspect.getdoc(cls) or ""
    options = options_of(cls)
    if form is Format.JSON:
        described = [{"name": o.name, "type": o.type, "default": o.default} for o in options]
        print_json({"name": name, "contract": str(cls.contract), "manual": manual, "options": described})
        return
    typer.echo(f"{name}\n\n{manual}\n\nContract: {PROMISES[cls.contract]}.")
    for option in options:
        default = "required" if option.default is None else f"default {option.default or 'none'}"
        typer.echo(f"  {option.name}: {option.type} ({default})")
