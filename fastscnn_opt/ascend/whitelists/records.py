"""The record inside a patched tree: which patches were applied, the hashes of their files, and the original bytes.

Everything lies in one hidden folder inside `tbe/impl`, which exists only while a patch is applied or a command runs:

    state.json            the applied patches
    objects/              contents of files before and after, each under its SHA-256
    .lock                 taken by every command that reads or writes the tree
    pending.json, staged/ a change of files in progress (see `journal`)
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from fastscnn_opt.ascend.whitelists import journal
from fastscnn_opt.ascend.whitelists.journal import RECORD, digest
from fastscnn_opt.ascend.whitelists.patchfile import Edit, Patch
from fastscnn_opt.errors import PatchError
from fastscnn_opt.files import HOLDER, LOCK, MOST_TEXT_BYTES, locked, read_bytes, write_atomically
from fastscnn_opt.schema import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FOLDER = ".fastscnn-opt"
LOCK_WAIT_S = 10.0
"""How long a command waits for another one that works on the same tree."""


class PatchedFile(Strict):
    """One file that a patch changed: SHA-256 before and after, and its edits with the entries that were missing."""

    file: str
    before: str
    after: str
    added: tuple[Edit, ...]


class AppliedPatch(Strict):
    """One applied patch, as it was when it was applied, and the files it changed."""

    patch: Patch
    applied: str
    files: tuple[PatchedFile, ...]

    def file(self, name: str) -> PatchedFile | None:
        """Return the record of one file, or None where the patch did not change it."""
        return next((file for file in self.files if file.file == name), None)


class AppliedPatches(Strict):
    """The patches applied to a tree, in the order in which they were applied."""

    version: Literal[1] = 1
    records: tuple[AppliedPatch, ...] = ()

    def find(self, patch: str) -> AppliedPatch | None:
        """Return the record of one patch, or None where it is not applied."""
        return next((record for record in self.records if record.patch.name == patch), None)

    def later_on(self, patch: str, file: str) -> AppliedPatch | None:
        """Return the first patch that changed `file` after `patch` did."""
        names = [record.patch.name for record in self.records]
        after = self.records[names.index(patch) + 1 :] if patch in names else ()
        return next((record for record in after if record.file(file)), None)

    def without(self, patch: str) -> AppliedPatches:
        """Return the records but that of one patch."""
        return AppliedPatches(records=tuple(record for record in self.records if record.patch.name != patch))

    def with_record(self, new: AppliedPatch) -> AppliedPatches:
        """Return the records with one added at the end, or put in the place of the older one of the same patch."""
        if self.find(new.patch.name) is None:
            return AppliedPatches(records=(*self.records, new))
        return AppliedPatches(records=tuple(new if old.patch.name == new.patch.name else old for old in self.records))

    @property
    def contents(self) -> set[str]:
        """The SHA-256 of every content that is needed to revert a patch, or to show how its file was edited."""
        return {sha for record in self.records for file in record.files for sha in (file.before, file.after)}


class Store:
    """The record of applied patches inside one `tbe/impl`."""

    def __init__(self, impl: Path) -> None:
        self.impl = impl
        self.folder = impl / FOLDER
        self._objects = self.folder / "objects"

    @property
    def state(self) -> AppliedPatches:
        """Read which patches are applied. A change that was interrupted before its end does not count.

        Raises
        ------
        PatchError
            The record cannot be read or is damaged.
        """
        path = self.folder / RECORD
        try:
            return AppliedPatches.model_validate_json(read_bytes(path, MOST_TEXT_BYTES))
        except FileNotFoundError:
            return AppliedPatches()
        except (OSError, ValidationError) as error:
            raise PatchError(
                f"the record of applied patches cannot be read ({str(error).splitlines()[0]})",
                where=path,
                cure=f"the original files are in {self._objects}",
            ) from error

    @property
    def pending(self) -> set[Path]:
        """The files that an interrupted change may have left replaced; empty once it is undone."""
        return set(journal.pending_files(self.impl, self.folder))

    def content(self, sha256: str) -> bytes:
        """Return stored bytes of a file.

        Raises
        ------
        PatchError
            They are missing or no longer what they were.
        """
        path = self._objects / sha256
        try:
            raw = read_bytes(path, MOST_TEXT_BYTES)
        except OSError as error:
            raise PatchError(f"the stored file cannot be read: {error.strerror}", where=path) from error
        if digest(raw) != sha256:
            raise PatchError("the stored file is damaged, its SHA-256 is no longer its name", where=path)
        return raw

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock for reading and writing; a change that was interrupted is undone first.

        Raises
        ------
        PatchError
            Another process holds the lock for too long, or the folder cannot be written.
        """
        with ExitStack() as lock:
            self._acquire(lock)
            journal.recover(self.impl, self.folder)
            try:
                yield
            finally:
                self._tidy()

    @contextmanager
    def readable(self, *, half_changed: bool = False) -> Iterator[None]:
        """Hold the lock while reading; a tree that was never patched, or cannot be written, is read without it.

        Raises
        ------
        PatchError
            As `locked`; or a change was interrupted and this user cannot undo it, unless `half_changed` allows that.
        """
        if self.folder.exists() and os.access(self.folder, os.W_OK):
            with self.locked():
                yield
            return
        if self.pending and not half_changed:
            raise PatchError(
                "a change of the files here was interrupted",
                where=self.impl,
                cure="run `fastscnn-opt patch status` as the owner of the toolkit, which undoes it",
            )
        yield

    def commit(self, changes: Mapping[Path, bytes], state: AppliedPatches) -> None:
        """Change files and the record as one step that is undone where it is interrupted; needs the lock.

        Raises
        ------
        PatchError
            Something could not be written.
        """
        try:
            self._objects.mkdir(exist_ok=True)
            for path, content in changes.items():
                for raw in (read_bytes(path, MOST_TEXT_BYTES), content):
                    if digest(raw) in state.contents and not (self._objects / digest(raw)).exists():
                        write_atomically(self._objects / digest(raw), raw, like=path)
            journal.sync_folder(self._objects)
            journal.replace_files(self.impl, self.folder, changes, state.model_dump_json(indent=1).encode())
        except OSError as error:
            undone = not journal.is_pending(self.folder)
            raise PatchError(
                f"{error.strerror}",
                where=error.filename or self.folder,
                cure="nothing was changed" if undone else "run `fastscnn-opt patch status`, which undoes the change",
            ) from error
        for path in self._objects.iterdir():
            if path.name not in state.contents:
                path.unlink()

    def _tidy(self) -> None:
        """Remove the folder when nothing is recorded, so that a reverted tree is exactly what it was."""
        if journal.is_pending(self.folder) or self.state.records:
            return
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in (HOLDER, LOCK):
                path.unlink()
        # The lock goes last and while it is held: who waits for it finds it gone, and makes a new one.
        for name in (HOLDER, LOCK):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):  # somebody made a new lock in between, and will tidy up in turn
            self.folder.rmdir()

    def _acquire(self, lock: ExitStack) -> None:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                self.folder.mkdir(exist_ok=True)
                wait_s = max(0.01, deadline - time.monotonic())
                lock.enter_context(locked(self.folder, "patching this tree", PatchError, wait_s))
            except (FileNotFoundError, FileExistsError) as error:
                if not self.impl.is_dir():
                    raise PatchError("there is no such folder any more", where=self.impl) from error
                if self.folder.is_file() or self.folder.is_symlink():
                    raise PatchError(
                        "is no folder", where=self.folder, cure="move it away, our records go there"
                    ) from error
                if time.monotonic() > deadline:
                    raise PatchError(
                        "other processes are patching this tree", where=self.impl, cure="try again later"
                    ) from error
                time.sleep(0.01)  # whoever held the lock has removed the folder between two of our calls
            except OSError as error:
                raise PatchError(
                    f"cannot be written ({error.strerror})",
                    where=self.folder,
                    cure="run the command as the owner of the toolkit",
                ) from error
            else:
                return
