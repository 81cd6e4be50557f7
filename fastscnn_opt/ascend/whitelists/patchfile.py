"""White-list patches as data: the TOML files that say which shapes go into which statement of which operator source."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from fastscnn_opt.ascend.chip import FROM_NCHW, TO_NCHW
from fastscnn_opt.ascend.whitelists.conditions import normal_form
from fastscnn_opt.errors import PatchError
from fastscnn_opt.schema import Strict, parse_toml, read_text, write_toml
from fastscnn_opt.text import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastscnn_opt.ascend.chip import ListedShape

Shape = tuple[Annotated[int, Field(ge=1, strict=True)], ...]
"""One entry of a white list: the extents of a tensor, in the order of its format (N, C, H, W for TransData)."""

TRANS_DATA_FUNCTIONS = (TO_NCHW, FROM_NCHW)
"""Functions whose white lists hold the 4-D side of the transformation; they reject other ranks before the test."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
"""What a patch may be called: one word that is also a good file name."""

MAX_RANK = 8
"""Most axes a tensor of the vendor's operators can have."""


class WhiteListEntry(Strict):
    """One shape to list, and why it is worth listing."""

    shape: Shape
    why: Annotated[str, Field(min_length=1)]


class Edit(Strict):
    """The shapes to add to one white list, and the statement that holds it.

    The statement is either an ``if`` or ``elif`` whose condition is exactly `conjuncts`, one of which is ``NAME in
    [...]``, or the assignment of a list of shapes to the name `assigned`. Both are looked for inside `function` of
    `file` (a path below ``tbe/impl``). `called_from` names the file beside it that has to call ``<module>.<function>(``
    for the list to have any effect.
    """

    file: str
    function: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    conjuncts: tuple[str, ...] = ()
    assigned: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    called_from: str | None = None
    note: str = ""
    entries: tuple[WhiteListEntry, ...]

    @field_validator("file", "called_from")
    @classmethod
    def _below_impl(cls, path: str | None) -> str | None:
        parts = PurePosixPath(path or "").parts
        if path is not None and (not path.endswith(".py") or path.startswith("/") or ".." in parts or "\\" in path):
            raise ValueError("must be the path of a .py file below tbe/impl")
        return path

    @field_validator("conjuncts")
    @classmethod
    def _expressions(cls, conjuncts: tuple[str, ...]) -> tuple[str, ...]:
        for text in conjuncts:
            try:
                normal_form(text)
            except SyntaxError as error:
                raise ValueError(f"{text!r} is not a Python expression: {error.msg}") from error
        return conjuncts

    @model_validator(mode="after")
    def _one_statement(self) -> Self:
        if (self.assigned is None) == (not self.conjuncts):
            raise ValueError("needs either 'conjuncts' or 'assigned' to describe the statement")
        if self.conjuncts and sum(text.endswith(" in [...]") for text in self.condition) != 1:
            raise ValueError("'conjuncts' needs exactly one test of the form 'NAME in [...]'")
        return self

    @model_validator(mode="after")
    def _fitting_shapes(self) -> Self:
        seen = set()
        for shape in self.shapes:
            if self.function in TRANS_DATA_FUNCTIONS and len(shape) != 4:
                raise ValueError(
                    f"shape {list(shape)} has {len(shape)} axes, but {self.function} compares the 4-D shape N, C, H, W "
                    f"and rejects every other rank before that test, so it would never match"
                )
            if not 1 <= len(shape) <= MAX_RANK:
                raise ValueError(f"shape {list(shape)} needs 1 to {MAX_RANK} axes")
            if shape in seen:
                raise ValueError(f"shape {list(shape)} is listed twice")
            seen.add(shape)
        return self

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of the entries, in order."""
        return tuple(entry.shape for entry in self.entries)

    @property
    def condition(self) -> tuple[str, ...]:
        """The normal forms of the conjuncts, sorted."""
        return tuple(sorted(normal_form(text) for text in self.conjuncts))

    @property
    def list_name(self) -> str:
        """The name that is compared with the list, or that the list is bound to."""
        if self.assigned is not None:
            return self.assigned
        return next(text.removesuffix(" in [...]") for text in self.condition if text.endswith(" in [...]"))

    @property
    def call(self) -> str:
        """The call that gives the list its effect, such as ``five_2_four.five_2_four``."""
        return f"{PurePosixPath(self.file).stem}.{self.function}"

    def with_shapes(self, shapes: tuple[tuple[int, ...], ...]) -> Edit:
        """Return the same edit with only those of its entries whose shape is in `shapes`."""
        return self.model_copy(update={"entries": tuple(entry for entry in self.entries if entry.shape in shapes)})


class Patch(Strict):
    """A named set of edits that is applied and reverted as one."""

    name: Annotated[str, Field(pattern=NAME)]
    summary: Annotated[str, Field(min_length=1)]
    versions: Annotated[tuple[str, ...], Field(min_length=1)]
    why: str = ""
    edits: Annotated[tuple[Edit, ...], Field(min_length=1)]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the patch edits, each once, in order."""
        return tuple(dict.fromkeys(edit.file for edit in self.edits))

    @property
    def listed(self) -> frozenset[ListedShape]:
        """What the patch puts on white lists: functions and shapes."""
        return frozenset((edit.function, shape) for edit in self.edits for shape in edit.shapes)

    @property
    def entry_count(self) -> int:
        """How many shapes the patch lists."""
        return sum(len(edit.entries) for edit in self.edits)

    def to_json(self) -> dict[str, Any]:
        """Return what `patch list` prints of the patch: its name, summary, versions, files and number of entries."""
        return {
            "name": self.name,
            "summary": self.summary,
            "versions": list(self.versions),
            "files": list(self.files),
            "entries": self.entry_count,
        }

    def edits_of(self, file: str) -> tuple[Edit, ...]:
        """Return the edits of one file."""
        return tuple(edit for edit in self.edits if edit.file == file)

    def made_for(self, version: str) -> bool:
        """Tell whether `version` of CANN, such as ``5.0.2.alpha003``, is one of `versions` or a pre-release of it."""
        return any(version == known or version.startswith(f"{known}.") for known in self.versions)


