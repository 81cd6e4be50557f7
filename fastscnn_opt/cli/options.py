"""The options that several verbs share, and what they choose: images, a target, limits, an effort of timing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.processes.limits import LONGEST_S, parse_memory

if TYPE_CHECKING:
    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.targets.spec import TargetSpec

    ChosenImages = tuple[Path | None, str | None, int | None, int | None, int | None]


def complete_pipeline(typed: str) -> list[str]:
    """Return the typed pipeline text with its last name completed, once for each pass that fits."""
    from fastscnn_opt.rewriting.registry import entry_points

    before, comma, begun = typed.rpartition(",")
    return [before + comma + name for name in entry_points() if name.startswith(begun)]


def complete_target(typed: str) -> list[str]:
    """Return the targets whose names begin as typed."""
    from fastscnn_opt.targets.registry import target_names

    return [name for name in target_names() if name.startswith(typed)]


MODEL = "The ONNX model; or RUN:NAME, a variant of a run."
"""Help of an argument that names a model."""

Model = Annotated[Path, typer.Argument(metavar="MODEL", help=f"{MODEL} The file itself stays as it is.")]

NoVerify = Annotated[bool, typer.Option("--no-verify", help="Do not check the contracts of the passes.")]
Inputs = Annotated[
    Path | None,
    typer.Option("--input", help="Run the graphs on these arrays (.npz, by input name) instead of made-up ones."),
]
AllNodes = Annotated[
    bool,
    typer.Option("--all", help="Name every node; without it, nodes with the same message share a line."),
]

Data = Annotated[
    Path | None, typer.Option("--data", help="Root of a Cityscapes tree, or a TOML file that describes a dataset.")
]
Split = Annotated[
    str | None,
    typer.Option(help="Split of the tree, such as train.", show_default="val"),
]
Synthetic = Annotated[int | None, typer.Option(help="Take this many synthetic street scenes instead of a tree.", min=1)]
Seed = Annotated[
    int | None,
    typer.Option(help="Seed of the first synthetic scene.", min=0, show_default="0"),
]
ImageLimit = Annotated[int | None, typer.Option(help="Take the first images only.", min=1)]


def data_source(
    data: Path | None, split: str | None, synthetic: int | None, seed: int | None, limit: int | None
) -> DataSource:
    """Return the images that the options choose; an option without effect is wrong usage."""
    from fastscnn_opt.data.source import DataSource

    if (data is None) == (synthetic is None):
        raise typer.BadParameter("give either --data ROOT or --synthetic N", param_hint="--data")
    if data is None and split is not None:
        raise typer.BadParameter("goes with --data only", param_hint="--split")
    if synthetic is None and seed is not None:
        raise typer.BadParameter("goes with --synthetic only", param_hint="--seed")
    if data is not None:
        return DataSource.at(str(data), split, limit)
    return DataSource(synthetic=synthetic, seed=seed or 0, limit=limit)


def images_for(flag: str, chosen: ChosenImages, *, is_given: bool) -> DataSource | None:
    """Return the images that the arguments of `data_source` choose, if any; without `flag` they are wrong usage."""
    if all(option is None for option in chosen):
        return None
    if not is_given:
        raise typer.BadParameter(f"goes with {flag} only", param_hint="--data, --split, --synthetic, --seed, --limit")
    return data_source(*chosen)


Target = Annotated[
    str,
    typer.Option(
        "--target",
        help="What compiles and runs the model; see `doctor`.",
        autocompletion=complete_target,
    ),
]
TargetSettings = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the target, such as aipp=true; may be repeated."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of one operator.", show_default="every usable core")]


def target_choice(target: str, settings: list[str] | None, threads: int | None = None) -> TargetSpec:
    """Return the target with its options, given as ``KEY=VALUE``; the target itself checks that it has them."""
    from fastscnn_opt.targets.spec import TargetSpec, typed_options

    spec = TargetSpec.of(target)
    options = dict(spec.options)
    settings = [*([] if threads is None else [f"threads={threads}"]), *(settings or [])]
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{setting!r} is not KEY=VALUE", param_hint="--option")
        if key in options:
            raise typer.BadParameter(f"{key} is given twice", param_hint="--option")
        options[key] = text
    return TargetSpec(spec.name, typed_options(spec.name, options) if settings else options)


def memory_size(text: str) -> int:
    """Return an amount of memory in bytes; a text that is not such an amount is wrong usage."""
    try:
        return parse_memory(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


TimeLimit = Annotated[
    float,
    typer.Option("--time-limit", min=1, max=LONGEST_S, help="Seconds without progress after which a process is ended."),
]

MemoryLimit = Annotated[
    int | None,
    typer.Option(
        "--memory-limit",
        parser=memory_size,
        metavar="SIZE",
        help="Physical memory that a process and its children may hold, such as '1.5 GiB'; beyond it, it is ended.",
        show_default="90 % of the available memory",
    ),
]

Rounds = Annotated[
    int | None,
    typer.Option(
        min=5,
        help="Rounds of timing, each model once or a few times per round; fewer give no interval.",
        show_default=False,
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        min=0.1, help="Seconds of timing per model, if no rounds are given.", show_default="15, at most 200 rounds"
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ADDRESS",
        help="Share the work with the nodes of a Ray cluster: HOST:PORT; auto for the one this host is in; local to "
        "start one here.",
        show_default=False,
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        min=1,
        help="Rows whose accuracy is measured at the same time, on each node of a cluster; timing is never shared.",
    ),
]


def effort_from(rounds: int | None, seconds: float | None) -> Effort | None:
    """Return the effort that the options ask for, or None where they leave it open."""
    from fastscnn_opt.scoring.effort import Effort

    if rounds is not None and seconds is not None:
        raise typer.BadParameter("give --rounds or --seconds, not both", param_hint="--rounds")
    if rounds is not None:
        return Effort(rounds=rounds)
    return None if seconds is None else Effort(seconds=seconds)
