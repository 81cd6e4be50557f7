"""Strategies that choose which pipeline of a space to try next, from the results of those tried before."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TypeAlias

from fastscnn_opt.errors import RunError
from fastscnn_opt.scoring.pareto import NOTICEABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastscnn_opt.searching.space import Choices, Space
    from fastscnn_opt.searching.tradeoffs import TradeOff

SMALL = 32
"""Pipelines up to which a space is explored whole even if the budget is in minutes."""

_REPEATS = 20
"""Proposals in a row that were tried already, after which the next untried pipeline is taken instead."""

_HOPELESS = (100.0, 0.0)
"""Points lost and ratio that the sampler gets for a pipeline that failed or lost too much."""


class TrialStatus(StrEnum):
    """How a trial ended."""

    SCORED = "scored"
    PRUNED = "pruned"
    FAILED = "failed"
    SAME = "same"
    """It makes the same model as another pipeline."""


@dataclass(frozen=True)
class TrialResult:
    """How the trial of a pipeline ended, and the figures of one that was scored."""

    status: TrialStatus
    trade_off: TradeOff | None = None


Tried: TypeAlias = "Mapping[Choices, TrialResult]"


class Strategy(Protocol):
    """Chooses what to try next."""

    def propose(self, tried: Tried) -> Choices | None:
        """Return a pipeline that was not tried yet; None if there is none left."""


def strategy_for(space: Space, evaluations: int | None) -> Strategy:
    """Return the strategy for a space: try all of a small one, and the promising part of a large one.

    Raises
    ------
    RunError
        The space is large, and optuna is not installed.
    """
    if space.size <= max(SMALL, evaluations or 0):
        return ExhaustiveStrategy(space)
    if find_spec("optuna") is None:
        raise RunError(
            f"the space has {space.size} pipelines, and a search in so many needs optuna, which is not installed",
            cure=f"pip install 'fastscnn-opt[search]', or try all of them with --evaluations {space.size}",
        )
    return GuidedStrategy(space)


class ExhaustiveStrategy:
    """Tries every pipeline, those with the fewest deviations from the plain one first."""

    def __init__(self, space: Space) -> None:
        self._order = sorted(space.all(), key=space.distance)

    def propose(self, tried: Tried) -> Choices | None:
        """Return the first that was not tried."""
        return next((choices for choices in self._order if choices not in tried), None)


class GuidedStrategy:
    """Tries every alternative alone, then the fastest of each slot together, then what optuna's TPE sampler proposes.

    The fastest are combined once for each loss that an alternative has alone, among those that lose no more. An
    alternative that alone changes nothing, fails or loses too much is not tried in combination. A proposal depends
    only on the trials before it, so an interrupted search goes on as it would have without the interruption.
    """

    def __init__(self, space: Space) -> None:
        self._space = space

    def propose(self, tried: Tried) -> Choices | None:
        """Return an untried single alternative, else an untried combination."""
        singles = list(self._space.singles())
        if untried := [choices for choices in singles if choices not in tried]:
            return untried[0]
        space = self._space
        for choices in singles[1:]:
            if tried[choices].status is not TrialStatus.SCORED:
                space = space.without(choices)
        losses = {one.drop for choices in singles if (one := tried[choices].trade_off) is not None}
        for allowed in sorted({max(NOTICEABLE, loss) for loss in losses}):
            if (together := _fastest_together(space, tried, allowed)) not in tried:
                return together
        return _proposal(space, tried) or next((choices for choices in space.all() if choices not in tried), None)


def _fastest_together(space: Space, tried: Tried, allowed: float) -> Choices:
    """Return in each slot the alternative that alone was the fastest of those that lost no more than `allowed`."""
    fastest: dict[int, tuple[float, str]] = {}
    for choices in space.singles():
        found = tried[choices].trade_off
        if found is None or (found.drop > allowed and choices != space.plain):
            continue
        for place, (text, plain) in enumerate(zip(choices, space.plain, strict=True)):
            if text != plain or choices == space.plain:
                fastest[place] = max(fastest.get(place, (0.0, plain)), (found.ratio, text))
    return tuple(fastest.get(place, (0.0, plain))[1] for place, plain in enumerate(space.plain))


def _proposal(space: Space, tried: Tried) -> Choices | None:
    """Return what optuna proposes after all trials so far; None if it only proposes what was tried."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=["minimize", "maximize"], sampler=optuna.samplers.TPESampler(seed=len(tried), n_startup_trials=1)
    )
    distributions = {slot.name: optuna.distributions.CategoricalDistribution(slot.alternatives) for slot in space.slots}
    for choices in filter(space.__contains__, tried):
        found = tried[choices].trade_off
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(zip(distributions, choices, strict=True)),
                distributions=dict(distributions),
                values=[found.drop, found.ratio] if found else list(_HOPELESS),
            )
        )
    for _ in range(_REPEATS):
        params = study.ask(dict(distributions)).params
        choices = tuple(params[slot.name] for slot in space.slots)
        if choices not in tried:
            return choices
    return None
