"""A row that is built and compiled, and what it takes to run it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastscnn_opt.scoring.worker.feeds import NOTHING, StatedInputs
from fastscnn_opt.targets.spec import TargetSpec

if TYPE_CHECKING:
    from pathlib import Path

    from fastscnn_opt.scoring.records import CompiledRecord, Keys, RowPlan


@dataclass(frozen=True)
class CompiledModel:
    """A compiled model and what it takes to run it in a process; the process appends its output to `log`.

    `name` stands for it in messages, and `model` is the file that was compiled. Without `batch` it runs at its own
    batch size. `stated` is what the description of the data states about the inputs.
    """

    name: str
    target: TargetSpec
    artefact: Path
    model: Path
    batch: int | None = None
    log: Path | None = None
    stated: StatedInputs = NOTHING


@dataclass(frozen=True)
class Job:
    """A row of a run that is built and compiled, and the keys under which its figures are recorded.

    `stated` is what the description of the data states about the inputs.
    """

    plan: RowPlan
    compiled: CompiledRecord
    keys: Keys
    folder: Path
    log: Path
    stated: StatedInputs = NOTHING

    @property
    def model(self) -> Path:
        """The built ONNX file."""
        return self.folder / self.compiled.model

    @property
    def target(self) -> TargetSpec:
        """The target, with the options that the row was compiled with."""
        return TargetSpec(TargetSpec.of(self.plan.target).name, self.compiled.options)

    @property
    def compiled_model(self) -> CompiledModel:
        """The compiled model, ready to be opened."""
        artefact = self.folder / self.compiled.artefact
        return CompiledModel(self.plan.label, self.target, artefact, self.model, self.plan.batch, self.log, self.stated)
