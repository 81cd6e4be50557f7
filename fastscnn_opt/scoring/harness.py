"""Scores a variants file into a run folder: build, compile and accuracy row by row, then speed side by side."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastscnn_opt.errors import RunError, UserError
from fastscnn_opt.model import data_beside
from fastscnn_opt.scoring.engine import TargetChoice
from fastscnn_opt.scoring.progress import Show, show_nothing
from fastscnn_opt.scoring.records import CompiledRecord, Keys, RowRecord, Status, key_of, now, outcome_of
from fastscnn_opt.scoring.run_folder import OpenRun, Run, open_run, read_run
from fastscnn_opt.scoring.work.evaluating import Evaluated, Evaluation, evaluate_all
from fastscnn_opt.scoring.work.preparing import Prepared, Preparer, Source, identify_source
from fastscnn_opt.scoring.work.reproducing import reproduction
from fastscnn_opt.scoring.work.speed import Baseline, Scored, time_rows
from fastscnn_opt.scoring.work.timing import Effort
from fastscnn_opt.targets.base import CrossCompiler
from fastscnn_opt.targets.limits import DEFAULT_LIMITS, Limits, parse_memory
from fastscnn_opt.targets.machine import machine, usable_cores, versions
from fastscnn_opt.targets.registry import get_target, option_names

if TYPE_CHECKING:
    from fastscnn_opt.data.dataset import DataSource
    from fastscnn_opt.scoring.variants import RowPlan, Variants

_log = logging.getLogger(__name__)

Say = Callable[[str], None]
"""Takes a line about the progress, for people."""


class Stage(StrEnum):
    """Which part of the work is done on this machine."""

    ALL = "all"
    COMPILE = "compile"
    """Build and compile; needs the model and the compilers, but no data and no device."""
    RUN = "run"
    """Score and time what was compiled; needs the run folder, the data and the devices, but no model, no compiler."""


@dataclass(frozen=True)
class Settings:
    """How to score, beside what the variants file says.

    Attributes
    ----------
    verify
        Hold every pass against its contract.
    effort
        How long to time; None takes what the variants file says.
    threads
        Threads of one operator, for targets that have them; None takes what the variants file says, or every core.
    limit_s
        Seconds without a sign of life after which a child process is given up; None takes what the variants file says,
        or that of `Limits`.
    memory_bytes
        Physical memory that a child process may hold; None takes what the variants file says, or sets no limit.
    jobs
        Rows whose accuracy is measured at the same time. Timing is never shared.
    stage
        Which part of the work to do; the run folder may be copied to another machine between two parts.
    """

    verify: bool = True
    effort: Effort | None = None
    threads: int | None = None
    limit_s: float | None = None
    memory_bytes: int | None = None
    jobs: int = 1
    stage: Stage = Stage.ALL


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


def _size(model: Path) -> int:
    """Return the bytes of a built model, with those of the file that holds its weights where there is one."""
    data = data_beside(model)
    return model.stat().st_size + (data.stat().st_size if data.exists() else 0)


def _limits(settings: Settings, variants: Variants) -> Limits:
    """Return what a child process may take: what the caller says, else the variants file, else the default."""
    table, silence_s, memory_bytes = variants.tables.score, settings.limit_s, settings.memory_bytes
    if memory_bytes is None and table.memory_limit is not None:
        memory_bytes = parse_memory(table.memory_limit)
    return Limits(silence_s or table.time_limit or DEFAULT_LIMITS.silence_s, memory_bytes)


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
        self._source = source
        self._data = data
        self._say = say
        self._show = show
        self.limits = _limits(settings, variants)
        self._preparer = Preparer(run, source, verify=settings.verify, limits=self.limits)

    def run_all(self) -> None:
        """Build, compile, score and time whatever is not finished, as far as the stage goes."""
        if self._settings.stage is not Stage.RUN:
            self._preparer.source_file()
        prepared = self._prepare_all()
        if self._settings.stage is Stage.COMPILE:
            for row in prepared:
                self._record_compiled(row)
            return
        todo = [row for row in prepared if not self.is_finished(row)]
        self._say(f"measuring the accuracy of {len(todo)} rows; {len(prepared) - len(todo)} are known")
        # Rows of the same content are scored once. The others take over the figures, or try themselves if there are
        # none.
        unique = {row.keys.accuracy: row for row in reversed(todo)}
        self.evaluate([row for row in todo if unique[row.keys.accuracy] is row])
        self.evaluate([row for row in todo if unique[row.keys.accuracy] is not row and not self.is_finished(row)])
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
        choice = self._choose_target(plan)
        try:
            if missing := self._missing(choice):
                self.record_failure(plan, Status.UNAVAILABLE, missing)
                return None
            if plan.patches and "patches" not in choice.options:
                raise RunError(
                    f"patches change the operator sources of a vendor compiler, and {plan.target} has none; "
                    "leave them out, or give this variant the targets they are for"
                )
            if self._settings.stage is Stage.RUN:
                record = self._compiled(plan, choice)
            else:
                self._say(f"building {plan.label}")
                record = self._preparer.prepare(plan, choice)
        except UserError as error:
            again = reproduction(error, choice, model=None, batch=plan.batch, source=None, limits=self.limits)
            self.record_failure(plan, *outcome_of(error, plan.label), again)
            return None
        return self._preparer.ready(plan, record, self._data)

    def recall(self, plan: RowPlan) -> Prepared | None:
        """Return a row as an earlier start has built and compiled it, if target, options and tools are the same."""
        record, choice = self._run.last_compiled(plan), self._choose_target(plan)
        tools = get_target(choice.name, choice.options).tool_versions()
        if record is None or (record.options, record.tools) != (dict(choice.options), tools):
            return None
        return self._preparer.ready(plan, record, self._data)

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
            raise RunError("was not compiled; start `fastscnn-opt score` with --stage compile where the compiler is")
        return self._preparer.recompile(plan, choice, record)

    def _choose_target(self, plan: RowPlan) -> TargetChoice:
        names = option_names(plan.target)
        options: dict[str, Any] = dict(self._variants.tables.target.get(plan.target, {}))
        if "threads" in names:
            threads = self._settings.threads or self._variants.tables.score.threads
            options["threads"] = threads or options.get("threads") or usable_cores()
        if "patches" in names:
            options["patches"] = list(plan.patches)
        return TargetChoice(plan.target, options)

    def is_finished(self, row: Prepared) -> bool:
        """Tell whether a row's accuracy is recorded, if need be after taking it over from a row of the same content."""
        if self.finished(row):
            return True
        for record in reversed(self._run.records):
            if record.status is Status.OK and record.keys.accuracy == row.keys.accuracy:
                self.record(
                    row, Status.OK, accuracy=record.accuracy, details=record.details,
                    peak_rss_bytes=record.peak_rss_bytes, seconds=record.seconds,
                )  # fmt: skip
                return True
        return False

    def finished(self, row: Prepared) -> RowRecord | None:
        """Return what was recorded last about a row, if that is the accuracy of its present content."""
        last = self._run.last(row.plan.identity)
        return last if last is not None and last.status is Status.OK and last.keys == row.keys else None

    def evaluate(self, rows: list[Prepared]) -> None:
        """Measure the accuracy of `rows`, several at a time, and record each as soon as it is known."""
        if not rows:
            return
        source = self._variants.source
        evaluations = [
            Evaluation(
                row.plan.label, row.choice, row.artefact, row.plan.batch, source, row.log, self._predictions(row)
            )
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
            Scored(row, record.peak_rss_bytes or 0) for row in prepared if (record := self.finished(row)) is not None
        ]
        table = self._variants.tables.score
        from_file = Effort(table.rounds) if table.seconds is None else Effort(seconds=table.seconds)
        effort = self._settings.effort or from_file
        time_rows(
            self._run,
            scored,
            Baseline(self._variants.baseline, table.baseline_target),
            effort,
            limits=self.limits,
            say=self._say,
            show=self._show,
        )

    def _record_outcome(self, row: Prepared, outcome: Evaluated) -> None:
        if isinstance(outcome.figures, UserError):
            again = reproduction(
                outcome.figures, row.choice, model=row.model, batch=row.plan.batch, source=self._variants.source,
                limits=self.limits,
            )  # fmt: skip
            self.record_failure(row.plan, *outcome_of(outcome.figures, row.plan.label), again)
            return
        figures = dict(outcome.figures)
        peak = figures.pop("peak_rss_bytes")
        details = figures.pop("details") | {"predictions": self._relative(self._predictions(row))}
        self.record(
            row, Status.OK, accuracy=figures, details=details, peak_rss_bytes=peak, seconds=round(outcome.seconds, 3)
        )
        self._say(f"{row.plan.label}: mIoU {100 * figures['mIoU']:.2f} % in {outcome.seconds:.1f} s")

    def record(self, row: Prepared, status: Status, **figures: Any) -> None:
        """Record a row that is built and compiled."""
        self._run.append_row(
            self._record(
                row.plan, row.keys, status,
                steps=row.steps, model=self._relative(row.model), artefact=self._relative(row.artefact),
                model_sha256=row.model_sha256, model_bytes=_size(row.model), **figures,
            )
        )  # fmt: skip

    def _predictions(self, row: Prepared) -> Path:
        return self._run.predictions / f"{row.keys.accuracy[:16]}.zip"

    def _relative(self, file: Path) -> str:
        return file.relative_to(self._run.folder).as_posix()

    def _record_compiled(self, row: Prepared) -> None:
        last = self._run.last(row.plan.identity)
        if last is None or last.status is not Status.OK or last.keys.speed != row.keys.speed:
            reason = "not run yet; start `fastscnn-opt score` with --stage run where the device is"
            self.record(row, Status.COMPILED, reason=reason)

    def record_failure(self, plan: RowPlan, status: Status, reason: str, again: str = "") -> None:
        """Record a row that cannot be scored; `again` is the command that shows it again."""
        self._say(f"{plan.label}: {status}: {reason}")
        self._run.append_row(self._record(plan, self.failure_keys(plan), status, reason=reason, reproduce=again))

    def failure_keys(self, plan: RowPlan) -> Keys:
        """Return the keys of a row that cannot be scored, which may be otherwise with other packages or limits."""
        within = versions(), asdict(self.limits)
        return Keys(row=key_of(asdict(plan), self._source.key, self._data, self._settings.verify, *within))

    def _record(self, plan: RowPlan, keys: Keys, status: Status, **figures: Any) -> RowRecord:
        identity = {**asdict(plan), "patches": list(plan.patches)}
        return RowRecord(
            **identity, source=self._source.key, data=self._data, keys=keys, status=status, at=now(), **figures
        )
