"""Explores a space of pipelines into a run folder: each alone at first, and in the end the best side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import RunError, TargetError
from fastscnn_opt.files import write_atomically
from fastscnn_opt.machine import versions
from fastscnn_opt.scoring.description import SearchDescription, Trial, VariantsText
from fastscnn_opt.scoring.effort import Effort
from fastscnn_opt.scoring.model_name import model_file
from fastscnn_opt.scoring.run_folder import open_run, read_run
from fastscnn_opt.scoring.score import describe_run
from fastscnn_opt.scoring.stages.compiling import identify_source
from fastscnn_opt.scoring.stages.executor import THIS_MACHINE, Executor
from fastscnn_opt.scoring.stages.scorer import RowScorer
from fastscnn_opt.scoring.stages.settings import Settings
from fastscnn_opt.searching.inputs import FRONT_FILE, SearchInput
from fastscnn_opt.searching.space import default_space, pipeline_of, read_space
from fastscnn_opt.searching.strategies import TrialResult, TrialStatus, strategy_for
from fastscnn_opt.searching.tradeoffs import TradeOff, best_of, finalists
from fastscnn_opt.searching.trials import Screening, Trials
from fastscnn_opt.targets.base import Emulator
from fastscnn_opt.targets.spec import TargetSpec
from fastscnn_opt.text import counted, is_utf8

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from fastscnn_opt.scoring.records import RowPlan
    from fastscnn_opt.scoring.run import Run
    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.searching.space import Choices, Space

_SHORT_EFFORT = Effort(rounds=5)
"""How long a pipeline is timed beside the baseline alone, to see whether it may be among the best."""

_MOST_FINALISTS = 6

_SETUP_S = 4.0
"""Seconds that it takes to open a finalist and warm it up, about."""

_LARGEST_RESERVE = 1 / 3
"""Share of the minutes that is kept for the last session at most."""


@dataclass(frozen=True)
class Budget:
    """How long to explore: pipelines tried, those of earlier starts included, and minutes of this start.

    None sets no limit. A pipeline that makes the same model as another does not count.
    """

    evaluations: int | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class SearchResult:
    """The result of a search: the run, the variants of its front, the fastest first, and the trials by outcome.

    `pipelines` is the number of pipelines in the space.
    """

    run: Run
    front: list[str]
    counts: dict[str, int]
    pipelines: int

    @property
    def best(self) -> Run:
        """The run with the rows of the baseline and the front alone."""
        description = self.run.description
        names = dict.fromkeys([description.baseline, *self.front])
        rows = {row.variant: row for row in description.rows}
        return replace(self.run, description=replace(description, rows=tuple(rows[name] for name in names)))

    def to_json(self) -> dict[str, Any]:
        """Return the rows of the baseline and the front, and the counts, as the verb prints them."""
        return {**self.best.to_json(), "front": self.front, "trials": self.counts, "space": self.pipelines}

    def _repr_html_(self) -> str:
        """Show the rows of the baseline and the front in a notebook."""
        return self.best._repr_html_()


DEFAULT_BUDGET = Budget(minutes=10.0)
"""How long to explore where the user sets no budget."""

_LAST_SESSION = Settings(effort=Effort(seconds=5.0))


def search(  # noqa: PLR0913  # each argument is an option of the verb, or takes notes
    model: str | os.PathLike[str],
    data: str | os.PathLike[str] | DataSource,
    folder: str | os.PathLike[str],
    *,
    space: str | os.PathLike[str] | None = None,
    target: str | TargetSpec = "onnxruntime",
    batch: int = 1,
    max_drop: float = 3.0,
    few: int = 2,
    budget: Budget = DEFAULT_BUDGET,
    settings: Settings = _LAST_SESSION,
    note: Callable[[str], None] = lambda _: None,
    executor: Executor | None = None,
) -> SearchResult:
    """Explore pipelines, and return those that no other beats in both accuracy and speed.

    A pipeline that loses too much on the first images is given up; the others are scored on all images, and timed for a
    moment beside the baseline, one at a time. In the end those that may be best are timed side by side, as long as
    `settings` says. A search that was interrupted is continued by the same call.

    Parameters
    ----------
    model
        The ONNX file that every pipeline starts from, or ``RUN:NAME``.
    data
        The root of a Cityscapes tree, a TOML file that describes a dataset, or a `DataSource`.
    folder
        The run folder; an existing search is continued.
    space
        A TOML file with slots and alternatives; by default it is made of the installed passes.
    target
        What compiles and runs the models: a name, or a `TargetSpec` with options.
    batch
        Images per run.
    max_drop
        Points of mIoU that a pipeline may lose.
    few
        Images on which a pipeline is looked at before it is scored on all.
    budget
        How long to explore; by default 10 minutes.
    settings
        How to score; the effort is that of the last session, by default 5 seconds per model.
    note
        Gets lines about the progress.
    executor
        Where models are compiled, evaluated and timed: by default on this machine; `on_cluster` gives another place.

    Raises
    ------
    RunError
        The folder or the space cannot be used, the space is large and optuna missing, or neither the baseline nor
        anything else can be scored.
    TargetError
        There is no such target here, or it has no speed.
    ModelError, DataError
        The model or the data cannot be read.
    """
    source, spec = DataSource.at(data), TargetSpec.of(target)
    if isinstance(spec.open(), Emulator):
        what = "is emulated and has no speed, by which a search compares"
        raise TargetError(what, where=f"target {spec.name}", cure=f"search elsewhere, and score {FRONT_FILE} on it")
    chosen = default_space(source) if space is None else read_space(Path(space))
    given = SearchInput(model_file(model), source, spec, chosen.baseline, batch, max_drop)
    screening, executor = Screening(few, max_drop), executor or THIS_MACHINE
    return _explore(given, chosen, Path(folder), settings, budget, screening, note, executor)


def _explore(  # noqa: PLR0913, PLR0917 - what `search` takes, with its defaults filled in
    given: SearchInput,
    space: Space,
    folder: Path,
    settings: Settings,
    budget: Budget,
    screening: Screening,
    note: Callable[[str], None],
    executor: Executor,
) -> SearchResult:
    if not is_utf8(str(given.model.absolute())):
        raise RunError("its path is no UTF-8 text, which a variants file is", where=given.model, cure="rename it")
    strategy = strategy_for(space, budget.evaluations)
    started = monotonic()
    given = replace(given, source=given.source.for_model_file(given.model))
    variants = given.variants
    source, data = identify_source(variants, settings.limits(variants)), variants.source.fingerprint()
    tried_before = _tried_before(folder, space)
    text = given.text([given.baseline])
    description = replace(
        describe_run(variants, source, data),
        variants_file=VariantsText.of(folder / FRONT_FILE, text),
        search=SearchDescription(space.text, space.size, tried_before),
    )
    with open_run(folder, description) as run:
        write_atomically(run.folder / FRONT_FILE, text.encode())
        scorer = RowScorer(run, variants, replace(settings, effort=_SHORT_EFFORT), source, note, executor=executor)
        trials = Trials(run, scorer, variants, screening, note)
        journal = _Journal(run, given, space)
        for trial in tried_before:
            plan = given.plan(space.name(trial.choices), pipeline_of(trial.choices))
            if (recalled := trials.recall(plan)) is not None:
                journal.enter(trial.choices, plan, recalled)
        journal.write([])
        if journal.tried:
            note(f"{counted(len(journal.tried), 'pipeline is', 'pipelines are')} known from an earlier start")
        while (choices := strategy.propose(journal.tried)) is not None:
            if _is_spent(budget, settings, journal, monotonic() - started):
                break
            plan, before = given.plan(space.name(choices), pipeline_of(choices)), monotonic()
            note(f"trying {plan.variant} (number {len(journal.tried) + 1} of {space.size})")
            journal.enter(choices, plan, trials.recall(plan) or trials.run(plan))
            journal.write([])
            journal.seconds.append(monotonic() - before)
        if len(journal.trade_offs) == 1:
            raise RunError(
                f"none of {counted(len(journal.tried), 'pipeline')} makes another model that runs and loses "
                f"at most {screening.max_drop:g} points of mIoU",
                cure=f"`fastscnn-opt compare {folder}` shows why",
            )
        names = [one.name for one in finalists(journal.trade_offs, _MOST_FINALISTS)]
        jobs = [job for name, job in trials.jobs.items() if name in names and job is not trials.baseline]
        if jobs:
            RowScorer(run, variants, settings, source, note, executor=executor).time([trials.baseline, *jobs])
        best = best_of([one for job in (trials.baseline, *jobs) if (one := trials.trade_off(job)) is not None])
        front = [one.name for one in best]
        journal.write(front)
        return SearchResult(run, front, journal.counts, space.size)


def _tried_before(folder: Path, space: Space) -> tuple[Trial, ...]:
    """Return the trials of an earlier start, as long as the space and all versions are the same."""
    if not (folder / "run.json").is_file():
        return ()
    description = read_run(folder).description
    if description.search is None:
        raise RunError(
            "is a run of `score`, which a search would change", where=folder, cure="name a new folder for --run"
        )
    if description.versions != versions():
        return ()
    return tuple(trial for trial in description.search.trials if trial.choices in space)


def _is_spent(budget: Budget, settings: Settings, journal: _Journal, elapsed_s: float) -> bool:
    """Tell whether another trial, and the last session after it, no longer fit into the budget."""
    if budget.evaluations is not None and journal.evaluations >= budget.evaluations:
        return True
    if budget.minutes is None:
        return False
    whole_s = 60 * budget.minutes
    models = 1 + len(finalists(journal.trade_offs, _MOST_FINALISTS))
    last_s = models * (_SETUP_S + (settings.effort.seconds if settings.effort else 0.0))
    trial_s = sum(journal.seconds) / len(journal.seconds) if journal.seconds else 0.0
    return elapsed_s + trial_s + min(last_s, _LARGEST_RESERVE * whole_s) > whole_s


@dataclass
class _Journal:
    """The trials so far; they are written to ``run.json``, so that an interruption loses nothing."""

    run: OpenRun
    given: SearchInput
    space: Space
    tried: dict[Choices, TrialResult] = field(default_factory=dict)
    plans: dict[Choices, RowPlan] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def evaluations(self) -> int:
        """How many pipelines were tried, without those that made the same model as another."""
        return sum(result.status is not TrialStatus.SAME for result in self.tried.values())

    @property
    def trade_offs(self) -> list[TradeOff]:
        """The figures of the baseline and of every pipeline that was scored."""
        scored = [result.trade_off for result in self.tried.values() if result.status is TrialStatus.SCORED]
        return [TradeOff.of_baseline(self.given.baseline.variant), *(one for one in scored if one is not None)]

    @property
    def counts(self) -> dict[str, int]:
        """The number of trials by outcome."""
        counts = Counter(result.status for result in self.tried.values())
        return {str(status): counts[status] for status in TrialStatus}

    def enter(self, choices: Choices, plan: RowPlan, result: TrialResult) -> None:
        self.tried[choices], self.plans[choices] = result, plan

    def write(self, front: list[str]) -> None:
        """Write the rows, those of the front first, and the trials; a variants file of the front lies beside them."""
        own = {
            plan.variant: plan
            for choices, plan in self.plans.items()
            if self.tried[choices].status is not TrialStatus.SAME
        }
        first = [own.pop(name) for name in front if name in own]
        trials = tuple(Trial(choices, str(result.status)) for choices, result in self.tried.items())
        text = self.given.text([self.given.baseline, *first])
        write_atomically(self.run.folder / FRONT_FILE, text.encode())
        self.run.describe(
            replace(
                self.run.description,
                variants_file=VariantsText.of(self.run.folder / FRONT_FILE, text),
                rows=(self.given.baseline, *first, *own.values()),
                search=SearchDescription(self.space.text, self.space.size, trials, tuple(front)),
            )
        )
