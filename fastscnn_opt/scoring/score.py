"""Scores a variants file into a run folder: build, compile and accuracy row by row, then speed side by side."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RunError, UserError
from fastscnn_opt.machine import machine, versions
from fastscnn_opt.scoring.progress import Show, show_nothing
from fastscnn_opt.scoring.records import CompiledRecord, Status, key_of, now, outcome_of
from fastscnn_opt.scoring.run_folder import OpenRun, Run, open_run, read_run
from fastscnn_opt.scoring.stages.changes import changes
from fastscnn_opt.scoring.stages.evaluating import Evaluated, Evaluation, evaluate_all
from fastscnn_opt.scoring.stages.preparing import Prepared, Preparer, Source, identify_source
from fastscnn_opt.scoring.stages.recording import Recorder
from fastscnn_opt.scoring.stages.reproducing import reproduction
from fastscnn_opt.scoring.stages.settings import Settings, Stage
from fastscnn_opt.scoring.stages.speed import Baseline, Scored, time_rows
from fastscnn_opt.targets.base import CrossCompiler
from fastscnn_opt.targets.registry import get_target
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from fastscnn_opt.data.source import DataSource
    from fastscnn_opt.scoring.variants import RowPlan, Variants
    from fastscnn_opt.scoring.worker.client import TargetChoice

_log = logging.getLogger(__name__)

Say = Callable[[str], None]
"""Takes a line about the progress, for people."""


def score(variants: Variants, folder: Path, settings: Settings, say: Say = _log.info, show: Show = show_nothing) -> Run:
    """Score all rows of `variants` into the run folder, skipping what it holds already, and return what it then holds.

    A row that fails, crashes, hangs or whose target is unavailable is recorded as such, and the others go on; rows that
    failed before are tried again.

    Raises
    ------
    RunError
        The folder cannot be used.
    ModelError, CheckpointError, DataError
        The model or the data of the variants file cannot be read.
    """
    source = _recorded_source(folder) if settings.stage is Stage.RUN else identify_source(variants)
    data = _recorded_data(folder) if settings.stage is Stage.COMPILE else variants.source.fingerprint()
    with open_run(folder, about_run(variants, source, data)) as run:
        scoring = Scoring(run, variants, settings, source, data, say, show)
        scoring.run_all()
    return run


def _recorded_source(folder: Path) -> Source:
    """Return the model that a run folder was compiled from, which itself need not be here."""
    model = read_run(folder).about["model"]
    return Source(Path(model["file"]), model["key"])


def _recorded_data(folder: Path) -> str:
    """Return the key of the data that a run folder was scored on before; the empty text if it was not."""
    return str(read_run(folder).about["data"]["key"]) if (folder / "run.json").is_file() else ""


def about_run(variants: Variants, source: Source, data: str) -> dict[str, Any]:
    """Return what ``run.json`` says."""
    return {
        "started": now(),
        "machine": machine(),
        "versions": versions(),
        "variants_file": {"path": str(variants.file), "sha256": key_of(variants.text), "text": variants.text},
        "model": {"file": str(source.file), "key": source.key},
        "data": {"is": variants.source.describe(), "key": data, "source": _absolute(variants.source)},
        "baseline": variants.baseline,
        "baseline_target": variants.tables.score.baseline_target,
        "max_drop": variants.tables.score.max_drop,
        "rows": [asdict(row) for row in variants.rows],
    }


def _absolute(source: DataSource) -> dict[str, Any]:
    """Return the fields of `source`, its root such that it can be found again from another folder."""
    return asdict(source) | {"root": str(Path(source.root).absolute()) if source.root is not None else None}


class Scoring:
    """The work on the rows of a run; `run_all` does all of it, row by row and then side by side."""

    def __init__(
        self,
        run: OpenRun,
        variants: Variants,
        settings: Settings,
        source: Source,
        data: str,
        say: Say,
        show: Show = show_nothing,
    ) -> None:
        self._run = run
        self._variants = variants
        self._settings = settings
        self._data = data
        self._say = say
        self._show = show
        self.limits = settings.limits(variants)
        self.recorder = Recorder(run, source.key, data, settings.verify, self.limits, say)
        self._preparer = Preparer(run, source, verify=settings.verify, limits=self.limits)

    def run_all(self) -> None:
        """Build, compile, score and time whatever is not finished, as far as the stage goes."""
        if self._run.before is not None and (changed := self._changes(self._run.before)):
            self._say(changed)
        if self._settings.stage is not Stage.RUN:
            self._preparer.source_file()
        prepared = self._prepare_all()
        if self._settings.stage is Stage.COMPILE:
            for row in prepared:
                self.recorder.record_compiled(row)
            return
        todo = [row for row in prepared if not self.recorder.is_finished(row)]
        if len(todo) < len(prepared):
            self._say(f"the accuracy of {counted(len(prepared) - len(todo), 'row')} is known")
        if todo:
            self._say(f"measuring the accuracy of {counted(len(todo), 'row')}")
        # Rows of the same content are scored once. The others take over the figures, or try themselves if there are
        # none.
        unique = {row.keys.accuracy: row for row in reversed(todo)}
        self.evaluate([row for row in todo if unique[row.keys.accuracy] is row])
        others = [row for row in todo if unique[row.keys.accuracy] is not row]
        self.evaluate([row for row in others if not self.recorder.is_finished(row)])
        self.time(prepared)

    def _prepare_all(self) -> list[Prepared]:
        prepared = []
        with self._show(len(self._variants.rows), "rows built") as advance:
            for plan in self._variants.rows:
                prepared.append(self.prepare(plan))
                advance(1)
        return [row for row in prepared if row is not None]

    def prepare(self, plan: RowPlan) -> Prepared | None:
        """Build and compile a row; None if that fails, which is then recorded."""
        choice = self._settings.target_for(plan, self._variants)
        try:
            if missing := self._missing(choice):
                self.recorder.record_failure(plan, Status.UNAVAILABLE, missing)
                return None
            if plan.patches and "patches" not in choice.options:
                raise RunError(
                    f"patches change the operator sources of a vendor compiler, and {plan.target} has none",
                    cure="leave them out, or give this variant the targets they are for",
                )
            make = self._compiled if self._settings.stage is Stage.RUN else self._build
            record = make(plan, choice)
        except UserError as error:
            again = reproduction(error, choice, model=None, batch=plan.batch, source=None, limits=self.limits)
            self.recorder.record_failure(plan, *outcome_of(error, plan.label), again)
            return None
        return self._preparer.ready(plan, record, self._data)

    def _build(self, plan: RowPlan, choice: TargetChoice) -> CompiledRecord:
        """Build a row; its passes run even where an earlier start has built it, because they may have changed since."""
        known = self._built(plan, choice)
        if known is None:
            self._say(f"building {plan.label}")
        record = self._preparer.prepare(plan, choice)
        if known is not None and known.artefact == record.artefact:
            self._say(f"found {plan.label}, built by an earlier start")
        elif known is not None:
            self._say(f"built {plan.label} anew, because a pass or a patch of it has changed")
        return record

    def recall(self, plan: RowPlan) -> Prepared | None:
        """Return a row as an earlier start has built and compiled it, if target, options and tools are the same."""
        record = self._built(plan, self._settings.target_for(plan, self._variants))
        return None if record is None else self._preparer.ready(plan, record, self._data)

    def _built(self, plan: RowPlan, choice: TargetChoice) -> CompiledRecord | None:
        record, tools = self._run.last_compiled(plan), get_target(choice.name, choice.options).tool_versions()
        same = record is not None and (record.options, record.tools) == (dict(choice.options), tools)
        return record if same else None

    def _changes(self, before: dict[str, Any]) -> str:
        return changes(
            self._run, before, {plan: self._settings.target_for(plan, self._variants) for plan in self._variants.rows}
        )

    def _missing(self, choice: TargetChoice) -> str:
        """Say what this machine lacks for the stage at hand; the empty text if nothing."""
        target = get_target(choice.name, choice.options)
        if isinstance(target, CrossCompiler) and self._settings.stage is not Stage.ALL:
            part = target.can_compile() if self._settings.stage is Stage.COMPILE else target.can_run()
            return part.reason
        return target.availability().reason

    def _compiled(self, plan: RowPlan, choice: TargetChoice) -> CompiledRecord:
        record = self._run.last_compiled(plan)
        if record is None:
            raise RunError(
                "was not compiled", cure="start `fastscnn-opt score` with --stage compile where the compiler is"
            )
        return self._preparer.recompile(plan, choice, record)

    def evaluate(self, rows: list[Prepared]) -> None:
        """Measure the accuracy of `rows`, several at a time, and record each as soon as it is known."""
        if not rows:
            return
        source = self._variants.source
        evaluations = [
            Evaluation(row.plan.label, row.choice, row.artefact, row.plan.batch, source, row.log, self._kept(row))
            for row in rows
        ]
        with (
            self._show(len(rows) * len(source.open()), "images") as advance,
            closing(
                evaluate_all(evaluations, jobs=self._settings.jobs, limits=self.limits, on_image=advance)
            ) as outcomes,
        ):
            for index, outcome in outcomes:
                self._record_outcome(rows[index], outcome)

    def time(self, prepared: list[Prepared]) -> None:
        """Time the rows whose accuracy is known side by side with the baseline, which should be among them."""
        scored = [
            Scored(row, record.peak_rss_bytes or 0)
            for row in prepared
            if (record := self.recorder.finished(row)) is not None
        ]
        time_rows(
            self._run,
            scored,
            Baseline(self._variants.baseline, self._variants.tables.score.baseline_target),
            self._settings.effort_for(self._variants),
            limits=self.limits,
            say=self._say,
            show=self._show,
        )

    def _kept(self, row: Prepared) -> Path:
        return self._run.predictions / f"{row.keys.accuracy[:16]}.zip"

    def _record_outcome(self, row: Prepared, outcome: Evaluated) -> None:
        if isinstance(outcome.figures, UserError):
            again = reproduction(
                outcome.figures, row.choice, model=row.model, batch=row.plan.batch, source=self._variants.source,
                limits=self.limits,
            )  # fmt: skip
            self.recorder.record_failure(row.plan, *outcome_of(outcome.figures, row.plan.label), again)
            return
        figures = dict(outcome.figures)
        peak = figures.pop("peak_rss_bytes")
        details = figures.pop("details") | {"predictions": self.recorder.relative(self._kept(row))}
        self.recorder.record(
            row, Status.OK, accuracy=figures, details=details, peak_rss_bytes=peak, seconds=round(outcome.seconds, 3)
        )
        self._say(f"{row.plan.label}: mIoU {100 * figures['mIoU']:.2f} % in {outcome.seconds:.1f} s")
