"""Builds, evaluates and times the rows of an open run, and records how each ends."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from fastscnn_opt.errors import RunError, UserError
from fastscnn_opt.progress import ProgressBar, no_progress_bar
from fastscnn_opt.scoring.records import CompiledRecord, Status
from fastscnn_opt.scoring.stages.changes import changes
from fastscnn_opt.scoring.stages.compiling import RowCompiler, SourceModel
from fastscnn_opt.scoring.stages.executor import THIS_MACHINE, Executor
from fastscnn_opt.scoring.stages.recording import Recorder, outcome_of
from fastscnn_opt.scoring.stages.reproducing import reproduction
from fastscnn_opt.scoring.stages.settings import Settings, Stage
from fastscnn_opt.scoring.stages.speed import time_rows
from fastscnn_opt.targets.base import Emulator
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fastscnn_opt.scoring.description import RunDescription
    from fastscnn_opt.scoring.records import RowPlan
    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.scoring.stages.evaluating import EvaluationOutcome
    from fastscnn_opt.scoring.stages.job import Job
    from fastscnn_opt.scoring.variants import Variants
    from fastscnn_opt.targets.spec import TargetSpec


class RowScorer:
    """Does the work on the rows of a run: `score_all` does all of it, the other methods do its parts."""

    def __init__(
        self,
        run: OpenRun,
        variants: Variants,
        settings: Settings,
        source: SourceModel,
        note: Callable[[str], None],
        progress: ProgressBar = no_progress_bar,
        executor: Executor = THIS_MACHINE,
    ) -> None:
        self._run = run
        self._variants = variants
        self._settings = settings
        self._data = run.description.data.key
        self._note = note
        self._progress = progress
        self.executor = executor
        self.limits = settings.limits(variants)
        self.recorder = Recorder(run, source.key, self._data, settings.verify, self.limits, note)
        self._compiler = RowCompiler(
            run, source, variants.source, executor, verify=settings.verify, limits=self.limits, note=note
        )

    def score_all(self) -> None:
        """Build, compile, evaluate and time all rows that are not finished, as far as the stage includes this."""
        if self._run.before is not None and (changed := self._changes(self._run.before)):
            self._note(changed)
        if self._settings.stage is not Stage.RUN:
            self._compiler.source_file()
        jobs = self._build_all()
        if self._settings.stage is Stage.COMPILE:
            for job in jobs:
                self.recorder.record_compiled(job)
            return
        todo = [job for job in jobs if not self.recorder.is_finished(job)]
        if len(todo) < len(jobs):
            self._note(f"the accuracy of {counted(len(jobs) - len(todo), 'row')} is known")
        if todo:
            self._note(f"measuring the accuracy of {counted(len(todo), 'row')}")
        # Rows of the same content are scored once. The others take over the figures, or try themselves if there are
        # none.
        unique = {job.keys.accuracy: job for job in reversed(todo)}
        self.evaluate([job for job in todo if unique[job.keys.accuracy] is job])
        others = [job for job in todo if unique[job.keys.accuracy] is not job]
        self.evaluate([job for job in others if not self.recorder.is_finished(job)])
        self.time(jobs)

    def build(self, plan: RowPlan) -> Job | None:
        """Build and compile a row; None if that fails, which is then recorded."""
        target = self._target_for(plan)
        try:
            if missing := self.executor.missing(target, self._settings.stage):
                self.recorder.record_failure(plan, Status.UNAVAILABLE, missing)
                return None
            if plan.patches and "patches" not in target.options and not isinstance(target.open(), Emulator):
                raise RunError(
                    f"patches change the operator sources of a vendor compiler, and {plan.target} has none",
                    cure="leave them out, or give this variant the targets they are for",
                )
            if self._settings.stage is Stage.RUN:
                record = self._find_compiled(plan, target)
            else:
                record = self._compile(plan, target)
        except UserError as error:
            again = reproduction(error, target, model=None, batch=plan.batch, source=None, limits=self.limits)
            self.recorder.record_failure(plan, *outcome_of(error, plan.label), again)
            return None
        return self._compiler.job(plan, record, self._data)

    def find(self, plan: RowPlan) -> Job | None:
        """Return a row as an earlier start has compiled it; None unless target, options and tools are the same."""
        record = self._compiled_before(plan, self._target_for(plan))
        return None if record is None else self._compiler.job(plan, record, self._data)

    def evaluate(self, jobs: list[Job]) -> None:
        """Measure the accuracy of rows, several at a time, and record each as soon as it is known."""
        if not jobs:
            return
        source = self._variants.source
        models = [(job.compiled_model, self._predictions(job)) for job in jobs]
        with (
            self._progress(len(jobs) * len(source.open()), "images") as advance,
            closing(
                self.executor.evaluate_all(
                    models, source, jobs=self._settings.jobs, limits=self.limits, on_image=advance
                )
            ) as outcomes,
        ):
            for index, outcome in outcomes:
                self._record_outcome(jobs[index], outcome)

    def time(self, jobs: list[Job]) -> None:
        """Time the rows whose accuracy is known side by side with the baseline, which should be among them.

        Rows of emulated devices have no speed.
        """
        finished = [(job, row.accuracy) for job in jobs if (row := self.recorder.finished(job))]
        evaluated = [job for job, accuracy in finished if accuracy and not accuracy.emulated]
        effort = self._settings.effort_for(self._variants)
        time_rows(
            self._run, evaluated, effort,
            executor=self.executor, limits=self.limits, note=self._note, progress=self._progress,
        )  # fmt: skip

    def _build_all(self) -> list[Job]:
        jobs = []
        with self._progress(len(self._variants.rows), "rows built") as advance:
            for plan in self._variants.rows:
                jobs.append(self.build(plan))
                advance(1)
        return [job for job in jobs if job is not None]

    def _compile(self, plan: RowPlan, target: TargetSpec) -> CompiledRecord:
        """Compile a row; its passes run even if an earlier start has built it, because they may have changed since."""
        known = self._compiled_before(plan, target)
        if known is None:
            self._note(f"building {plan.label}")
        record = self._compiler.compile(plan, target)
        if known is not None and known.artefact == record.artefact:
            self._note(f"found {plan.label}, built by an earlier start")
        elif known is not None:
            self._note(f"built {plan.label} anew, because a pass or a patch of it has changed")
        return record

    def _compiled_before(self, plan: RowPlan, target: TargetSpec) -> CompiledRecord | None:
        record, tools = self._run.last_compiled(plan), self.executor.tool_versions(target)
        if record is None or (record.options, record.tools) != (dict(target.options), tools):
            return None
        whole = self._compiler.is_whole(self._run.folder / record.artefact, record.artefact_sha256)
        return record if whole else None

    def _find_compiled(self, plan: RowPlan, target: TargetSpec) -> CompiledRecord:
        """Return what another machine has compiled. Raises RunError if it has not."""
        record = self._run.last_compiled(plan)
        if record is None:
            raise RunError(
                "was not compiled", cure="start `fastscnn-opt score` with --stage compile where the compiler is"
            )
        return self._compiler.recompile(plan, target, record)

    def _changes(self, before: RunDescription) -> str:
        rows = self._variants.rows
        return changes(self._run, before, {plan: self._target_for(plan) for plan in rows})

    def _target_for(self, plan: RowPlan) -> TargetSpec:
        return self._settings.target_for(plan, self._variants, self.executor.usable_cores)

    def _predictions(self, job: Job) -> Path:
        return self._run.predictions / f"{job.keys.accuracy[:16]}.zip"

    def _record_outcome(self, job: Job, outcome: EvaluationOutcome) -> None:
        plan, result = job.plan, outcome.result
        if isinstance(result, UserError):
            source = self._variants.source
            again = reproduction(
                result, job.target, model=job.model, batch=plan.batch, source=source, limits=self.limits
            )
            self.recorder.record_failure(plan, *outcome_of(result, plan.label), again)
            return
        saved = self._predictions(job)  # there is none for data of other classes
        details = replace(result.details, predictions=self._run.relative(saved) if saved.is_file() else None)
        self.recorder.record(
            job, Status.OK, accuracy=result.accuracy, details=details, peak_rss_bytes=result.peak_rss_bytes,
            seconds=round(outcome.seconds, 3), hosts=outcome.hosts,
            predictions_sha256=self.recorder.hash_of(saved, anew=True),
        )  # fmt: skip
        kind = "emulated mIoU" if result.accuracy.emulated else "mIoU"
        self._note(f"{plan.label}: {kind} {100 * result.accuracy.mIoU:.2f} % in {outcome.seconds:.1f} s")
