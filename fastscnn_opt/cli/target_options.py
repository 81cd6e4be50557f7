"""The options with which several verbs choose a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fastscnn_opt.scoring.engine import TargetChoice

TargetOption = Annotated[str, typer.Option("--target", help="What compiles and runs the model; see `doctor`.")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the target, such as aipp=true; may be repeated."),
]


def target_choice(target: str, settings: list[str] | None, threads: int | None = None) -> TargetChoice:
    """Return the target with the options given as ``KEY=VALUE``; whether it has them is the target's business."""
    from fastscnn_opt.scoring.engine import TargetChoice

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
