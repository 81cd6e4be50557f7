"""The verb `compile`: from an ONNX model to an artefact of a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli.printing import Format, FormatOption, print_json
from fastscnn_opt.cli.score import LimitOption, ThreadsOption


def command(
    model: Annotated[Path, typer.Argument(help="The ONNX model to compile; the file itself stays as it is.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the artefact goes.")],
    target: Annotated[str, typer.Option(help="What to compile for.")] = "onnxruntime",
    threads: ThreadsOption = None,
    limit_s: LimitOption = 600.0,
    form: FormatOption = Format.TABLE,
) -> None:
    """Compile a model for a target, in a process of its own.

    The output of a vendor tool is kept in OUT.log.
    """
    from fastscnn_opt.scoring.engine import TargetChoice, compile_model

    options = {} if threads is None else {"threads": threads}
    versions = compile_model(model, output, TargetChoice(target, options), limit_s=limit_s)
    size = output.stat().st_size
    if form is Format.JSON:
        print_json({"target": target, "artefact": str(output), "bytes": size, "tools": versions})
        return
    tools = ", ".join(f"{name} {version}" for name, version in versions.items())
    typer.echo(f"wrote {output}: {size} bytes for {target} ({tools})")
