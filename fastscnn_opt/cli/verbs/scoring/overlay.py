"""The verb `overlay`: predictions as colours over photographs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli.printing import note, progress
from fastscnn_opt.cli.target_options import (
    MemoryLimitOption,
    SettingsOption,
    TargetOption,
    TimeLimitOption,
    limits_from,
    target_choice,
)
from fastscnn_opt.text import counted


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The ONNX model.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Images of a size that the model takes.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the pictures.")],
    against: Annotated[
        Path | None, typer.Option(metavar="MODEL2", help="Another model to show beside the first.", show_default=False)
    ] = None,
    alpha: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the colours; 0 shows the photograph alone, 1 the colours.")
    ] = 0.5,
    legend: Annotated[bool, typer.Option("--legend", help="Name the classes below each picture.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that are there already.")] = False,
    target: TargetOption = "onnxruntime",
    settings: SettingsOption = None,
    limit_s: TimeLimitOption = 600.0,
    memory: MemoryLimitOption = None,
) -> None:
    """Draw what a model sees in photographs, in the Cityscapes colours, over the photographs themselves.

    The picture of street.jpg is DIR/street.png. With --against, two models are shown side by side.
    """
    from fastscnn_opt.scoring.pictures.overlay import Style, draw_overlays, places_for

    places = places_for(images, output, overwrite=overwrite)
    models = [model] if against is None else [model, against]
    with progress(len(models) * len(images), "images") as advance:
        draw_overlays(
            models, images, places, target=target_choice(target, settings), style=Style(alpha, legend),
            limits=limits_from(limit_s, memory), on_image=advance,
        )  # fmt: skip
    note(f"wrote {counted(len(places), 'picture')} to {output}")
