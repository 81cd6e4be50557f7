"""Where rows are compiled, evaluated and timed: on this machine, or elsewhere."""

from __future__ import annotations

import platform
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from fastscnn_opt.errors import UserError
from fastscnn_opt.machine import available_memory_bytes, usable_cores
from fastscnn_opt.progress import Advance, ignore_progress
from fastscnn_opt.scoring.records import DEVICE_SEPARATOR
from fastscnn_opt.scoring.stages.evaluating import EvaluationOutcome, evaluate_all
from fastscnn_opt.scoring.stages.other_load import other_load
from fastscnn_opt.scoring.stages.patching import patched
from fastscnn_opt.scoring.stages.settings import Stage
from fastscnn_opt.scoring.stages.timing import Latencies, time_side_by_side
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.targets.base import CrossCompiler

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from pathlib import Path

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.scoring.effort import Effort
    from fastscnn_opt.scoring.stages.job import CompiledModel
    from fastscnn_opt.scoring.worker.counts import Evaluation
    from fastscnn_opt.targets.spec import TargetSpec


@dataclass(frozen=True)
class Compilation:
    """The file `model` is to be compiled to `artefact`; the output of a vendor tool goes to `log`.

    `name` stands for it in messages. `checkpoint` is what the model was exported from, if that is known.
    """

    name: str
    target: TargetSpec
    model: Path
    artefact: Path
    log: Path
    checkpoint: Path | None = None


@dataclass(frozen=True)
class TimedGroup:
    """The latencies of models that were timed side by side, or why each failed, and where that was.

    `busy_cores` says how many of the usable `cores` of the host other programs kept busy meanwhile. `device` is the
    accelerator that the engine ran on, or the processor; `DEVICE_SEPARATOR` separates those of several engines. What is
    not known is empty or 0.
    """

    results: Sequence[Latencies | UserError]
    busy_cores: float
    host: str
    device: str
    cores: int = 0

    @property
    def rounds(self) -> int:
        """The number of rounds; 0 if every model failed."""
        return max((len(result.samples_ms) for result in self.results if isinstance(result, Latencies)), default=0)


class Executor(Protocol):
    """Compiles, evaluates and times rows. Models are built, and records written, on this machine."""

    def missing(self, target: TargetSpec, stage: Stage) -> str:
        """Say what is missing for this part of the work; the empty text if nothing."""

    @property
    def usable_cores(self) -> int:
        """The threads that a row gets if nothing says how many."""

    def tool_versions(self, target: TargetSpec) -> dict[str, str]:
        """Return the versions of the tools of a target, see `Target.tool_versions`."""

    def available_memory_bytes(self, target: TargetSpec) -> int:
        """Return the memory that rows of a target can use together."""

    def compile(self, asked: Compilation, limits: Limits, worker: Worker | None = None) -> None:
        """Compile a model; `worker`, an idle child process of this machine, may do it.

        Raises
        ------
        UserError
            The compilation failed, crashed or hung.
        """

    def evaluate_all(
        self,
        models: Sequence[tuple[CompiledModel, Path | None]],
        source: DataSource,
        *,
        jobs: int,
        limits: Limits,
        on_image: Advance = ignore_progress,
    ) -> Generator[tuple[int, EvaluationOutcome], None, None]:
        """Yield the index and the outcome of each model as its evaluation ends; see `evaluating.evaluate_all`."""

    def time_groups(
        self,
        groups: Sequence[Sequence[CompiledModel]],
        effort: Effort,
        *,
        limits: Limits,
        on_start: Callable[[int], None],
        on_round: Callable[[int, int], None],
    ) -> Generator[tuple[int, TimedGroup], None, None]:
        """Time the models of each group side by side; yield the index of each group as it ends.

        `on_start` gets the index of a group that is timed now, and `on_round` that index and the number of rounds that
        there will be.
        """


def evaluate_one(
    executor: Executor,
    model: CompiledModel,
    source: DataSource,
    *,
    limits: Limits,
    on_image: Advance = ignore_progress,
) -> Evaluation:
    """Return the accuracy of one model on `source`. Raises the UserError that it ended with."""
    outcomes = executor.evaluate_all([(model, None)], source, jobs=1, limits=limits, on_image=on_image)
    with closing(outcomes):
        ((_, outcome),) = outcomes
    if isinstance(outcome.result, UserError):
        raise outcome.result
    return outcome.result


class ThisMachine:
    """Does all work in child processes of this one."""

    def missing(self, target: TargetSpec, stage: Stage) -> str:
        """Say what this machine lacks for a part of the work; the empty text if nothing."""
        opened = target.open()
        if isinstance(opened, CrossCompiler) and stage is not Stage.ALL:
            part = opened.can_compile() if stage is Stage.COMPILE else opened.can_run()
            return part.reason
        return opened.availability().reason

    @property
    def usable_cores(self) -> int:
        """The cores of this machine."""
        return usable_cores()

    def tool_versions(self, target: TargetSpec) -> dict[str, str]:
        """Return the versions of the tools of this machine."""
        return target.open().tool_versions()

    def available_memory_bytes(self, target: TargetSpec) -> int:
        """Return the memory that is available."""
        del target
        return available_memory_bytes()

    def compile(self, asked: Compilation, limits: Limits, worker: Worker | None = None) -> None:
        """Compile in `worker` or a new process, with the patches of the target applied."""
        if worker is None:
            with Worker(asked.name, asked.target, limits=limits) as own:
                self.compile(asked, limits, own)
            return
        with patched(asked.target):
            worker.compile(asked.target, asked.model, asked.artefact, asked.log, checkpoint=asked.checkpoint)

    def evaluate_all(
        self,
        models: Sequence[tuple[CompiledModel, Path | None]],
        source: DataSource,
        *,
        jobs: int,
        limits: Limits,
        on_image: Advance = ignore_progress,
    ) -> Generator[tuple[int, EvaluationOutcome], None, None]:
        """Evaluate `jobs` models at a time."""
        return evaluate_all(models, source, jobs=jobs, limits=limits, on_image=on_image)

    def time_groups(
        self,
        groups: Sequence[Sequence[CompiledModel]],
        effort: Effort,
        *,
        limits: Limits,
        on_start: Callable[[int], None],
        on_round: Callable[[int, int], None],
    ) -> Generator[tuple[int, TimedGroup], None, None]:
        """Time one group after the other."""
        for index, group in enumerate(groups):
            on_start(index)
            yield index, time_here(group, effort, limits, partial(on_round, index))


THIS_MACHINE = ThisMachine()
"""Where the work is done unless the user says otherwise."""


def time_here(
    group: Sequence[CompiledModel], effort: Effort, limits: Limits, on_round: Callable[[int], None]
) -> TimedGroup:
    """Time models side by side on this machine; `on_round` gets the number of rounds that there will be."""
    with other_load() as others:
        results = time_side_by_side(group, effort, limits=limits, on_round=lambda _, expected: on_round(expected))
    tools = [model.target.open().tool_versions() for model in group]
    devices = dict.fromkeys(found.get("gpu") or found.get("cpu") or "" for found in tools)
    device = DEVICE_SEPARATOR.join(filter(None, devices))
    return TimedGroup(results, others.busy_cores, platform.node(), device, usable_cores())
