"""The interface of a target, which compiles a model to an artefact and runs the artefact on batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from fastscnn_opt.errors import TargetError

if TYPE_CHECKING:
    from pathlib import Path

    from fastscnn_opt.linting.rules import RuleSet
    from fastscnn_opt.measuring.session import Session


@dataclass(frozen=True)
class Availability:
    """Whether a target works on this machine: its version and what it offers, or what is missing and how to get it."""

    available: bool
    version: str = ""
    offers: str = ""
    missing: str = ""
    cure: str = ""

    @property
    def reason(self) -> str:
        """One sentence on what is missing and how to get it; empty when the target is available."""
        return "" if self.available else f"{self.missing}: {self.cure}"

    def error(self, where: object) -> TargetError:
        """Return the error of a target that is needed at `where` and not available."""
        return TargetError(self.missing, where=where, cure=self.cure)


class Target(Protocol):
    """An engine or a vendor toolchain: a frozen dataclass whose fields are the target's options."""

    name: ClassVar[str]
    artefact_suffix: ClassVar[str]

    def availability(self) -> Availability:
        """Tell whether this target can compile and run here."""

    def tool_versions(self) -> dict[str, str]:
        """Return everything on which an artefact and its figures depend, the machine included where that matters."""

    def compile(self, model: Path, artefact: Path, log: Path) -> None:
        """Compile the ONNX file `model` to `artefact`; the tool's output goes to `log`. Raises TargetError.

        Files that belong to the artefact lie beside it under its name and one more suffix.
        """

    def open(self, artefact: Path) -> Session:
        """Open a compiled artefact. Raises TargetError."""


@runtime_checkable
class MultiDeviceTarget(Protocol):
    """A target that measures one device of a card with several."""

    def fps_per_card(self, fps: float) -> float:
        """Return images per second of a card from those of one device."""


@runtime_checkable
class CrossCompiler(Protocol):
    """A target that can compile on a machine which cannot run the result."""

    def can_compile(self) -> Availability:
        """Tell whether this target can compile here."""

    def can_run(self) -> Availability:
        """Tell whether this target can run here what was compiled elsewhere."""


@runtime_checkable
class RunsCheckpoint(Protocol):
    """A target that runs the checkpoint of a network itself, and not the model that was exported from it."""

    def compile_checkpoint(self, checkpoint: Path, model: Path, artefact: Path) -> None:
        """Write `artefact` from a checkpoint, which `open` then opens. Raises TargetError.

        Its inputs and outputs are those of the ONNX file `model`, which was exported from the checkpoint.
        """


@runtime_checkable
class NeedsEnvironment(Protocol):
    """A target that runs only in a process which was started with certain environment variables."""

    def environment(self) -> dict[str, str]:
        """Return these variables and their values."""


@runtime_checkable
class RunsStreams(Protocol):
    """A target that holds `threads` for each session by itself, so that several can run at once in a process."""

    threads: int | None
    runs_streams: ClassVar[bool]


@runtime_checkable
class HasLintRules(Protocol):
    """A target with rules about what it runs slowly, differently or not at all."""

    def lint_rules(self) -> RuleSet | None:
        """Return the rules; None if this target has none after all."""


@runtime_checkable
class Emulator(Protocol):
    """A target that computes what another device would; its accuracy is marked, and it is never timed."""

    emulates: ClassVar[str]
    """The name of that device."""
