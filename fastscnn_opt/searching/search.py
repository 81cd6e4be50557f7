"""Explores a space of pipelines into a run folder: accuracy, a glance at the speed, then the best side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from fastscnn_opt.errors import RunError
from fastscnn_opt.files import write_atomically
from fastscnn_opt.machine import versions
from fastscnn_opt.scoring.records import key_of
from fastscnn_opt.scoring.run_folder import Run, open_run, read_run
from fastscnn_opt.scoring.score import Scoring, about_run
from fastscnn_opt.scoring.stages.preparing import identify_source
from fastscnn_opt.scoring.stages.timing import Effort
from fastscnn_opt.searching.explorers import Ending, Outcome, explorer_for
from fastscnn_opt.searching.points import Point, finalists, leaders
from fastscnn_opt.searching.space import pipeline_of
from fastscnn_opt.searching.task import FRONT, Task
from fastscnn_opt.searching.trials import Screening, Trials
from fastscnn_opt.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fastscnn_opt.scoring.run_folder import OpenRun
    from fastscnn_opt.scoring.stages.settings import Settings
    from fastscnn_opt.scoring.variants import RowPlan
    from fastscnn_opt.searching.space import Choices, Space

GLANCE = Effort(rounds=5)
"""Timing of a pipeline beside the baseline alone, which tells whether it may be among the best."""

_MOST_FINALISTS = 6

_SETUP_S = 4.0
"""Seconds that it takes to open a finalist and warm it up, about."""

_LARGEST_RESERVE = 1 / 3
"""Share of the minutes that is kept for the last session at most."""


@dataclass(frozen=True)
class Budget:
    """How long to explore: pipelines tried, those of earlier starts included, and minutes of this start.

    None sets no limit. A pipeline that gives the model of another does not count.
    """

    evaluations: int | None = None
    minutes: float | None = None


@dataclass(frozen=True)
class Found:
    """What a search found: the run, the variants of its front, the fastest first, and how many trials ended how."""

    run: Run
    front: list[str]
    endings: dict[str, int]

    @property
    def best(self) -> Run:
        """The run with the rows of the baseline and the front alone."""
        names = dict.fromkeys([self.run.about["baseline"], *self.front])
        rows = {row["variant"]: row for row in self.run.about["rows"]}
        return replace(self.run, about={**self.run.about, "rows": [rows[name] for name in names]})


def search(
    task: Task,
    space: Space,
    folder: Path,
    settings: Settings,
    budget: Budget,
    screening: Screening,
    say: Callable[[str], None] = lambda _: None,
) -> Found:
    """Explore `space` within `budget` and return the pipelines that no other beats in both accuracy and speed.

    A pipeline that loses too much on the first images is given up; the others are scored on all images, and timed for a
    moment beside the baseline, one at a time. In the end those that may be best are timed side by side, as long as
    `settings` says. A search that was interrupted is continued by the same call.

    Raises
    ------
    RunError
        The folder cannot be used, the space is large and optuna missing, or neither the baseline nor anything else can
        be scored.
    UserError
        The model or the data cannot be read.
    """
    explorer = explorer_for(space, budget.evaluations)
    started = monotonic()
    source, data = identify_source(task.variants), task.variants.source.fingerprint()
    tried_before = _tried_before(folder, space)
    text, trials_before = task.text([task.baseline]), [trial.model_dump(mode="json") for trial in tried_before]
    about = about_run(task.variants, source, data) | _about(folder, space, text, trials_before, [])
    with open_run(folder, about) as run:
        write_atomically(run.folder / FRONT, text.encode())
        glancing = Scoring(run, task.variants, replace(settings, effort=GLANCE), source, data, say)
        trials = Trials(run, glancing, task.variants, screening, say)
        journal = _Journal(run, task, space, trials.baseline.plan)
        for tried in tried_before:
            plan = task.plan(space.name(tried.choices), pipeline_of(tried.choices))
            if (recalled := trials.recall(plan)) is not None:
                journal.enter(tried.choices, plan, recalled)
        journal.tell([])
        if journal.known:
            say(f"{counted(len(journal.known), 'pipeline is', 'pipelines are')} known from an earlier start")
        while (choices := explorer.propose(journal.known)) is not None:
            if _is_spent(budget, settings, journal, monotonic() - started):
                break
            plan, before = task.plan(space.name(choices), pipeline_of(choices)), monotonic()
            say(f"trying {plan.variant} (number {len(journal.known) + 1} of {space.size})")
            journal.enter(choices, plan, trials.recall(plan) or trials.run(plan))
            journal.tell([])
            journal.seconds.append(monotonic() - before)
        if len(journal.points) == 1:
            raise RunError(
                f"none of {counted(len(journal.known), 'pipeline')} makes another model that runs and loses "
                f"at most {screening.max_drop:g} points of mIoU",
                cure=f"why: fastscnn-opt compare {folder}",
            )
        names = [point.name for point in finalists(journal.points, _MOST_FINALISTS)]
        rows = [row for name, row in trials.rows.items() if name in names and row is not trials.baseline]
        if rows:
            Scoring(run, task.variants, settings, source, data, say).time([trials.baseline, *rows])
        points = [point for row in (trials.baseline, *rows) if (point := trials.point(row)) is not None]
        return journal.close([point.name for point in leaders(points)])


def _tried_before(folder: Path, space: Space) -> list[_Trial]:
    """Return what an earlier start tried, as long as the space and all versions are the same."""
    if not (folder / "run.json").is_file():
        return []
    about = read_run(folder).about
    if "search" not in about:
        raise RunError(
            "a run of `score`, which a search would change", where=folder, cure="name a new folder for --run"
        )
    if about.get("versions") != versions():
        return []
    try:
        trials = TypeAdapter(list[_Trial]).validate_python(about["search"]["trials"])
    except (TypeError, KeyError, ValidationError) as error:
        raise RunError(
            "damaged (what the search tried)", where=folder / "run.json", cure="search into another folder"
        ) from error
    return [trial for trial in trials if trial.choices in space]


class _Trial(BaseModel):
    """What ``run.json`` says of one trial."""

    choices: tuple[str, ...]
    ending: Ending


def _is_spent(budget: Budget, settings: Settings, journal: _Journal, elapsed_s: float) -> bool:
    """Tell whether another trial, and the last session after it, no longer fit into the budget."""
    if budget.evaluations is not None and journal.tried >= budget.evaluations:
        return True
    if budget.minutes is None:
        return False
    whole_s = 60 * budget.minutes
    models = 1 + len(finalists(journal.points, _MOST_FINALISTS))
    last_s = models * (_SETUP_S + (settings.effort.seconds if settings.effort else 0.0))
    trial_s = sum(journal.seconds) / len(journal.seconds) if journal.seconds else 0.0
    return elapsed_s + trial_s + min(last_s, _LARGEST_RESERVE * whole_s) > whole_s


@dataclass
class _Journal:
    """What is known so far; ``run.json`` says it, too, so that an interruption loses nothing."""

    run: OpenRun
    task: Task
    space: Space
    baseline: RowPlan
    known: dict[Choices, Outcome] = field(default_factory=dict)
    plans: dict[Choices, RowPlan] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def tried(self) -> int:
        """How many pipelines were tried, without those that gave the model of another."""
        return sum(outcome.ending is not Ending.SAME for outcome in self.known.values())

    @property
    def points(self) -> list[Point]:
        """The figures of the baseline and of every pipeline that was scored."""
        scored = [outcome.point for outcome in self.known.values() if outcome.ending is Ending.SCORED]
        return [Point.of_baseline(self.baseline.variant), *(point for point in scored if point is not None)]

    def enter(self, choices: Choices, plan: RowPlan, outcome: Outcome) -> None:
        self.known[choices], self.plans[choices] = outcome, plan

    def close(self, front_names: list[str]) -> Found:
        self.tell(front_names)
        endings = Counter(str(outcome.ending) for outcome in self.known.values())
        return Found(self.run, front_names, {str(ending): endings[str(ending)] for ending in Ending})

    def tell(self, front_names: list[str]) -> None:
        """Write the rows, those of the front first, and the trials; a variants file of the front lies beside them."""
        own = {
            plan.variant: plan for choices, plan in self.plans.items() if self.known[choices].ending is not Ending.SAME
        }
        first = [own.pop(name) for name in front_names if name in own]
        trials = [{"choices": list(choices), "ending": str(outcome.ending)} for choices, outcome in self.known.items()]
        rows = [self.baseline, *first, *own.values()]
        text = self.task.text([self.baseline, *first])
        write_atomically(self.run.folder / FRONT, text.encode())
        about = _about(self.run.folder, self.space, text, trials, front_names)
        self.run.tell_about(rows=[asdict(row) for row in rows], **about)


def _about(
    folder: Path, space: Space, text: str, trials: list[dict[str, Any]], front_names: list[str]
) -> dict[str, Any]:
    """Return what ``run.json`` says of a search: its variants file, which says `text`, and what was tried."""
    return {
        "variants_file": {"path": str(folder / FRONT), "sha256": key_of(text), "text": text},
        "search": {"space": space.text, "size": space.size, "trials": trials, "front": front_names},
    }
