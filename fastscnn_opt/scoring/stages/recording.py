"""Records how the rows of a run ended, and which of them are finished."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import CheckFailedError, UserError
from fastscnn_opt.files import content_hash
from fastscnn_opt.machine import versions
from fastscnn_opt.model.saving import files_of
from fastscnn_opt.processes.death import ChildCrashedError, ChildHungError
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
    hashes: dict[Path, str] = field(default_factory=dict)
    """The hash of each file of label maps, which is computed once."""

    def finished(self, job: Job) -> RowRecord | None:
        """Return the last record of a row if it holds the accuracy of the model that the row has now; else None."""
        last = self.run.last(job.plan.identity)
        same = last is not None and last.status is Status.OK and last.keys == job.keys
        return last if last is not None and same and self._has_its_maps(last) else None

    def hash_of(self, file: Path, *, anew: bool = False) -> str:
        """Return the hash of a file, read `anew` if it was written meanwhile; empty if it is no file."""
        if anew or file not in self.hashes:
            self.hashes[file] = content_hash(file)
        return self.hashes[file]

    def _has_its_maps(self, record: RowRecord) -> bool:
        """Tell whether the label maps of a row are as they were recorded, or were removed; note if neither is so."""
        if not record.predictions_sha256 or record.details is None or record.details.predictions is None:
            return True
        file = self.run.folder / record.details.predictions
        read_before = file in self.hashes
        whole = self.hash_of(file) in ("", record.predictions_sha256)
        if not whole and not read_before:
            self.note(f"{file}: its content has changed since it was written; the row is evaluated again")
        return whole

    def is_finished(self, job: Job) -> bool:
        """Return whether the accuracy of a row is recorded; copy the record of a row with the same model if need be."""
        if self.finished(job):
            return True
        for record in reversed(self.run.records):
            same = record.status is Status.OK and record.keys.accuracy == job.keys.accuracy
            if same and self._has_its_maps(record):
                self.record(
                    job, Status.OK, accuracy=record.accuracy, details=record.details,
                    peak_rss_bytes=record.peak_rss_bytes, seconds=record.seconds, hosts=record.hosts,
                    predictions_sha256=record.predictions_sha256,
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


def outcome_of(error: UserError, label: str) -> tuple[Status, str]:
    """Return the status and the reason of the row called `label` that ended with `error`."""
    statuses = {ChildCrashedError: Status.CRASHED, ChildHungError: Status.TIMED_OUT, CheckFailedError: Status.BROKEN}
    status = next((status for kind, status in statuses.items() if isinstance(error, kind)), Status.FAILED)
    if error.where == label:
        error.where = ""  # the table names the row
    return status, str(error)
