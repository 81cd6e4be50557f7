"""Replace several files as one step; if the step is interrupted, the next command undoes it.

A rename replaces one file atomically, but not two. So a step keeps a journal in a folder of its own:

1. Stage the old content of each file (`staged/0.before`), its new content (`staged/0.after`), and the new record of
   applied patches.
2. Mark the step as pending: `pending.json` names the files and the SHA-256 of the new content of each.
3. Rename each `after` to its place.
4. Rename the new record to its place. The step is now done.
5. Remove `pending.json`, then `staged/`.

If the step was interrupted before the end of 4, `recover` puts the old files back. If it was interrupted later,
`recover` does 5. During 3, and after an interruption in it until `recover` runs, another program may see one file
replaced and another not. Every file is an ordinary file at all times.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from fastscnn_opt.errors import PatchError
from fastscnn_opt.files import MOST_TEXT_BYTES, read_bytes, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD = "state.json"
"""The file with the record of applied patches."""

_PENDING = "pending.json"
_STAGED = "staged"


def digest(raw: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


def replace_files(impl: Path, folder: Path, contents: Mapping[Path, bytes], record: bytes) -> None:
    """Write new content to each file, and `record` to the record in `folder`, as one step.

    Each file keeps its mode, owner and extended attributes. Its time of modification becomes now, so that Python
    compiles the file again. The caller must hold the lock and have called `recover`. The paths must contain no links
    and lie on the file system of `folder`.

    Raises
    ------
    OSError
        Something could not be written. Every file is as it was, unless `is_pending` says that undoing failed, too.
    """
    staged = folder / _STAGED
    try:
        staged.mkdir()
        for index, (path, content) in enumerate(contents.items()):
            write_atomically(staged / f"{index}.before", read_bytes(path, MOST_TEXT_BYTES), like=path)
            write_atomically(staged / f"{index}.after", content, like=path)
            os.utime(staged / f"{index}.after")
        write_atomically(staged / RECORD, record)
        sync_folder(staged)
        journal = {os.path.relpath(path, impl): digest(content) for path, content in contents.items()}
        write_atomically(folder / _PENDING, json.dumps(journal, indent=1).encode())
        sync_folder(folder)
        for index, path in enumerate(contents):
            (staged / f"{index}.after").replace(path)
        _sync_folders_of(contents)
        (staged / RECORD).replace(folder / RECORD)
    finally:
        recover(impl, folder)


def is_pending(folder: Path) -> bool:
    """Return whether there is an interrupted step that `recover` must finish or undo."""
    return (folder / _PENDING).exists()


def pending_files(impl: Path, folder: Path) -> dict[Path, str]:
    """Return the files of an interrupted step, each with the SHA-256 of its new content.

    Raises
    ------
    PatchError
        The journal is damaged.
    """
    if not is_pending(folder):
        return {}
    try:
        journal: dict[str, str] = json.loads(read_bytes(folder / _PENDING, MOST_TEXT_BYTES))
        return {Path(os.path.normpath(impl / name)): after for name, after in journal.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise PatchError(
            "the journal of an interrupted change cannot be read",
            where=folder / _PENDING,
            cure=f"the files as they were before the change are in {folder / _STAGED}",
        ) from error


def recover(impl: Path, folder: Path) -> None:
    """Undo an interrupted step, or clean up if it was already done. A file that was edited since is left alone.

    Raises
    ------
    PatchError
        The journal is damaged, or an older version of this project left a journal of another form.
    OSError
        A file cannot be put back.
    """
    if (folder / "swap").exists():
        raise PatchError(
            "was left by an older version of fastscnn-opt that was interrupted",
            where=folder / "swap",
            cure="run `fastscnn-opt patch status` with that version",
        )
    staged = folder / _STAGED
    if is_pending(folder):
        if (staged / RECORD).exists():
            files = pending_files(impl, folder)
            for index, (path, after) in enumerate(files.items()):
                before = staged / f"{index}.before"
                if before.exists() and path.exists() and digest(read_bytes(path, MOST_TEXT_BYTES)) == after:
                    before.replace(path)
            _sync_folders_of(files)
        sync_folder(folder)
        (folder / _PENDING).unlink()
        sync_folder(folder)
    if staged.exists():
        shutil.rmtree(staged)
    for unfinished in folder.glob(".*.part"):
        unfinished.unlink()


def sync_folder(folder: Path) -> None:
    """Flush the list of files in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folders_of(paths: Mapping[Path, object]) -> None:
    for folder in sorted({path.parent for path in paths}):
        sync_folder(folder)
