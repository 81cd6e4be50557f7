"""What is tried next: everything in a small space, what promises most in a large one."""

from dataclasses import replace
from importlib.util import find_spec

import pytest

from fastscnn_opt.errors import RunError
from fastscnn_opt.searching import strategies
from fastscnn_opt.searching.space import Slot, Space
from fastscnn_opt.searching.strategies import ExhaustiveStrategy, GuidedStrategy, TrialResult, TrialStatus, strategy_for
from fastscnn_opt.searching.tradeoffs import TradeOff


def space_of(*sizes: int) -> Space:
    """Slots with as many alternatives, called by their place: ("", "s0a1", ...)."""
    slots = [
        Slot(f"s{place}", ("", *(f"s{place}a{index}" for index in range(1, size)))) for place, size in enumerate(sizes)
    ]
    return Space("", tuple(slots), "")


def measure(choices) -> TrialResult:
    """Number n of a slot makes it 1 + n / 4 times as fast; those of slot 0 fail, and those of slot 1 lose too much."""
    if choices[0]:
        return TrialResult(TrialStatus.FAILED)
    if choices[1]:
        return TrialResult(TrialStatus.PRUNED)
    ratio = 1.0
    for text in filter(None, choices):
        ratio *= 1 + int(text[-1]) / 4
    return TrialResult(TrialStatus.SCORED, TradeOff(str(choices), 0.0, ratio, ratio, ratio))


def explored(strategy, count: int, outcome_of=measure) -> dict:
    known: dict = {}
    while len(known) < count and (choices := strategy.propose(known)) is not None:
        assert choices not in known
        known[choices] = outcome_of(choices)
    return known


def test_a_small_space_is_explored_whole_the_simplest_first():
    space = space_of(2, 2, 3)
    order = list(explored(strategy_for(space, None), 100))
    assert sorted(order) == sorted(space.all())
    distances = [space.distance(choices) for choices in order]
    assert distances == sorted(distances)


def test_a_space_is_small_if_the_budget_covers_it():
    space = space_of(3, 3, 3, 3)
    assert isinstance(strategy_for(space, 81), ExhaustiveStrategy)


@pytest.fixture
def guided():
    pytest.importorskip("optuna", reason="a large space is searched with optuna")
    return GuidedStrategy(space_of(3, 3, 4, 4, 4, 4))


def test_alternatives_that_are_no_use_alone_are_not_combined(guided):
    known = explored(guided, 24)
    singles = 1 + 2 * 2 + 4 * 3
    assert all(sum(map(bool, choices)) <= 1 for choices in list(known)[:singles])
    assert all(not choices[0] and not choices[1] for choices in list(known)[singles:])


def test_the_fastest_alternatives_are_put_together_first(guided):
    *singles, together = explored(guided, 1 + 2 * 2 + 4 * 3 + 1)
    assert max(map(sum, (map(bool, choices) for choices in singles))) == 1
    assert together == ("", "", "s2a3", "s3a3", "s4a3", "s5a3")


def interfering(choices) -> TrialResult:
    """The two fastest alternatives of the last slots slow each other down, so that the best is another combination."""
    result = measure(choices)
    if result.trade_off is None or choices[4:] != ("s4a3", "s5a3"):
        return result
    return TrialResult(TrialStatus.SCORED, TradeOff(str(choices), 0.0, 0.5, 0.5, 0.5))


def test_the_best_of_thousands_is_found_with_few_trials(guided):
    known = explored(guided, 45, interfering)
    assert max(result.trade_off.ratio for result in known.values() if result.trade_off) >= 1.75**2 * 1.75 * 1.25


def test_what_loses_nothing_is_put_together_before_what_loses_something(guided):
    def lossy(choices) -> TrialResult:
        result = measure(choices)
        lost = 0.5 * sum(text.endswith("3") for text in choices)
        return (
            result
            if result.trade_off is None
            else TrialResult(TrialStatus.SCORED, replace(result.trade_off, drop=lost))
        )

    together = list(explored(guided, 1 + 2 * 2 + 4 * 3 + 2, lossy))[-2:]
    assert together == [("", "", "s2a2", "s3a2", "s4a2", "s5a2"), ("", "", "s2a3", "s3a3", "s4a3", "s5a3")]


def test_proposals_follow_from_what_is_known_alone(guided):
    whole = list(explored(guided, 23).items())
    for count in (0, 12, 22):
        assert guided.propose(dict(whole[:count])) == whole[count][0]


@pytest.mark.usefixtures("guided")
def test_the_end_of_what_is_left_is_reached():
    known = explored(GuidedStrategy(space_of(2, 2, 2, 2)), 1000)
    assert len(known) == 2 + 2 * 2, "two alternatives are no use, the two others are combined in every way"


def test_without_optuna_a_large_space_is_refused_with_the_cure(monkeypatch):
    monkeypatch.setattr(strategies, "find_spec", lambda name: None if name == "optuna" else find_spec(name))
    with pytest.raises(RunError, match=r"81 pipelines.*pip install 'fastscnn-opt\[search\]'.*--evaluations 81"):
        strategy_for(space_of(3, 3, 3, 3), None)
    assert isinstance(strategy_for(space_of(3, 3), None), ExhaustiveStrategy)
