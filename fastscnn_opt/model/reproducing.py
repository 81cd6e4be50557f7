"""Keeps what reproduces the crash of a library: the model and the command that crashed on it."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.files import from_os_error
from fastscnn_opt.model.saving import files_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMAND = "command.txt"


def keep_reproducer(model: Path, command: Sequence[str], parent: Path | None = None) -> str:
    """Copy a model file, with its weights, and the words of a command on it into a new folder; say where that is.

    In the command, the copy takes the place of the model. The folder is a temporary one, or lies in `parent`. The
    result is the end of an error message, also where the system refuses the copy.
    """
    try:
        return f"the model and {_COMMAND}, which reproduce it, are in {_keep(model, command, parent)}"
    except OSError as error:
        return f"what reproduces it cannot be kept ({from_os_error(error)})"


def _keep(model: Path, command: Sequence[str], parent: Path | None) -> Path:
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="fastscnn-opt-crash-", dir=parent))
    root = model.parent.resolve()
    for file in files_of(model):
        place = file.resolve()
        if file == model:
            shutil.copyfile(file, folder / model.name)
        elif place.is_file() and place.is_relative_to(root):  # nothing else is part of the model
            copy = folder / file.relative_to(model.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place, copy)
    words = [model.name if word == str(model) else word for word in command]
    (folder / _COMMAND).write_text(f"{shlex.join(['fastscnn-opt', *words])}\n", encoding="utf-8", errors="replace")
    return folder
