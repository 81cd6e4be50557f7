"""The verb `compile`: from an ONNX model to an artefact of a target."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import Format, FormatOption, print_json, progress, say
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits


def command(
    model: options.Model,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the artefact goes.")],
    target: options.Target = "onnxruntime",
    settings: options.TargetSettings = None,
    threads: options.Threads = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Compile a model for a target, in a process of its own.

    The output of a vendor tool is kept in OUT.log.
    """
    from fastscnn_opt.scoring.one_model import compile_model

    limits = Limits(limit_s, memory)
    with progress(None, f"compiling for {target}"):
        versions = compile_model(model, output, options.target_choice(target, settings, threads), limits=limits)
    size = output.stat().st_size
    if form is Format.JSON:
        print_json({"target": target, "artefact": str(output), "bytes": size, "tools": versions})
        return
    tools = ", ".join(f"{name} {version}" for name, version in versions.items())
    say(f"wrote {output}: {size} bytes for {target} ({tools})")
