"""Errors that a user can cause, and the exit code each one ends the command with.

A message is one clear sentence: in which file, node or option, what is wrong, and how to mend it. Anything that is not
one of these classes is a bug of this project and keeps its traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self

from fastscnn_opt.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class UserError(Exception):
    """A mistake or a bad input, with what the user needs to know to mend it.

    Parameters
    ----------
    what
        What is wrong.
    where
        The file, node or option in which it is wrong; the message begins with it. A caller that knows a better name
        for the place, such as the user's file behind a temporary copy, sets `where` and raises the error again.
    cure
        How to mend it; the message ends with it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: object = "", cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = str(where)
        self.cure = cure

    def __str__(self) -> str:
        place = f"{printable(self.where)}: " if self.where else ""
        return f"{place}{self.what}{f'; {self.cure}' if self.cure else ''}"

    @property
    def lines(self) -> list[str]:
        """The messages: one, but for an error that stands for several."""
        return [str(self)]

    def within(self, place: object) -> Self:
        """Put a larger place in front of `where`, and return the error, to be raised again."""
        self.where = f"{place}: {self.where}" if self.where else str(place)
        return self


class ModelError(UserError):
    """A file that is not a usable ONNX model, or a model a step cannot work on."""


class PipelineError(UserError):
    """A pipeline text that does not parse or names an unknown pass, option or value."""


class PassError(UserError):
    """A pass that cannot do its work on this model."""


class RegistryError(UserError):
    """An installed pass or target that cannot be loaded, or two that claim one name."""


class CheckpointError(UserError):
    """A checkpoint that cannot be read or does not fit the network."""


class DataError(UserError):
    """A dataset, an image, a label or a dump that cannot be used."""


class TargetError(UserError):
    """A target that is not available here, or that failed to compile or run a model."""


class RunError(UserError):
    """A variants file or a run folder that cannot be used."""


class ClusterError(UserError):
    """A cluster that cannot be used, or that has lost work."""


class PatchError(UserError):
    """A white-list patch that cannot be read, applied or reverted."""


class CheckFailedError(UserError):
    """A check that ran and said no: contract breach, accuracy gate, lint errors."""

    exit_code: ClassVar[int] = 3


class Breach(NamedTuple):
    """What is beyond a limit of a gate: the row or the file, and what is wrong with it."""

    where: str
    what: str


class GateError(CheckFailedError):
    """Results beyond the limits of a gate; the message has a line for each of the `breaches`."""

    breaches: tuple[Breach, ...] = ()

    @classmethod
    def of(cls, breaches: Sequence[Breach]) -> Self:
        """Return the error for these breaches."""
        error = cls("\n".join(map(_line, breaches)))
        error.breaches = tuple(breaches)
        return error

    @property
    def lines(self) -> list[str]:
        """The messages, one for each breach."""
        return list(map(_line, self.breaches)) or super().lines


def _line(breach: Breach) -> str:
    return f"{printable(breach.where)}: {breach.what}"


class ContractBreachError(CheckFailedError):
    """A pass that broke its promise.

    Attributes
    ----------
    folder
        Where ``before.onnx``, ``after.onnx`` and ``inputs.npz`` are, which show it; None in an error that came from
        another process, whose message names the folder.
    """

    def __init__(self, what: str, *, where: object = "", cure: str = "", folder: Path | None = None) -> None:
        super().__init__(what, where=where, cure=cure)
        self.folder = folder
