"""Say of each file of a patch whether it is patched, and what stands in the way where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from fastscnn_opt.ascend.whitelists.plan import read, without_effect
from fastscnn_opt.ascend.whitelists.records import State, Store, digest
from fastscnn_opt.ascend.whitelists.source import Source
from fastscnn_opt.errors import PatchError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fastscnn_opt.ascend.whitelists.patchfile import Edit, Patch


class FileState(StrEnum):
    """How a file stands to a patch."""

    UNTOUCHED = "untouched"
    PATCHED = "patched"
    PARTLY_PATCHED = "partly patched"
    EDITED_SINCE = "edited since"
    NOT_FOUND = "statement not found"
    NO_EFFECT = "no effect"


@dataclass(frozen=True)
class EntryStatus:
    """One shape of a patch, and whether the white list holds it."""

    shape: tuple[int, ...]
    present: bool


@dataclass(frozen=True)
class FileStatus:
    """How one file stands to one patch, in one word and in one sentence, and which of the shapes are listed."""

    patch: str
    file: str
    state: FileState
    reason: str
    entries: tuple[EntryStatus, ...]


def status(impl: Path, patches: Iterable[Patch]) -> list[FileStatus]:
    """Return the status of every file of every given patch.

    Raises
    ------
    PatchError
        The record of applied patches cannot be read, or another process holds the tree.
    """
    store = Store(impl)
    with store.readable():
        state = store.state
        return [_file_status(impl, patch, file, state) for patch in patches for file in patch.files]


def applied(impl: Path) -> list[Patch]:
    """Return the patches that are applied to a tree, in the order in which they were applied.

    Raises
    ------
    PatchError
        The record of applied patches cannot be read.
    """
    return [record.patch for record in Store(impl).state.records]


def _file_status(impl: Path, patch: Patch, file: str, state: State) -> FileStatus:
    edits = patch.edits_of(file)
    absent = tuple(EntryStatus(shape, present=False) for edit in edits for shape in edit.shapes)
    try:
        raw = read(impl, file)
        idle = next((reason for edit in edits if (reason := without_effect(impl, edit))), None)
    except PatchError as error:
        return FileStatus(patch.name, file, FileState.NOT_FOUND, _one_line(error), absent)
    obstacle = None
    try:
        entries = _entries(impl, edits, file, raw)
    except PatchError as error:
        entries, obstacle = absent, _one_line(error)
    verdict, reason = _verdict(entries, idle=idle, obstacle=obstacle, edited=_edited(patch, file, raw, state))
    return FileStatus(patch.name, file, verdict, f"{reason}{_origin(patch, file, raw, entries, state)}", entries)


def _verdict(
    entries: tuple[EntryStatus, ...], *, idle: str | None, obstacle: str | None, edited: bool
) -> tuple[FileState, str]:
    present = sum(entry.present for entry in entries)
    count = obstacle or f"{present} of {len(entries)} entries are listed"
    if idle:
        return FileState.NO_EFFECT, f"{idle}; {count}"
    if edited:
        return FileState.EDITED_SINCE, f"the file is not what the patch made of it; {count}"
    if obstacle:
        return FileState.NOT_FOUND, obstacle
    if present == len(entries):
        return FileState.PATCHED, count
    return FileState.PARTLY_PATCHED if present else FileState.UNTOUCHED, count


def _origin(patch: Patch, file: str, raw: bytes, entries: tuple[EntryStatus, ...], state: State) -> str:
    record = state.of(patch.name)
    known = record.of(file) if record else None
    if known is not None and digest(raw) == known.before:
        return "; the original file was put back by other means"
    if known is None and any(entry.present for entry in entries):
        return "; they were not added by this patch, so there is nothing to revert"
    return ""


def _edited(patch: Patch, file: str, raw: bytes, state: State) -> bool:
    """Tell whether a recorded file is neither the original nor what this patch, or one on top of it, made of it."""
    record = state.of(patch.name)
    known = record.of(file) if record else None
    if known is None:
        return False
    made = {sha for other in state.records if (changed := other.of(file)) for sha in (changed.before, changed.after)}
    return digest(raw) not in made


def _entries(impl: Path, edits: tuple[Edit, ...], file: str, raw: bytes) -> tuple[EntryStatus, ...]:
    source = Source(raw, str(impl / file))
    found = [(edit, source.find(edit).shapes) for edit in edits]
    return tuple(EntryStatus(shape, shape in shapes) for edit, shapes in found for shape in edit.shapes)


def _one_line(error: PatchError) -> str:
    return " ".join(str(error).split())
