"""Errors that a user can cause, and the exit code each one ends the command with.

Every message is one clear sentence: what is wrong, in which file, node or option, and how to mend it. Anything that is
not one of these classes is a bug of this project and keeps its traceback.
"""

from __future__ import annotations

import errno
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class UserError(Exception):
    """A mistake or a bad input that its message tells the user how to mend."""

    exit_code: ClassVar[int] = 1


class ModelError(UserError):
    """A file that is not a usable ONNX model, or a model a step cannot work on."""


class PipelineError(UserError):
    """A pipeline text that does not parse or names an unknown pass, option or value."""


class PassError(UserError):
    """A pass that cannot do its work on this model."""


class RegistryError(UserError):
    """An installed pass that cannot be loaded, or two that claim one name."""


class CheckpointError(UserError):
    """A checkpoint that cannot be read or does not fit the network."""


class DataError(UserError):
    """A dataset, an image, a label or a dump that cannot be used."""


class TargetError(UserError):
    """A target that is not available here, or that failed to compile or run a model."""


class RunError(UserError):
    """A variants file or a run folder that cannot be used."""


class PatchError(UserError):
    """A white-list patch that cannot be read, applied or reverted."""


class CheckFailedError(UserError):
    """A check that ran and said no: contract breach, accuracy gate, lint errors."""

    exit_code: ClassVar[int] = 3


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence for an unknown name, with the nearest valid one, or all when none is near."""
    names = list(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
    return f"unknown {what} {name!r}; {hint}"


def counted(count: int, thing: str, things: str | None = None) -> str:
    """Return a number with its noun: ``1 row``, ``2 rows``; `things` is the plural where an s does not make it."""
    return f"{count} {thing if count == 1 else things or f'{thing}s'}"


def printable(text: str) -> str:
    """Return `text`, such as a name from a model, on one line and without characters that control a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def printable_lines(text: str) -> str:
    """Return `text` without characters that control a terminal, but with its lines and tabs."""
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


_CURES = {
    errno.ENOSPC: "free some space there, or choose another disk",
    errno.EDQUOT: "free some space there, or choose another disk",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "check its permissions, or choose another place",
    errno.ENOENT: "check the path, or create the folder first",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "give the path of a file",
}
"""How a person mends what the system refused."""


def describe_os_error(error: OSError) -> str:
    """Return an error of the operating system as one sentence: the file, what is wrong, and how to mend it."""
    where = f"{error.filename}: " if error.filename else ""
    cure = f"; {_CURES[error.errno]}" if error.errno in _CURES else ""
    return f"{where}{error.strerror or error}{cure}"
