"""Apply and revert white-list patches: all files of a patch as one step."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.whitelists.journal import digest
from fastscnn_opt.ascend.whitelists.operator_source import OperatorSource
from fastscnn_opt.ascend.whitelists.plan import FileChange, later_patch_error, plan, read, unified_diff
from fastscnn_opt.ascend.whitelists.records import AppliedPatch, PatchedFile, Store
from fastscnn_opt.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fastscnn_opt.ascend.whitelists.patchfile import Patch


class EditedSinceError(PatchError):
    """A file is no longer what a patch made of it; `difference` shows, as a unified diff, how it was edited."""

    def __init__(self, what: str, *, where: object = "", cure: str = "", difference: str) -> None:
        super().__init__(what, where=where, cure=cure)
        self.difference = difference


def apply(impl: Path, patch: Patch, *, dry_run: bool = False) -> list[FileChange]:
    """Add the shapes of a patch that are missing, in all its files or in none.

    Returns one change per file; a file that has every shape already is not touched. With `dry_run` nothing is written.

    Raises
    ------
    PatchError
        As `plan`; or a file or folder cannot be written, or another process works on the tree. Nothing is changed then.
    """
    store = Store(impl)
    with store.readable():  # a patch that is refused leaves no trace, not even that of a lock
        changes = plan(impl, patch, store.state)
    if dry_run or all(change.before == change.after for change in changes):
        return changes
    check_writable(impl, patch.files)
    with store.locked():
        if any(read(impl, change.file) != change.before for change in changes):
            changes = plan(impl, patch, store.state)
        _write(store, patch, changes)
    return changes


def revert(impl: Path, name: str, *, own_entries: bool = False, dry_run: bool = False) -> list[FileChange]:
    """Put back the original bytes of every file that a patch changed.

    Returns one change per file, and none where the patch is not applied. With `own_entries`, a file that was edited
    since loses only the entries that the patch added, and keeps the edits. With `dry_run` nothing is written.

    Raises
    ------
    EditedSinceError
        A file was edited since, and `own_entries` is not set. Nothing is changed.
    PatchError
        Another patch was applied to the same file later, or the tree cannot be written. Nothing is changed.
    """
    store = Store(impl)
    with store.readable():
        record = store.state.find(name)
        if record is None:
            return []
        changes = _plan_revert(store, record, own_entries=own_entries)
        if not dry_run:
            check_writable(impl, [change.file for change in changes])
            store.commit(_contents(impl, changes), store.state.without(name))
    return changes


def undo_interrupted(impl: Path) -> None:
    """Undo a change of the files that was interrupted; does nothing where there is none.

    Raises
    ------
    PatchError
        There is one, and this user cannot write to the tree.
    """
    with Store(impl).readable():
        pass


def made_or_planned(impl: Path, patch: Patch) -> list[FileChange]:
    """Return the change that a patch made to each file, or the one it would make where it is not applied.

    Raises
    ------
    PatchError
        As `plan`.
    """
    store = Store(impl)
    with store.readable():
        record = store.state.find(patch.name)
        if record is None:
            return plan(impl, patch, store.state)
        return [FileChange(known.file, store.content(known.before), read(impl, known.file)) for known in record.files]


def check_writable(impl: Path, files: Sequence[str]) -> None:
    """Check, before any change, that this user can replace the files of a tree and keep their mode and owner.

    Raises
    ------
    PatchError
        A folder is read-only, a file belongs to somebody else, or lies on another file system.
    """
    paths = [(impl / file).resolve() for file in files]
    for folder in sorted({impl, *(path.parent for path in paths)}):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PatchError(
                "this folder cannot be written", where=folder, cure="run the command as the owner of the toolkit"
            )
        if folder.stat().st_dev != impl.stat().st_dev:
            raise PatchError(
                f"lies on another file system than {impl}", where=folder, cure="the two cannot be changed as one step"
            )
    for path in paths:
        if path.exists() and os.geteuid() not in (0, path.stat().st_uid):
            raise PatchError(
                f"belongs to another user (uid {path.stat().st_uid})", where=path, cure="run the command as that user"
            )


def _write(store: Store, patch: Patch, changes: Sequence[FileChange]) -> None:
    state = store.state
    record = state.find(patch.name)
    files = []
    for change in changes:
        old = record.file(change.file) if record else None
        if not change.edits:
            files += [old] if old is not None else []
        elif old is not None and digest(change.before) == old.after:
            # What was added earlier stays on record, so that the revert still goes back to the original.
            files.append(old.model_copy(update={"after": digest(change.after), "added": (*old.added, *change.edits)}))
        else:
            hashes = {"before": digest(change.before), "after": digest(change.after)}
            files.append(PatchedFile(file=change.file, added=change.edits, **hashes))
    new = AppliedPatch(patch=patch, applied=datetime.now(UTC).isoformat(timespec="seconds"), files=tuple(files))
    store.commit(_contents(store.impl, changes), state.with_record(new))


def _contents(impl: Path, changes: Sequence[FileChange]) -> dict[Path, bytes]:
    return {(impl / change.file).resolve(): change.after for change in changes if change.before != change.after}


def _plan_revert(store: Store, record: AppliedPatch, *, own_entries: bool) -> list[FileChange]:
    name = record.patch.name
    changes: list[FileChange] = []
    differences: list[str] = []
    for known in record.files:
        path = store.impl / known.file
        if (later := store.state.later_on(name, known.file)) is not None:
            raise later_patch_error(path, later, name)
        now = read(store.impl, known.file)
        if digest(now) == known.after:
            removed = tuple(shape for edit in known.added for shape in edit.shapes)
            changes.append(FileChange(known.file, now, store.content(known.before), removed=removed))
        elif digest(now) == known.before:
            changes.append(FileChange(known.file, now, now))
        elif own_entries:
            changes.append(_without_entries(path, known, now))
        else:
            differences.append(unified_diff(known.file, store.content(known.after), now))
    if differences:
        raise EditedSinceError(
            f"{len(differences)} of the files that {name!r} changed were edited since, so nothing was reverted",
            cure="to remove only the entries of the patch and keep the edits: "
            f"fastscnn-opt patch revert {name} --own-entries --root {store.impl}",
            difference="".join(differences),
        )
    return changes


def _without_entries(path: Path, known: PatchedFile, now: bytes) -> FileChange:
    after = now
    removed: list[tuple[int, ...]] = []
    line = None
    for edit in known.added:
        statement = OperatorSource(after, str(path)).find(edit)
        present = tuple(shape for shape in edit.shapes if shape in statement.shapes)
        line = statement.line if line is None else line
        if present:
            after = statement.without_shapes(present)
            removed += present
    return FileChange(known.file, now, after, line, removed=tuple(removed))