def shipped() -> dict[str, Patch]:
    """Read every patch that comes with the project, by name.

    Raises
    ------
    PatchError
        One of them cannot be read.
    """
    patches = {}
    for resource in sorted(resources.files("fastscnn_opt.patches").iterdir(), key=lambda item: item.name):
        if resource.name.endswith(".toml"):
            patch = parse(resource.read_text(encoding="utf-8"), resource.name)
            patches[patch.name] = patch
    return patches


def shipped_shapes() -> dict[ListedShape, str]:
    """Return everything that the shipped patches put on white lists, with the name of the patch. Raises PatchError."""
    return {listed: patch.name for patch in shipped().values() for listed in patch.listed}


def find(name_or_path: str, others: Iterable[Patch] = ()) -> Patch:
    """Return the patch that a user names: a path that ends in ``.toml``, or the name of a shipped one or of `others`.

    Raises
    ------
    PatchError
        There is no such patch, or its file cannot be read.
    """
    if name_or_path.endswith(".toml"):
        return load(Path(name_or_path))
    known = {patch.name: patch for patch in others} | shipped()
    if name_or_path in known:
        return known[name_or_path]
    raise PatchError(
        f"there is no patch {name_or_path!r}",
        cure=f"a path to a patch of your own ends in .toml; {nearest(name_or_path, known)}",
    )


def load(path: Path) -> Patch:
    """Read a patch from a TOML file.

    Raises
    ------
    PatchError
        The file is missing, is not TOML, has an unknown key, lacks one, or holds a value that cannot be used.
    """
    return parse(read_text(path, "patch", PatchError), str(path))


def parse(text: str, source: str) -> Patch:
    """Turn TOML text into a patch; `source` names it in errors.

    Raises
    ------
    PatchError
        The text is not TOML, has an unknown key, lacks one, or holds a value that cannot be used.
    """
    return parse_toml(text, source, Patch, PatchError)


def to_toml(patch: Patch) -> str:
    """Write a patch as TOML that `parse` reads back to an equal patch, without characters that control a terminal."""
    text = write_toml(patch.model_dump(exclude_defaults=True))
    return "".join(sign if sign.isprintable() or sign == "\n" else f"\\U{ord(sign):08x}" for sign in text)


def name_from(path: Path) -> str:
    """Return a name for a patch that is made from, or goes to, a file."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", path.stem).strip("._+-") or "derived"
