"""The options with which several verbs choose a target, and say what its processes may take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fastscnn_opt.cli.completion import target_names

if TYPE_CHECKING:
    from fastscnn_opt.scoring.worker.client import TargetChoice
    from fastscnn_opt.targets.processes.limits import Limits

TargetOption = Annotated[
    str,
    typer.Option("--target", help="What compiles and runs the model; see `doctor`.", autocompletion=target_names),
]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the target, such as aipp=true; may be repeated."),
]
TimeLimitOption = Annotated[
    float, typer.Option("--time-limit", min=1, help="Seconds without a sign of life after which a process is ended.")
]


def memory_size(text: str) -> int:
    """Return the bytes that an argument says; anything else is wrong usage."""
    from fastscnn_opt.targets.processes.limits import parse_memory

    try:
        return parse_memory(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


MemoryLimitOption = Annotated[
    int | None,
    typer.Option(
        "--memory-limit",
        parser=memory_size,
        metavar="SIZE",
        help="Physical memory that a process and what it starts may hold, such as '1.5 GiB'; beyond it, it is ended.",
        show_default="none",
    ),
]


def limits_from(silence_s: float, memory_bytes: int | None) -> Limits:
    """Return the limits that the options ask for."""
    from fastscnn_opt.targets.processes.limits import Limits

    return Limits(silence_s, memory_bytes)


def target_choice(target: str, settings: list[str] | None, threads: int | None = None) -> TargetChoice:
    """Return the target with the options given as ``KEY=VALUE``; whether it has them is the target's business."""
    from fastscnn_opt.scoring.worker.client import TargetChoice

    options: dict[str, str | int | bool] = {} if threads is None else {"threads": threads}
    for setting in settings or []:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{setting!r} is not KEY=VALUE", param_hint="--option")
        if key in options:
            raise typer.BadParameter(f"{key} is given twice", param_hint="--option")
        options[key] = _value(text)
    return TargetChoice(target, options)


def _value(text: str) -> str | int | bool:
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if text.isdecimal() else text
