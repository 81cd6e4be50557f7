"""Examine which packages are installed and which targets work on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastscnn_opt.errors import RegistryError, TargetError
from fastscnn_opt.machine import PACKAGES, machine, versions
from fastscnn_opt.rewriting.registry import entry_points, problem_of
from fastscnn_opt.targets.base import Availability, CrossCompiler
from fastscnn_opt.targets.registry import get_target, target_names

EXTRAS = {
    "openvino": ("openvino", "the target openvino needs"),
    "torch": ("export", "`export` and the target torch need"),
}
"""Packages that not everybody needs: the extra that brings each of them, and what needs it."""


def examine() -> dict[str, Any]:
    """Describe the machine, the packages and the targets.

    Returns
    -------
    dict
        ``machine``: the fields of `Machine`; ``packages``: name, version (None if missing) and cure ("" if there is
        nothing to mend); ``targets``: what `examine_target` says of each;
        ``passes``: name and reason of those that cannot be used.
    """
    installed = versions((*PACKAGES, *EXTRAS))
    return {
        "machine": asdict(machine()),
        "packages": [
            {"name": name, "version": version, "cure": "" if version else _cure(name)}
            for name, version in installed.items()
        ],
        "targets": [examine_target(name) for name in target_names()],
        "passes": [{"name": name, "reason": reason} for name in entry_points() if (reason := problem_of(name))],
    }


def _cure(name: str) -> str:
    if name in EXTRAS:
        extra, user = EXTRAS[name]
        return f"only {user} it: pip install 'fastscnn-opt[{extra}]'"
    return f"pip install {name}"


def examine_target(name: str) -> dict[str, Any]:
    """Tell whether a target works here: name, available, version, offers and reason, and what it can do by itself.

    ``compiles`` and ``runs`` differ from ``available`` for a target that can do one of the two only.
    """
    try:
        target = get_target(name)
        whole = compiles = runs = target.availability()
        if isinstance(target, CrossCompiler) and not whole.available:
            compiles, runs = target.can_compile(), target.can_run()
        reason = whole.reason
    except (RegistryError, TargetError) as error:
        whole = compiles = runs = Availability(available=False)
        reason = str(error)
    return {
        "name": name,
        "available": whole.available,
        "version": whole.version,
        "offers": whole.offers,
        "reason": reason,
        "compiles": compiles.available,
        "runs": runs.available,
    }
