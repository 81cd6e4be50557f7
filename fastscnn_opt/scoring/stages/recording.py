"""Records how the rows of a run ended, and which of them are finished."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fastscnn_opt.machine import versions
from fastscnn_opt.model.saving import files_of
from fastscnn_opt.scoring.records import Keys, RowRecord, Status, key_of, now

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fastscnn_opt.processes.limits import Limits
    from fastscnn_opt.scoring.records import RowPlan
    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.scoring.stages.job import Job


@dataclass(frozen=True)
class Recorder:
    """Appends the records of rows to `run`, and says with `note` which rows failed.

    `source` and `data` are the keys of the model and the images. `verify` says whether the contracts of passes are
    checked. `limits` are the limits of the child processes.
    """

    run: OpenRun
    source: str
    data: str
    verify: bool
    limits: Limits
    note: Callable[[str], None]

    def finished(self, job: Job) -> RowRecord | None:
        """Return the last record of a row if it holds the accuracy of the model that the row has now; else None."""
        last = self.run.last(job.plan.identity)
        return last if last is not None and last.status is Status.OK and last.keys == job.keys else None

    def is_finished(self, job: Job) -> bool:
        """Return whether the accuracy of a row is recorded; copy the record of a row with the same model if need be."""
        if self.finished(job):
            return True
        for record in reversed(self.run.records):
            if record.status is Status.OK and record.keys.accuracy == job.keys.accuracy:
                self.record(
                    job, Status.OK, accuracy=record.accuracy, details=record.details,
                    peak_rss_bytes=record.peak_rss_bytes, seconds=record.seconds,
                )  # fmt: skip
                return True
        return False

    def record(self, job: Job, status: Status, *, keys: Keys | None = None, **figures: Any) -> None:
        """Record a compiled row; `keys` are those of the job by default."""
        compiled = job.compiled
        self._append(
            job.plan, keys or job.keys, status,
            steps=compiled.steps, model=compiled.model, artefact=compiled.artefact,
            model_sha256=compiled.model_sha256, model_bytes=_size(job.model), **figures,
        )  # fmt: skip

    def record_compiled(self, job: Job) -> None:
        """Record that a row is compiled but not run yet, unless its accuracy is known."""
        last = self.run.last(job.plan.identity)
        if last is None or last.status is not Status.OK or last.keys.speed != job.keys.speed:
            reason = "not run yet; start `fastscnn-opt score` with --stage run where the device is"
            self.record(job, Status.COMPILED, reason=reason)

    def record_failure(self, plan: RowPlan, status: Status, reason: str, reproduce: str = "") -> None:
        """Record a row that cannot be scored; `reproduce` is the command that reproduces the failure."""
        self.note(f"{plan.label}: {status}: {reason}")
        self._append(plan, self.failure_keys(plan), status, reason=reason, reproduce=reproduce)

    def failure_keys(self, plan: RowPlan) -> Keys:
        """Return the keys of a row that cannot be scored; other packages or limits, which may help, give other keys."""
        within = versions(), asdict(self.limits)
        return Keys(row=key_of(asdict(plan), self.source, self.data, self.verify, *within))

    def _append(self, plan: RowPlan, keys: Keys, status: Status, **figures: Any) -> None:
        self.run.append_row(
            RowRecord(**asdict(plan), source=self.source, data=self.data, keys=keys, status=status, at=now(), **figures)
        )


def _size(model: Path) -> int:
    """Return the size of a built model in bytes, including that of its weights if there is one."""
    return sum(file.stat().st_size for file in files_of(model))
