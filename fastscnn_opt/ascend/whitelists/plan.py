"""Work out what applying a patch does to each of its files, without writing anything."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastscnn_opt.ascend.toolkit import version_in
from fastscnn_opt.ascend.whitelists.journal import digest
from fastscnn_opt.ascend.whitelists.operator_source import OperatorSource
from fastscnn_opt.errors import PatchError
from fastscnn_opt.files import MOST_TEXT_BYTES, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from fastscnn_opt.ascend.whitelists.operator_source import Statement
    from fastscnn_opt.ascend.whitelists.patchfile import Edit, Patch
    from fastscnn_opt.ascend.whitelists.records import AppliedPatch, AppliedPatches


@dataclass(frozen=True)
class FileChange:
    """What applying or reverting a patch does to one file.

    `added` and `removed` hold the shapes that go in or out, `already` those that were listed before. `line` is the line
    of the statement in the file before the change, None where the original bytes are put back without looking for it.
    `edits` are those of the patch, reduced to the entries in `added`.
    """

    file: str
    before: bytes
    after: bytes
    line: int | None = None
    added: tuple[tuple[int, ...], ...] = ()
    already: tuple[tuple[int, ...], ...] = ()
    removed: tuple[tuple[int, ...], ...] = ()
    edits: tuple[Edit, ...] = ()

    @property
    def diff(self) -> str:
        """The change as a unified diff; empty where nothing changes."""
        return unified_diff(self.file, self.before, self.after)

    def to_json(self) -> dict[str, Any]:
        """Return the change as `patch apply` and `patch revert` print it."""
        return {
            "file": self.file,
            "changed": self.before != self.after,
            "line": self.line,
            "added": [list(shape) for shape in self.added],
            "already": [list(shape) for shape in self.already],
            "removed": [list(shape) for shape in self.removed],
        }


def unified_diff(file: str, before: bytes, after: bytes) -> str:
    """Return the difference of two contents of a file as a unified diff."""
    old, new = (raw.decode("utf-8", errors="replace").splitlines(keepends=True) for raw in (before, after))
    lines = difflib.unified_diff(old, new, fromfile=f"a/{file}", tofile=f"b/{file}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def plan(impl: Path, patch: Patch, state: AppliedPatches) -> list[FileChange]:
    """Return what applying a patch does to each of its files.

    Raises
    ------
    PatchError
        A file is missing, cannot be parsed, or was edited since the patch was applied; a statement is not found or is
        not the only one; the function is no longer called, so that the patch would have no effect.
    """
    for edit in patch.edits:
        if reason := without_effect(impl, edit):
            raise PatchError(f"patching it would change nothing, because {reason}", where=edit.file)
    changes = [_planned(impl, patch, file) for file in patch.files]
    for change in changes:
        if change.added:
            _check_on_top(impl, patch, change, state)
    return changes


def without_effect(impl: Path, edit: Edit) -> str | None:
    """Return why a list has no effect in this tree: its function is no longer called. None where it has one.

    Raises
    ------
    PatchError
        The file that should call the function cannot be parsed.
    """
    if edit.called_from is None:
        return None
    caller = (impl / edit.file).parent / edit.called_from
    if not caller.is_file() or OperatorSource(read_bytes(caller, MOST_TEXT_BYTES), str(caller)).calls(edit.call):
        return None
    return f"{caller} no longer calls {edit.call} (as in releases since September 2021)"


def remarks(impl: Path, patch: Patch) -> list[str]:
    """Return remarks for the user on a patch in this tree that can be applied all the same."""
    found = []
    version = version_in(impl)
    if version is not None and not patch.made_for(version):
        found.append(f"{patch.name} was made for CANN {', '.join(patch.versions)}, and this tree is {version}")
    for edit in patch.edits:
        caller = (impl / edit.file).parent / (edit.called_from or edit.file)
        if not caller.is_file():
            found.append(f"{caller} is missing, so it cannot be told whether {edit.call} is still called")
    return found


def read(impl: Path, file: str) -> bytes:
    """Return the bytes of a file below `tbe/impl`.

    Raises
    ------
    PatchError
        It is missing or cannot be read.
    """
    try:
        return read_bytes(impl / file, MOST_TEXT_BYTES)
    except OSError as error:
        raise PatchError(f"cannot be read: {error.strerror}", where=impl / file) from error


def locate(impl: Path, edit: Edit) -> Statement:
    """Return the statement that an edit describes.

    Raises
    ------
    PatchError
        The file cannot be read, or the statement is not found or is not the only one.
    """
    return OperatorSource(read(impl, edit.file), str(impl / edit.file)).find(edit)


def later_patch_error(path: Path, later: AppliedPatch, name: str) -> PatchError:
    """Return the error that a file cannot be changed for the patch `name` while a later one is applied to it."""
    return PatchError(
        f"patch {later.patch.name!r} was applied to it after {name!r}", where=path, cure="revert that one first"
    )


def _planned(impl: Path, patch: Patch, file: str) -> FileChange:
    raw = read(impl, file)
    after = raw
    line = None
    added: list[tuple[int, ...]] = []
    already: list[tuple[int, ...]] = []
    edits = []
    for edit in patch.edits_of(file):
        statement = OperatorSource(after, str(impl / file)).find(edit)
        missing = tuple(shape for shape in edit.shapes if shape not in statement.shapes)
        already += [shape for shape in edit.shapes if shape in statement.shapes]
        line = statement.line if line is None else line
        if missing:
            after = statement.with_shapes(missing)
            added += missing
            edits.append(edit.with_shapes(missing))
    return FileChange(file, raw, after, line, tuple(added), tuple(already), edits=tuple(edits))


def _check_on_top(impl: Path, patch: Patch, change: FileChange, state: AppliedPatches) -> None:
    """Refuse to add entries to a file of an applied patch that something else has changed since."""
    record = state.find(patch.name)
    if record is None:
        return
    path = impl / change.file
    if (later := state.later_on(patch.name, change.file)) is not None:
        raise later_patch_error(path, later, patch.name)
    known = record.file(change.file)
    if known is not None and digest(change.before) not in (known.before, known.after):
        raise PatchError(
            f"was edited since {patch.name!r} was applied, and {len(change.added)} of its entries are gone",
            where=path,
            cure=(f"remove the others with `fastscnn-opt patch revert {patch.name} --own-entries`, then apply again"),
        )
