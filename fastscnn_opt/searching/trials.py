"""One pipeline of a search after the other: built, looked at on a few images, scored, and timed for a moment."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RunError, UserError
from fastscnn_opt.scoring.records import Keys, RowTiming, Status, key_of, outcome_of
from fastscnn_opt.scoring.worker.client import Engine
from fastscnn_opt.searching.explorers import Ending, Outcome
from fastscnn_opt.searching.points import Point

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.scoring.score import Scoring
    from fastscnn_opt.scoring.stages.preparing import Prepared
    from fastscnn_opt.scoring.variants import RowPlan, Variants


_FINAL = {Status.FAILED, Status.BROKEN}
"""How a trial fails that would fail again; what crashed, hung or was unavailable may run the next time."""


@dataclass(frozen=True)
class Screening:
    """The `images` that every pipeline is looked at on first, and how many points of mIoU it may lose."""

    images: int
    max_drop: float


class Trials:
    """The trials of a search, compared with its `baseline`, which is built and scored at once.

    `rows` holds what was built, by variant.

    Raises
    ------
    RunError
        The baseline cannot be scored.
    """

    def __init__(
        self,
        run: OpenRun,
        scoring: Scoring,
        variants: Variants,
        screening: Screening,
        say: Callable[[str], None],
    ) -> None:
        self._run = run
        self._scoring = scoring
        self._screening = screening
        self._say = say
        self._plan = variants.rows[0]
        images = len(variants.source.open())
        self._few = replace(variants.source, limit=screening.images) if screening.images < images else None
        self._few_miou: float | None = None
        self._models: dict[str, Outcome] = {}
        self.baseline = self._score_baseline()
        self.rows: dict[str, Prepared] = {}
        self._note(self.baseline, Outcome(Ending.SCORED, Point.of_baseline(self._plan.variant)))

    def recall(self, plan: RowPlan) -> Outcome | None:
        """Return what came of a pipeline in an earlier start, as far as that still holds."""
        last, row = self._run.last(plan.identity), self._scoring.recall(plan)
        if last is not None and last.keys == self._scoring.recorder.failure_keys(plan):
            return Outcome(Ending.FAILED) if last.status in _FINAL else None
        if row is None:
            return None
        if row.model_sha256 in self._models:
            return replace(self._models[row.model_sha256], ending=Ending.SAME)
        if last is not None and last.keys == self._pruned_keys(row):
            return self._note(row, Outcome(Ending.PRUNED))
        known = self._scoring.recorder.finished(row) is not None and self.point(row) is not None
        return self._note(row, self._scored(row)) if known and self._lost(row) <= self._screening.max_drop else None

    def run(self, plan: RowPlan) -> Outcome:
        """Try a pipeline and record what comes of it; one that gives the model of another is no row of its own."""
        row = self._scoring.prepare(plan)
        if row is None:
            return Outcome(Ending.FAILED)
        if row.model_sha256 in self._models:
            other = next(name for name, known in self.rows.items() if known.model_sha256 == row.model_sha256)
            self._say(f"{plan.label}: the same model as that of {other!r}")
            return replace(self._models[row.model_sha256], ending=Ending.SAME)
        return self._note(row, self._measured(row))

    def _note(self, row: Prepared, outcome: Outcome) -> Outcome:
        self._models[row.model_sha256] = outcome
        self.rows[row.plan.variant] = row
        return outcome

    def _measured(self, row: Prepared) -> Outcome:
        if not self._scoring.recorder.is_finished(row):
            if (ended := self._screen(row)) is not None:
                return ended
            self._scoring.evaluate([row])
        record = self._scoring.recorder.finished(row)
        if record is None:
            return Outcome(Ending.FAILED)
        if (lost := self._lost(row)) > self._screening.max_drop:
            known = {"accuracy": record.accuracy, "details": record.details, "peak_rss_bytes": record.peak_rss_bytes}
            return self._prune(row, lost, "all images", **known)
        self._scoring.time([self.baseline, row])
        return self._scored(row)

    def _screen(self, row: Prepared) -> Outcome | None:
        """Look at a pipeline on the first images; return how its trial ends if that is enough to see it.

        One whose passes were all held against a promise to change nothing but rounding is spared that.
        """
        if self._few is None or all(step["verified"] for step in row.steps):
            return None
        if self._few_miou is None:
            self._few_miou = self._miou_on(self._few, self.baseline)
        try:
            lost = 100 * (self._few_miou - self._miou_on(self._few, row))
        except UserError as error:
            status, reason = outcome_of(error, row.plan.label)
            self._scoring.recorder.record_failure(row.plan, status, reason)
            return Outcome(Ending.FAILED)
        if lost <= self._screening.max_drop:
            return None
        few = self._screening.images
        return self._prune(row, lost, "the first image" if few == 1 else f"the first {few} images")

    def _miou_on(self, source: DataSource, row: Prepared) -> float:
        """Return the mIoU on some images, a fraction."""
        with Engine(row.plan.label, row.choice, log=row.log, limits=self._scoring.limits) as engine:
            engine.open(row.artefact)
            figures = engine.evaluate(source, batch=row.plan.batch)
            engine.close()
        return float(figures["mIoU"])

    def _prune(self, row: Prepared, lost: float, where: str, **figures: Any) -> Outcome:
        reason = f"loses {lost:.2f} points of mIoU on {where}, and {self._screening.max_drop:g} are allowed"
        self._say(f"{row.plan.label}: {reason}")
        self._scoring.recorder.record(
            replace(row, keys=self._pruned_keys(row)), Status.PRUNED, reason=reason, **figures
        )
        return Outcome(Ending.PRUNED)

    def _pruned_keys(self, row: Prepared) -> Keys:
        return replace(row.keys, row=key_of(row.keys.row, asdict(self._screening)))

    def _timing(self, row: Prepared) -> RowTiming | None:
        """Return the last timing of a row beside the baseline."""
        wanted = (row.plan.identity, row.keys.speed)
        for session in reversed(self._run.sessions):
            if session.baseline_key == self.baseline.keys.speed:
                for timing in session.rows:
                    if (timing.identity, timing.speed_key) == wanted:
                        return timing
        return None

    def _scored(self, row: Prepared) -> Outcome:
        point = self.point(row)
        return Outcome(Ending.FAILED) if point is None else Outcome(Ending.SCORED, point)

    def point(self, row: Prepared) -> Point | None:
        """Return the figures of a finished row, from its last timing beside the baseline; None if that failed."""
        timing = self._timing(row)
        if timing is None or timing.ratio is None or timing.ratio_low is None or timing.ratio_high is None:
            return None
        return Point(row.plan.variant, self._lost(row), timing.ratio, timing.ratio_low, timing.ratio_high)

    def _score_baseline(self) -> Prepared:
        row = self._scoring.prepare(self._plan)
        if row is not None and not self._scoring.recorder.is_finished(row):
            self._scoring.evaluate([row])
        if row is None or self._scoring.recorder.finished(row) is None:
            last = self._run.last(self._plan.identity)
            raise RunError(
                f"the baseline {self._plan.passes!r} cannot be scored, so nothing can be compared with it: "
                f"{last.reason if last else 'it is not known why'}"
            )
        return row

    def _miou(self, row: Prepared) -> float:
        """Return the recorded mIoU of a finished row, a fraction."""
        record = self._scoring.recorder.finished(row)
        return float(record.accuracy["mIoU"]) if record is not None and record.accuracy is not None else 0.0

    def _lost(self, row: Prepared) -> float:
        """Return the points of mIoU that a finished row loses on all images."""
        return 100 * (self._miou(self.baseline) - self._miou(row))
