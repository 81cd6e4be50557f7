"""Find the folder `tbe/impl` of an installed toolkit, which holds the operator sources that patches edit."""

from __future__ import annotations

import os
from pathlib import Path

from fastscnn_opt.ascend.toolkit import DEFAULT_FOLDER
from fastscnn_opt.errors import PatchError

IMPL = "op_impl/built-in/ai_core/tbe/impl"
"""Where `opp` keeps its operator sources in CANN 5."""

VARIABLES = ("ASCEND_OPP_PATH", "ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME")
"""Environment variables that the toolkit's `set_env.sh` exports, the most specific first."""

DEFAULT_ROOT = DEFAULT_FOLDER / "latest"
"""The newest toolkit in the folder where toolkits are installed by default."""


def find_impl(root: Path | None) -> Path:
    """Return the real path of the one `tbe/impl` below `root`, or below the installed toolkit when `root` is None.

    `root` may be the toolkit, `opp`, any folder down to `tbe/impl` itself, or any folder from which exactly one
    `tbe/impl` is reached. Links are followed, and two ways to one real folder count once.

    Raises
    ------
    PatchError
        No `tbe/impl` is reached, or several are.
    """
    place, origin = (root, "--root") if root is not None else _installed()
    if not place.is_dir():
        raise PatchError(
            "there is no such folder", where=f"{origin} {place}", cure="name the toolkit folder that holds 'opp'"
        )
    found = _reached_from(place)
    if not found:
        raise PatchError(
            "no folder tbe/impl is reached from here",
            where=f"{origin} {place}",
            cure=("name the toolkit folder that holds 'opp', for example /usr/local/Ascend/ascend-toolkit/latest"),
        )
    if len(found) > 1:
        listed = "".join(f"\n  {path}" for path in found)
        raise PatchError(
            f"{len(found)} folders tbe/impl are reached from here",
            where=f"{origin} {place}",
            cure=f"name one of them:{listed}",
        )
    return found[0]


def _installed() -> tuple[Path, str]:
    for variable in VARIABLES:
        if value := os.environ.get(variable):
            return Path(value), f"${variable}"
    if DEFAULT_ROOT.is_dir():
        return DEFAULT_ROOT, "the default place"
    raise PatchError(
        f"no CANN toolkit was found: none of {', '.join(f'${name}' for name in VARIABLES)} is set and "
        f"{DEFAULT_ROOT} does not exist",
        cure="name the toolkit folder with --root, or install the toolkit and source its set_env.sh",
    )


def _reached_from(place: Path) -> list[Path]:
    for path in (place, place.resolve()):
        if path.name == "impl" and path.parent.name == "tbe":
            return [path.resolve()]
    for opp in (place, place / "opp"):
        if (opp / IMPL).is_dir():
            return [(opp / IMPL).resolve()]
    return sorted(_below(place))


def _below(place: Path) -> set[Path]:
    """Walk down from a folder, through links, and collect every `tbe/impl`; each real folder is visited once."""
    found: set[Path] = set()
    visited: set[Path] = set()
    for folder, names, _ in os.walk(place, followlinks=True):
        real = Path(folder).resolve()
        if real in visited:
            names.clear()
            continue
        visited.add(real)
        if "tbe" in (Path(folder).name, real.name) and "impl" in names:
            found.add((real / "impl").resolve())
            names.remove("impl")
    return found
