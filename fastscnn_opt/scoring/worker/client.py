"""A worker, which does the work of one row in a child process: the parent's side."""

from __future__ import annotations

import glob
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from fastscnn_opt.files import temporary_folder
from fastscnn_opt.processes.child import Child
from fastscnn_opt.processes.limits import DEFAULT_LIMITS, Limits
from fastscnn_opt.scoring.records import adapter
from fastscnn_opt.scoring.worker.commands import Compile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fastscnn_opt.scoring.worker.command import Command
    from fastscnn_opt.targets.spec import TargetSpec

Result = TypeVar("Result")

UNFINISHED = ".unfinished-"
"""Prefix of temporary folders beside artefacts; the next start of a run removes those of a killed process."""


class Worker:
    """Does the work of one row in a child process; use it as a context manager.

    Every method raises the UserError that the work raised, or `ChildCrashedError` or `ChildHungError` if the process
    crashes or goes beyond `limits`. `name` says in messages what the process works on; its output is appended to `log`.
    The process has the environment that `target` needs.
    """

    def __init__(
        self,
        name: str,
        target: TargetSpec | None = None,
        *,
        log: Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        environment = {} if target is None else target.environment()
        self._child = Child(
            "fastscnn_opt.scoring.worker.server", name=name, log=log, limits=limits, environment=environment
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def run(self, command: Command[Result], on_progress: Callable[[int], None] | None = None) -> Result:
        """Carry out a command and return its result; `on_progress` gets the steps done since its last call."""
        arguments: dict[str, Any] = adapter(type(command)).dump_python(command, mode="json")
        answer = self._child.request(command.name, on_progress=on_progress, **arguments)
        result: Result = adapter(command.result_type()).validate_python(answer["value"])
        return result

    def compile(
        self, target: TargetSpec, model: Path, artefact: Path, log: Path, *, checkpoint: Path | None = None
    ) -> None:
        """Compile `model` to `artefact` and the files that belong to it; the output of a vendor tool goes to `log`.

        A target that runs checkpoints compiles `checkpoint`, which the model was exported from.

        The files appear at their places only when all of them are written, the artefact as the last one.
        """
        with unfinished(artefact) as written:
            self.run(Compile(target, model, written, log, checkpoint))

    def pause(self) -> None:
        """Make every thread of the process stand still, so that it cannot disturb the timing of another."""
        self._child.pause()

    def resume(self) -> None:
        """Let a paused process run again."""
        self._child.resume()

    def close(self) -> None:
        """Let the process end by itself."""
        self._child.close()

    def kill(self) -> None:
        """End the process at once."""
        self._child.kill()


@contextmanager
def unfinished(artefact: Path) -> Iterator[Path]:
    """Yield where to write an artefact, and beside it the files that belong to it.

    They move to their places when the block ends well, the artefact as the last one.
    """
    with temporary_folder(artefact.parent, UNFINISHED, artefact.parent) as folder:
        written = folder / artefact.name
        yield written
        for companion in folder.glob(f"{glob.escape(artefact.name)}.*"):
            companion.replace(artefact.parent / companion.name)
        written.replace(artefact)
