"""Well-known datasets, described in one TOML file each."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

from fastscnn_opt.data.dataset import Classes
from fastscnn_opt.errors import DataError
from fastscnn_opt.text import unknown

DEFAULT_PRESET = "cityscapes"
"""The preset of data that nothing describes."""


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, in alphabetical order."""
    entries = (entry.name for entry in files(__package__).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in entries if name.endswith(".toml")))


def read_preset(name: str) -> dict[str, Any]:
    """Return the ``[data]`` table of a preset. Raises DataError with the nearest name if there is none."""
    if name not in preset_names():
        raise DataError(unknown("preset", name, preset_names()), where="[data]")
    content = tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    table: dict[str, Any] = content["data"]
    return table


def preset_classes(name: str) -> Classes:
    """Return the classes of a preset. Raises DataError if there is no such preset, or it has none."""
    preset = read_preset(name)
    if "classes" not in preset:
        raise DataError(f"the preset {name!r} has no classes", where="[data]", cure="name the classes")
    return Classes.of(preset["classes"], preset.get("palette"))
