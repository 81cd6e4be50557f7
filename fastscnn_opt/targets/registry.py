"""Targets by name: those of `BUILT_IN`, and those that installed distributions add by entry point."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import TYPE_CHECKING

from fastscnn_opt.errors import RegistryError, TargetError, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscnn_opt.targets.base import Target

GROUP = "fastscnn_opt.targets"
"""Entry point group through which an installed distribution adds targets."""

BUILT_IN = {
    "onnxruntime": "fastscnn_opt.targets.ort:OnnxRuntime",
    "onnxruntime-huge-pages": "fastscnn_opt.targets.ort_huge_pages:OnnxRuntimeHugePages",
    "ascend310": "fastscnn_opt.targets.ascend.target:Ascend310",
    "ascend310b": "fastscnn_opt.targets.ascend.target:Ascend310B",
    "ascend310p": "fastscnn_opt.targets.ascend.target:Ascend310P",
    "ascend910": "fastscnn_opt.targets.ascend.target:Ascend910",
    "openvino": "fastscnn_opt.targets.openvino:OpenVino",
    "openvino-bf16": "fastscnn_opt.targets.openvino:OpenVinoBf16",
    "tensorrt": "fastscnn_opt.targets.tensorrt:TensorRt",
}
"""Where the class of each target lives."""


def target_names() -> tuple[str, ...]:
    """Return every name that `get_target` takes."""
    return tuple(sorted(_classes()))


def get_target(name: str, options: Mapping[str, object] | None = None) -> Target:
    """Return the target called `name` with `options` set, whether or not it is available here.

    Raises
    ------
    TargetError
        There is no such target, or it has no such option; the message names the nearest.
    RegistryError
        An installed target cannot be loaded, or claims the name of another.
    """
    known = _classes()
    given = dict(options or {})
    if name not in known:
        raise TargetError(unknown("target", name, target_names()))
    cls = _load(name, known[name])
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # targets are dataclasses
    for option in given:
        if option not in names:
            raise TargetError(f"target {name}: {unknown('option', option, names)}")
    return cls(**given)


def option_names(name: str) -> frozenset[str]:
    """Return the names of the options of the target called `name`. Raises TargetError if there is no such target."""
    return frozenset(field.name for field in fields(type(get_target(name))))  # type: ignore[arg-type]  # targets are dataclasses


def _classes() -> dict[str, str]:
    """Return ``module:class`` of every target by name."""
    from importlib.metadata import entry_points

    found = dict(BUILT_IN)
    for point in entry_points(group=GROUP):
        if found.setdefault(point.name, point.value) != point.value:
            raise RegistryError(
                f"the target name {point.name!r} is claimed by both {found[point.name]} and {point.value}"
            )
    return found


def _load(name: str, place: str) -> type[Target]:
    module, _, attribute = place.partition(":")
    try:
        cls: type[Target] = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RegistryError(f"the target {name!r} cannot be loaded from {place}: {error}") from error
    return cls
