"""The options with which several verbs choose images and labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fastscnn_opt.data.source import DataSource

DataOption = Annotated[Path | None, typer.Option("--data", help="Root of a Cityscapes tree.")]
SplitOption = Annotated[
    str | None,
    typer.Option(help="Split of the tree, such as train.", show_default="val"),
]
SyntheticOption = Annotated[
    int | None, typer.Option(help="Take this many synthetic street scenes instead of a tree.", min=1)
]
SeedOption = Annotated[
    int | None,
    typer.Option(help="Seed of the first synthetic scene.", min=0, show_default="0"),
]
LimitOption = Annotated[int | None, typer.Option(help="Take the first images only.", min=1)]


def data_source(
    data: Path | None, split: str | None, synthetic: int | None, seed: int | None, limit: int | None
) -> DataSource:
    """Return what the options choose; one that the others leave without effect is wrong usage."""
    from fastscnn_opt.data.source import DataSource

    if (data is None) == (synthetic is None):
        raise typer.BadParameter("give either --data ROOT or --synthetic N", param_hint="--data")
    if data is None and split is not None:
        raise typer.BadParameter("goes with --data only", param_hint="--split")
    if synthetic is None and seed is not None:
        raise typer.BadParameter("goes with --synthetic only", param_hint="--seed")
    return DataSource(None if data is None else str(data), split or "val", synthetic, seed or 0, limit)
