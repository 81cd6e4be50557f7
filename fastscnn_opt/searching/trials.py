"""Tries the pipelines of a search one by one: builds, scores and briefly times each of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RunError, UserError
from fastscnn_opt.scoring.records import Keys, RowTiming, Status, key_of
from fastscnn_opt.scoring.stages.executor import evaluate_one
from fastscnn_opt.scoring.stages.recording import outcome_of
from fastscnn_opt.searching.strategies import TrialResult, TrialStatus
from fastscnn_opt.searching.tradeoffs import TradeOff

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.scoring.records import RowPlan
    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.scoring.stages.job import Job
    from fastscnn_opt.scoring.stages.scorer import RowScorer
    from fastscnn_opt.scoring.variants import Variants


_FINAL = {Status.FAILED, Status.BROKEN}
"""Outcomes that a second try would repeat; a row that crashed, hung or was unavailable may work the next time."""


@dataclass(frozen=True)
class Screening:
    """Score each pipeline on the first `images` images; drop it if it loses more than `max_drop` points of mIoU."""

    images: int
    max_drop: float


class Trials:
    """The trials of a search. The `baseline` that they are compared with is built and scored first.

    `jobs` holds the built rows by the name of the variant.

    Raises
    ------
    RunError
        The baseline cannot be scored.
    """

    def __init__(
        self,
        run: OpenRun,
        scorer: RowScorer,
        variants: Variants,
        screening: Screening,
        note: Callable[[str], None],
    ) -> None:
        self._run = run
        self._scorer = scorer
        self._screening = screening
        self._note = note
        self._plan = variants.rows[0]
        images = len(variants.source.open())
        self._few = replace(variants.source, limit=screening.images) if screening.images < images else None
        self._few_miou: float | None = None
        self._results: dict[str, TrialResult] = {}
        """The result of each model, by its hash."""
        self.baseline = self._score_baseline()
        self.jobs: dict[str, Job] = {}
        self._enter(self.baseline, TrialResult(TrialStatus.SCORED, TradeOff.of_baseline(self._plan.variant)))

    def recall(self, plan: RowPlan) -> TrialResult | None:
        """Return the result that an earlier start recorded for a pipeline; None if there is none that still holds."""
        last, job = self._run.last(plan.identity), self._scorer.find(plan)
        if last is not None and last.keys == self._scorer.recorder.failure_keys(plan):
            return TrialResult(TrialStatus.FAILED) if last.status in _FINAL else None
        if job is None:
            return None
        if (same := self._result_of_same_model(job)) is not None:
            return same
        if last is not None and last.keys == self._pruned_keys(job):
            return self._enter(job, TrialResult(TrialStatus.PRUNED))
        known = self._scorer.recorder.finished(job) is not None and self.trade_off(job) is not None
        return self._enter(job, self._scored(job)) if known and self._lost(job) <= self._screening.max_drop else None

    def run(self, plan: RowPlan) -> TrialResult:
        """Try a pipeline and record the result, unless an earlier pipeline has made the same model."""
        job = self._scorer.build(plan)
        if job is None:
            return TrialResult(TrialStatus.FAILED)
        if (same := self._result_of_same_model(job)) is not None:
            other = next(name for name, known in self.jobs.items() if _sha256(known) == _sha256(job))
            self._note(f"{plan.label}: the same model as that of {other!r}")
            return same
        return self._enter(job, self._measured(job))

    def trade_off(self, job: Job) -> TradeOff | None:
        """Return the figures of a finished row from its last timing with the baseline; None if the timing failed."""
        timing = self._timing(job)
        if timing is None or timing.ratio is None or timing.ratio_low is None or timing.ratio_high is None:
            return None
        return TradeOff(job.plan.variant, self._lost(job), timing.ratio, timing.ratio_low, timing.ratio_high)

    def _result_of_same_model(self, job: Job) -> TrialResult | None:
        known = self._results.get(_sha256(job))
        return known and replace(known, status=TrialStatus.SAME)

    def _enter(self, job: Job, result: TrialResult) -> TrialResult:
        self._results[_sha256(job)] = result
        self.jobs[job.plan.variant] = job
        return result

    def _measured(self, job: Job) -> TrialResult:
        if not self._scorer.recorder.is_finished(job):
            if (ended := self._screen(job)) is not None:
                return ended
            self._scorer.evaluate([job])
        record = self._scorer.recorder.finished(job)
        if record is None:
            return TrialResult(TrialStatus.FAILED)
        if (lost := self._lost(job)) > self._screening.max_drop:
            figures = {"accuracy": record.accuracy, "details": record.details, "peak_rss_bytes": record.peak_rss_bytes}
            return self._prune(job, lost, "all images", **figures)
        self._scorer.time([self.baseline, job])
        return self._scored(job)

    def _screen(self, job: Job) -> TrialResult | None:
        """Score a pipeline on the first images; return the result if it fails or loses too much there, else None.

        Pipelines whose passes all promise to change nothing but rounding, and were verified, are not screened.
        """
        if self._few is None or all(step.verified for step in job.compiled.steps):
            return None
        if self._few_miou is None:
            self._few_miou = self._miou_on(self._few, self.baseline)
        try:
            lost = 100 * (self._few_miou - self._miou_on(self._few, job))
        except UserError as error:
            status, reason = outcome_of(error, job.plan.label)
            self._scorer.recorder.record_failure(job.plan, status, reason)
            return TrialResult(TrialStatus.FAILED)
        if lost <= self._screening.max_drop:
            return None
        few = self._screening.images
        return self._prune(job, lost, "the first image" if few == 1 else f"the first {few} images")

    def _miou_on(self, source: DataSource, job: Job) -> float:
        """Return the mIoU on some images, a fraction."""
        scorer = self._scorer
        return evaluate_one(scorer.executor, job.compiled_model, source, limits=scorer.limits).accuracy.mIoU

    def _prune(self, job: Job, lost: float, where: str, **figures: Any) -> TrialResult:
        reason = f"loses {lost:.2f} points of mIoU on {where}, and {self._screening.max_drop:g} are allowed"
        self._note(f"{job.plan.label}: {reason}")
        self._scorer.recorder.record(job, Status.PRUNED, keys=self._pruned_keys(job), reason=reason, **figures)
        return TrialResult(TrialStatus.PRUNED)

    def _pruned_keys(self, job: Job) -> Keys:
        return replace(job.keys, row=key_of(job.keys.row, asdict(self._screening)))

    def _timing(self, job: Job) -> RowTiming | None:
        """Return the last timing of a row beside the baseline."""
        wanted = (job.plan.identity, job.keys.speed)
        for session in reversed(self._run.sessions):
            if session.baseline_key == self.baseline.keys.speed:
                for timing in session.rows:
                    if (timing.identity, timing.speed_key) == wanted:
                        return timing
        return None

    def _scored(self, job: Job) -> TrialResult:
        found = self.trade_off(job)
        return TrialResult(TrialStatus.FAILED) if found is None else TrialResult(TrialStatus.SCORED, found)

    def _score_baseline(self) -> Job:
        job = self._scorer.build(self._plan)
        if job is not None and not self._scorer.recorder.is_finished(job):
            self._scorer.evaluate([job])
        if job is None or self._scorer.recorder.finished(job) is None:
            last = self._run.last(self._plan.identity)
            raise RunError(
                f"the baseline {self._plan.passes!r} cannot be scored, so nothing can be compared with it: "
                f"{last.reason if last else 'it is not known why'}"
            )
        return job

    def _miou(self, job: Job) -> float:
        """Return the recorded mIoU of a finished row, a fraction."""
        record = self._scorer.recorder.finished(job)
        return record.accuracy.mIoU if record is not None and record.accuracy is not None else 0.0

    def _lost(self, job: Job) -> float:
        """Return the points of mIoU that a finished row loses on all images."""
        return 100 * (self._miou(self.baseline) - self._miou(job))


def _sha256(job: Job) -> str:
    return job.compiled.model_sha256
