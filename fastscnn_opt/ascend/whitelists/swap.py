"""Replace the contents of several files as one step that survives being killed at any instant.

A rename replaces one file atomically, but not two. So the step is taken by one rename of one link that all the files
share:

1. Stage, in `swap/`: what each file holds (`before/0`, `before/1`, ...), what it shall hold (`after/0`, ...), a link
   `live -> before`, the list of files, and a note (the record of applied patches) to renew with them. The folder gets
   its name only when everything is on the disk.
2. Replace each file by a link to `swap/live/N`. Whoever opens it still reads the old content.
3. Replace `live` by a link to `after`. With this one rename every file reads the new content.
4. Replace each link by the real file `after/N`; put the new note in its place; remove `swap/`.

Killed before step 3, every file reads as before, and `recover` puts the real files back. Killed after it, every file
reads as it shall, and `recover` completes step 4. At no instant does one file read old and another new.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class NotDoneError(Exception):
    """A step could not be taken; every file is as it was."""


def replace_files(impl: Path, folder: Path, contents: Mapping[Path, bytes], note: str, text: bytes) -> None:
    """Give each file its new content, and the file `note` in `folder` the content `text`, as one step.

    Mode, owner and extended attributes of each file stay; the time of modification becomes now, so that Python's
    compiled copies are made anew. The caller holds the lock, and `recover` has run. Paths are real ones, on one file
    system.

    Raises
    ------
    NotDoneError
        Something could not be written.
    """
    try:
        _stage(impl, folder, contents, note, text)
        _link(impl, folder)
        _flip(folder)
    except OSError as error:
        raise NotDoneError(f"{error.filename or folder}: {error.strerror}") from error
    finally:
        recover(impl, folder)


def write_whole(path: Path, content: bytes, like: Path) -> None:
    """Write a file, with the mode and owner of another, that is either there with all its content or not there.

    Raises
    ------
    NotDoneError
        It could not be written.
    """
    unfinished = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(exist_ok=True)
        unfinished.unlink(missing_ok=True)
        _copy(like, content, unfinished)
        unfinished.replace(path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise NotDoneError(f"{path}: {error.strerror}") from error


def pending(folder: Path) -> bool:
    """Tell whether an interrupted step waits for `recover`."""
    return (folder / "swap").exists()


def decided(folder: Path) -> Path | None:
    """Return where the new note lies while an interrupted step that took effect waits for `recover`, or None."""
    here = folder / "swap"
    if not here.exists() or str((here / "live").readlink()) != "after":
        return None
    return next((here / "note").glob("*"), None)


def recover(impl: Path, folder: Path) -> None:
    """Finish an interrupted step that was decided, undo one that was not; does nothing where there is none."""
    for leftover in ("swap.new", "swap.old"):
        if (folder / leftover).exists():
            shutil.rmtree(folder / leftover)
    here = folder / "swap"
    if not here.exists():
        return
    side = str((here / "live").readlink())
    for index, path in enumerate(_files(impl, here)):
        if path.is_symlink() and str(path.readlink()) == _target(here, index, path):
            (here / side / str(index)).replace(path)
    _sync_folders(impl, here)
    if (note := decided(folder)) is not None:
        note.replace(folder / note.name)
    _sync(folder)
    here.rename(folder / "swap.old")
    shutil.rmtree(folder / "swap.old")


def _stage(impl: Path, folder: Path, contents: Mapping[Path, bytes], note: str, text: bytes) -> None:
    new = folder / "swap.new"
    for part in ("before", "after", "note"):
        (new / part).mkdir(parents=True)
    for index, (path, content) in enumerate(contents.items()):
        _copy(path, path.read_bytes(), new / "before" / str(index))
        _copy(path, content, new / "after" / str(index))
        os.utime(new / "after" / str(index))
    (new / "live").symlink_to("before")
    _write(new / "note" / note, text)
    _write(new / "files.json", json.dumps([os.path.relpath(path, impl) for path in contents]).encode())
    for part in ("before", "after", "note", "."):
        _sync(new / part)
    new.rename(folder / "swap")
    _sync(folder)


def _link(impl: Path, folder: Path) -> None:
    here = folder / "swap"
    for index, path in enumerate(_files(impl, here)):
        (here / "link").symlink_to(_target(here, index, path))
        (here / "link").replace(path)
    _sync_folders(impl, here)


def _flip(folder: Path) -> None:
    here = folder / "swap"
    (here / "link").symlink_to("after")
    (here / "link").replace(here / "live")
    _sync(here)


def _files(impl: Path, here: Path) -> list[Path]:
    return [Path(os.path.normpath(impl / name)) for name in json.loads((here / "files.json").read_bytes())]


def _target(here: Path, index: int, path: Path) -> str:
    """Return what the link in the place of a file says; relative, so that a moved tree keeps working."""
    return os.path.relpath(here / "live" / str(index), path.parent)


def _copy(like: Path, content: bytes, path: Path) -> None:
    _write(path, content)
    status = like.stat()
    if (status.st_uid, status.st_gid) != (path.stat().st_uid, path.stat().st_gid):
        os.chown(path, status.st_uid, status.st_gid)
    shutil.copystat(like, path)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folders(impl: Path, here: Path) -> None:
    for folder in sorted({path.parent for path in _files(impl, here)}):
        _sync(folder)
