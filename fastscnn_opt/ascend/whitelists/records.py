"""What a patched tree remembers: which patches were applied, the hashes of their files, and the original bytes.

Everything lies in one hidden folder inside `tbe/impl`, which exists only while a patch is applied or a command runs:

    state.json      the applied patches
    objects/        contents of files before and after, each under its SHA-256
    lock            taken by every command that reads or writes the tree
    swap/           a change of files in progress (see `swap`)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from fastscnn_opt.ascend.whitelists import swap
from fastscnn_opt.ascend.whitelists.patchfile import Edit, Patch
from fastscnn_opt.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FOLDER = ".fastscnn-opt"
STATE = "state.json"
LOCK_WAIT_S = 10.0
"""How long a command waits for another one that works on the same tree."""


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileRecord(_Stored):
    """One file that a patch changed: SHA-256 before and after, and its edits with the entries that were missing."""

    file: str
    before: str
    after: str
    added: tuple[Edit, ...]


class Record(_Stored):
    """One applied patch, as it was when it was applied, and the files it changed."""

    patch: Patch
    applied: str
    files: tuple[FileRecord, ...]

    def of(self, file: str) -> FileRecord | None:
        """Return the record of one file, or None where the patch did not change it."""
        return next((record for record in self.files if record.file == file), None)


class State(_Stored):
    """The patches applied to a tree, in the order in which they were applied."""

    version: Literal[1] = 1
    records: tuple[Record, ...] = ()

    def of(self, patch: str) -> Record | None:
        """Return the record of one patch, or None where it is not applied."""
        return next((record for record in self.records if record.patch.name == patch), None)

    def later_on(self, patch: str, file: str) -> Record | None:
        """Return the first patch that changed `file` after `patch` did."""
        names = [record.patch.name for record in self.records]
        after = self.records[names.index(patch) + 1 :] if patch in names else ()
        return next((record for record in after if record.of(file)), None)

    def without(self, patch: str) -> State:
        """Return the state with one patch forgotten."""
        return State(records=tuple(record for record in self.records if record.patch.name != patch))

    def with_record(self, record: Record) -> State:
        """Return the state with a record added at the end, or put in the place of the older one of the same patch."""
        if self.of(record.patch.name) is None:
            return State(records=(*self.records, record))
        return State(records=tuple(record if old.patch.name == record.patch.name else old for old in self.records))


def digest(raw: bytes) -> str:
    """Return the SHA-256 of some bytes in hexadecimal."""
    return hashlib.sha256(raw).hexdigest()


class Store:
    """The record of applied patches inside one `tbe/impl`."""

    def __init__(self, impl: Path) -> None:
        self.impl = impl
        self.folder = impl / FOLDER

    @property
    def state(self) -> State:
        """Read which patches are applied, an interrupted change that was decided included.

        Raises
        ------
        PatchError
            The record cannot be read or is damaged.
        """
        path = swap.decided(self.folder) or self.folder / STATE
        try:
            return State.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return State()
        except (OSError, ValidationError) as error:
            raise PatchError(
                f"the record of applied patches cannot be read ({str(error).splitlines()[0]})",
                where=path,
                cure=f"the original files are in {self.folder / 'objects'}",
            ) from error

    def content(self, sha256: str) -> bytes:
        """Return kept bytes.

        Raises
        ------
        PatchError
            They are missing or no longer what they were.
        """
        path = self.folder / "objects" / sha256
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise PatchError(f"the kept file cannot be read: {error.strerror}", where=path) from error
        if digest(raw) != sha256:
            raise PatchError("the kept file is damaged, its SHA-256 is no longer its name", where=path)
        return raw

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock for reading and writing; a change that was interrupted is finished or undone first.

        Raises
        ------
        PatchError
            Another process holds the lock for too long, or the folder cannot be written.
        """
        lock = self._acquire()
        try:
            swap.recover(self.impl, self.folder)
            yield
        finally:
            try:
                self._tidy()
            finally:
                lock.release()

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Hold the lock while reading; a tree that was never patched, or is not ours to write, is read without."""
        if self.folder.exists() and os.access(self.folder, os.W_OK):
            with self.locked():
                yield
        else:
            yield

    def commit(self, changes: Mapping[Path, bytes], state: State) -> None:
        """Change files and the record as one step that is done or not done whenever it is interrupted; needs the lock.

        Raises
        ------
        PatchError
            Something could not be written; nothing was changed.
        """
        try:
            for path, content in changes.items():
                self._keep(path.read_bytes(), path)
                self._keep(content, path)
            swap.replace_files(self.impl, self.folder, changes, STATE, state.model_dump_json(indent=1).encode())
        except swap.NotDoneError as error:
            raise PatchError(f"{error}", cure="nothing was changed") from error
        self._prune(state)

    def _keep(self, raw: bytes, like: Path) -> None:
        path = self.folder / "objects" / digest(raw)
        if not path.exists():
            swap.write_whole(path, raw, like)

    def _prune(self, state: State) -> None:
        needed = {sha for record in state.records for file in record.files for sha in (file.before, file.after)}
        for path in (self.folder / "objects").glob("*"):
            if path.name not in needed:
                path.unlink()

    def _tidy(self) -> None:
        """Remove the folder when nothing is recorded, so that a reverted tree is exactly what it was."""
        if swap.pending(self.folder) or self.state.records:
            return
        shutil.rmtree(self.folder / "objects", ignore_errors=True)
        (self.folder / STATE).unlink(missing_ok=True)
        # The lock goes last and while it is held: who waits for it finds it gone, and makes a new one.
        (self.folder / "lock").unlink(missing_ok=True)
        with suppress(OSError):  # somebody made a new lock in between, and will tidy up in turn
            self.folder.rmdir()

    def _acquire(self) -> FileLock:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                self.folder.mkdir(exist_ok=True)
                lock = FileLock(self.folder / "lock", timeout=max(0.0, deadline - time.monotonic()))
                lock.acquire()
            except FileNotFoundError:
                continue  # the holder before us has just removed the folder with its last record
            except FileExistsError as error:
                if self.folder.is_file() or self.folder.is_symlink():
                    raise PatchError(
                        "is no folder", where=self.folder, cure="move it away, our records go there"
                    ) from error
                continue  # it has done so between our look at the folder and what pathlib makes of that
            except Timeout as error:
                raise PatchError(
                    f"another process is patching this tree (waited {LOCK_WAIT_S:.0f} s)",
                    where=self.impl,
                    cure="try again later",
                ) from error
            except OSError as error:
                raise PatchError(
                    f"cannot be written ({error.strerror})",
                    where=self.folder,
                    cure="run the command as the owner of the toolkit",
                ) from error
            return lock
