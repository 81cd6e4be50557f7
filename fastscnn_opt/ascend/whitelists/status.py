"""Report for each file of a patch whether it is patched, and if not, what prevents it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from fastscnn_opt.ascend.chip import LATER_EDITION, WHITE_LIST_RELEASES, has_white_lists
from fastscnn_opt.ascend.toolkit import cann_version
from fastscnn_opt.ascend.whitelists.journal import digest
from fastscnn_opt.ascend.whitelists.operator_source import OperatorSource
from fastscnn_opt.ascend.whitelists.patchfile import find, shipped
from fastscnn_opt.ascend.whitelists.plan import read, without_effect
from fastscnn_opt.ascend.whitelists.records import Store
from fastscnn_opt.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from fastscnn_opt.ascend.whitelists.patchfile import Edit, Patch
    from fastscnn_opt.ascend.whitelists.records import AppliedPatches


class FileState(StrEnum):
    """The state of a file with respect to a patch."""

    UNTOUCHED = "untouched"
    PATCHED = "patched"
    PARTLY_PATCHED = "partly patched"
    EDITED_SINCE = "edited since"
    NOT_FOUND = "statement not found"
    NO_EFFECT = "no effect"
    PENDING = "pending"
    """A change was interrupted that this user cannot undo, so the file may be replaced while others are not."""


@dataclass(frozen=True)
class EntryStatus:
    """One shape of a patch, and whether the white list holds it."""

    shape: tuple[int, ...]
    present: bool


@dataclass(frozen=True)
class FileStatus:
    """The state of one file with respect to one patch, in a word and a sentence, and which shapes are listed."""

    patch: str
    file: str
    state: FileState
    reason: str
    entries: tuple[EntryStatus, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the status as `patch status` prints it."""
        return {
            "file": self.file,
            "state": self.state.value,
            "reason": self.reason,
            "entries": [{"shape": list(entry.shape), "present": entry.present} for entry in self.entries],
            "patch": self.patch,
        }


def status(impl: Path, patches: Iterable[Patch]) -> list[FileStatus]:
    """Return the status of every file of every given patch.

    Raises
    ------
    PatchError
        The record of applied patches cannot be read, or another process holds the tree.
    """
    store = Store(impl)
    with store.readable(half_changed=True):
        state, pending = store.state, store.pending
        rows = [_file_status(impl, patch, file, state) for patch in patches for file in patch.files]
    release = cann_version(impl)
    if release != "unknown" and not has_white_lists(release):
        advice = f"the toolkit is CANN {release}, and white lists are of {WHITE_LIST_RELEASES}: {LATER_EDITION}"
        rows = [replace(row, reason=f"{row.reason}; {advice}") for row in rows]
    return [_as_pending(row) if (impl / row.file).resolve() in pending else row for row in rows]


def applied(impl: Path) -> list[Patch]:
    """Return the patches that are applied to a tree, in the order in which they were applied.

    Raises
    ------
    PatchError
        The record of applied patches cannot be read.
    """
    return [record.patch for record in Store(impl).state.records]


def known_patches(impl: Path | None) -> dict[str, Patch]:
    """Return the shipped patches and, where there is a tree, those that are applied to it, by name.

    Raises
    ------
    PatchError
        A shipped patch or the record of applied patches cannot be read.
    """
    return shipped() | ({patch.name: patch for patch in applied(impl)} if impl else {})


def find_patch(name_or_path: str, impl: Path | None) -> Patch:
    """Return the patch a user means, as `find` does; one that is applied to the tree is known by its name, too."""
    return find(name_or_path, applied(impl) if impl else ())


def status_of(impl: Path, names: Sequence[str]) -> list[FileStatus]:
    """Return the status of the patches that are named; without names those that are applied, else all shipped.

    Raises
    ------
    PatchError
        There is no such patch, or as `status`.
    """
    return status(impl, [find_patch(name, impl) for name in names] or applied(impl) or shipped().values())


def _as_pending(row: FileStatus) -> FileStatus:
    reason = "a change of the files was interrupted; `fastscnn-opt patch status` as the owner of the toolkit undoes it"
    return replace(row, state=FileState.PENDING, reason=reason)


def _file_status(impl: Path, patch: Patch, file: str, state: AppliedPatches) -> FileStatus:
    edits = patch.edits_of(file)
    absent = tuple(EntryStatus(shape, present=False) for edit in edits for shape in edit.shapes)
    try:
        raw = read(impl, file)
        ineffective = next((reason for edit in edits if (reason := without_effect(impl, edit))), None)
    except PatchError as error:
        return FileStatus(patch.name, file, FileState.NOT_FOUND, _one_line(error), absent)
    obstacle = None
    try:
        entries = _entries(impl, edits, file, raw)
    except PatchError as error:
        entries, obstacle = absent, _one_line(error)
    present = sum(entry.present for entry in entries)
    count = obstacle or f"{present} of {len(entries)} entries are listed"
    record = state.find(patch.name)
    known = record.file(file) if record else None
    if ineffective:
        verdict, reason = FileState.NO_EFFECT, f"{ineffective}; {count}"
    elif known is not None and digest(raw) not in _made(file, state):
        verdict, reason = FileState.EDITED_SINCE, f"the file is not what the patch made of it; {count}"
    elif obstacle:
        verdict, reason = FileState.NOT_FOUND, count
    elif present == len(entries):
        verdict, reason = FileState.PATCHED, count
    else:
        verdict, reason = FileState.PARTLY_PATCHED if present else FileState.UNTOUCHED, count
    if known is not None and digest(raw) == known.before:
        reason += "; the original file was put back by other means"
    elif known is None and present:
        reason += "; they were not added by this patch, so there is nothing to revert"
    return FileStatus(patch.name, file, verdict, reason, entries)


def _made(file: str, state: AppliedPatches) -> set[str]:
    """Return the SHA-256 of the original of a file, and of all that the applied patches made of it."""
    changed = [known for record in state.records if (known := record.file(file))]
    return {sha for known in changed for sha in (known.before, known.after)}


def _entries(impl: Path, edits: tuple[Edit, ...], file: str, raw: bytes) -> tuple[EntryStatus, ...]:
    source = OperatorSource(raw, str(impl / file))
    found = [(edit, source.find(edit).shapes) for edit in edits]
    return tuple(EntryStatus(shape, shape in shapes) for edit, shapes in found for shape in edit.shapes)


def _one_line(error: PatchError) -> str:
    return " ".join(str(error).split())
