"""The verb `overlay`: draw what a model sees over photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli import options
from fastscnn_opt.cli.printing import note, progress
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.text import counted


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help=options.MODEL)],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="The photographs.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the pictures.")],
    against: Annotated[
        Path | None, typer.Option(metavar="MODEL2", help="Another model to show beside the first.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Description of the classes and the preprocessing.",
            show_default="what the model says, else the classes of Cityscapes",
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the colours; 0 shows the photograph alone, 1 the colours.")
    ] = 0.5,
    legend: Annotated[bool, typer.Option("--legend", help="Name the classes below each picture.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that are there already.")] = False,
    target: options.Target = "onnxruntime",
    settings: options.TargetSettings = None,
    limit_s: options.TimeLimit = DEFAULT_LIMITS.silence_s,
    memory: options.MemoryLimit = None,
) -> None:
    """Draw what a model sees in photographs, in the colours of its classes, over the photographs themselves.

    The picture of street.jpg is DIR/street.png. With --against, two models are shown side by side.
    """
    from fastscnn_opt.scoring.pictures.overlay import Style, draw_overlays

    models = [model] if against is None else [model, against]
    pictures = draw_overlays(
        models, images, output, target=options.target_choice(target, settings), style=Style(alpha, legend),
        data=data, overwrite=overwrite, limits=Limits(limit_s, memory), note=note, progress=progress,
    )  # fmt: skip
    note(f"wrote {counted(len(pictures), 'picture')} to {output}")
