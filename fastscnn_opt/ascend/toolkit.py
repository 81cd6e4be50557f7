"""Find the installed parts of the CANN toolkit, and their versions."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from fastscnn_opt.ascend.chip import CANN_VERSION
from fastscnn_opt.files import MOST_TEXT_BYTES, read_bytes
from fastscnn_opt.processes.tool import find, probe

DEFAULT_FOLDER = Path("/usr/local/Ascend/ascend-toolkit")
"""Where the toolkit is installed unless another place was chosen."""

_DEVICE_FILES = Path("/dev")

_DEPTH = 8
"""How many folders a part of the toolkit lies below its install note, at most: the operator sources lie deepest."""

_INSTALL = f"install the CANN toolkit, {CANN_VERSION} or newer, and run `source {DEFAULT_FOLDER}/set_env.sh`"


@dataclass(frozen=True)
class Missing:
    """Something that is not installed here, and how to get it."""

    what: str
    cure: str


def find_atc() -> str | None:
    """Return the path of atc, or None."""
    return find("atc")


def missing_atc() -> Missing | None:
    """Return what compiling needs and this machine lacks: the toolkit or its environment variables; None if nothing."""
    if find_atc():
        return None
    home = os.environ.get("ASCEND_HOME_PATH")
    places = [
        place / "set_env.sh"
        for root in ([Path(home)] if home else []) + [DEFAULT_FOLDER]
        for place in (root, root.parent)
    ]
    script = next((place for place in places if place.is_file()), None)
    return Missing("atc is not on the PATH", f"run `source {script}` first" if script else _INSTALL)


def missing_device() -> Missing | None:
    """Return None if this machine has a device: a driver with its npu-smi or device files."""
    if find("npu-smi") or any(_DEVICE_FILES.glob("davinci[0-9]*")):
        return None
    what = "there is no Ascend device (no npu-smi, no /dev/davinci0)"
    return Missing(what, "use a machine with an Ascend card and its driver")


def cann_version(part: str | Path) -> str:
    """Return the version of the toolkit that a file or folder belongs to, such as atc, or ``unknown``.

    It is in the install note of the toolkit, or in the path.
    """
    real = Path(part).resolve()
    for folder in list(real.parents)[:_DEPTH]:
        for note in (*folder.glob("ascend_toolkit_install.info"), *folder.glob("*-linux/ascend_toolkit_install.info")):
            text = read_bytes(note, MOST_TEXT_BYTES).decode(errors="replace")
            if version := re.search(r"^version=(\S+)", text, re.MULTILINE):
                return version[1]
    return version_in(real) or "unknown"


def version_in(path: Path) -> str | None:
    """Return the CANN version in a path (``ascend-toolkit/5.0.2/...``), or None where it has none."""
    versions = [part for part in path.parts if re.fullmatch(r"\d+\.\d+(\.\w+)+", part)]
    return versions[-1] if versions else None


def driver_version() -> str:
    """Return the version that npu-smi reports, ``unknown`` if it is not installed or does not tell."""
    version = re.search(r"Version:\s*(\S+)", probe("npu-smi", "info") or "")
    return version[1] if version else "unknown"
