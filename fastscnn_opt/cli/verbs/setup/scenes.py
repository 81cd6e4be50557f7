"""The verb `scenes`: write synthetic street scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastscnn_opt.cli.printing import note, progress
from fastscnn_opt.data.dataset import LONGEST_SIDE
from fastscnn_opt.data.source import LARGEST_SEED, MOST_IMAGES
from fastscnn_opt.text import counted


def command(
    output: Annotated[Path, typer.Option("-o", "--output", help="Root of the tree; the split must not exist in it.")],
    count: Annotated[int, typer.Option(help="How many scenes.", min=1, max=MOST_IMAGES)],
    seed: Annotated[
        int, typer.Option(help="Seed of the first scene; the others follow it.", min=0, max=LARGEST_SEED)
    ] = 0,
    split: Annotated[str, typer.Option(help="Split that the scenes make up.")] = "val",
    height: Annotated[int, typer.Option(help="Height of the images in pixels.", min=32, max=LONGEST_SIDE)] = 1024,
    width: Annotated[int, typer.Option(help="Width of the images in pixels.", min=32, max=LONGEST_SIDE)] = 2048,
) -> None:
    """Write synthetic street scenes with exact labels, as a Cityscapes tree of PNG files."""
    from fastscnn_opt.demo.scene_files import write_cityscapes

    with progress(count, "scenes") as advance:
        write_cityscapes(output, split, range(seed, seed + count), height=height, width=width, on_scene=advance)
    note(f"wrote {counted(count, 'scene')} to {output}, split {split}")
