"""What every command of a worker has, and the state that it works on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args

from fastscnn_opt.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from fastscnn_opt.measuring.session import Session
    from fastscnn_opt.processes.server import ProgressReporter

Result = TypeVar("Result")


@dataclass
class WorkerState:
    """The state of a worker between commands: the opened artefact, and after the warm-up the function that times it.

    `emulated` says whether the artefact is one of a target that emulates a device. `feeds` are the inputs of the timed
    runs, and `streams` has such a function for each request at once.
    """

    progress: ProgressReporter
    session: Session | None = None
    emulated: bool = False
    timer: Callable[[int], list[float]] | None = None
    feeds: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    streams: list[Callable[[int], list[float]]] = field(default_factory=list)

    @property
    def opened(self) -> Session:
        """The opened artefact. Raises TargetError if there is none."""
        if self.session is None:
            raise TargetError("no artefact is open")
        return self.session


class Command(ABC, Generic[Result]):
    """A command; its fields are its arguments, and `name` is what messages call it."""

    name: ClassVar[str]

    @abstractmethod
    def run(self, state: WorkerState) -> Result:
        """Carry the command out, in the child process."""

    @classmethod
    def result_type(cls) -> Any:
        """Return the type of what `run` returns."""
        return get_args(cls.__orig_bases__[0])[0]  # type: ignore[attr-defined]  # which every generic class has
