"""What is tried next: everything in a small space, what promises most in a large one."""

from importlib.util import find_spec

import pytest

from fastscnn_opt.errors import RunError
from fastscnn_opt.scoring.searching import explorers
from fastscnn_opt.scoring.searching.explorers import Ending, Exhaustive, Guided, Outcome, explorer_for
from fastscnn_opt.scoring.searching.front import Point
from fastscnn_opt.scoring.searching.space import Slot, Space


def space_of(*sizes: int) -> Space:
    """Slots with as many alternatives, called by their place: ("", "s0a1", ...)."""
    slots = [
        Slot(f"s{place}", ("", *(f"s{place}a{index}" for index in range(1, size)))) for place, size in enumerate(sizes)
    ]
    return Space("", tuple(slots), "")


def measure(choices) -> Outcome:
    """Number n of a slot makes it 1 + n / 4 times as fast; those of slot 0 fail, and those of slot 1 lose too much."""
    if choices[0]:
        return Outcome(Ending.FAILED)
    if choices[1]:
        return Outcome(Ending.PRUNED)
    ratio = 1.0
    for text in filter(None, choices):
        ratio *= 1 + int(text[-1]) / 4
    return Outcome(Ending.SCORED, Point(str(choices), 0.0, ratio, ratio, ratio))


def explored(explorer, count: int) -> dict:
    known: dict = {}
    while len(known) < count and (choices := explorer.propose(known)) is not None:
        assert choices not in known
        known[choices] = measure(choices)
    return known


def test_a_small_space_is_explored_whole_the_simplest_first():
    space = space_of(2, 2, 3)
    order = list(explored(explorer_for(space, None), 100))
    assert sorted(order) == sorted(space.all())
    distances = [space.distance(choices) for choices in order]
    assert distances == sorted(distances)


def test_a_space_is_small_if_the_budget_covers_it():
    space = space_of(3, 3, 3, 3)
    assert isinstance(explorer_for(space, 81), Exhaustive)


@pytest.fixture
def guided():
    pytest.importorskip("optuna", reason="a large space is searched with optuna")
    return Guided(space_of(3, 3, 4, 4, 4, 4))


def test_alternatives_that_are_no_use_alone_are_not_combined(guided):
    known = explored(guided, 24)
    singles = 1 + 2 * 2 + 4 * 3
    assert all(sum(map(bool, choices)) <= 1 for choices in list(known)[:singles])
    assert all(not choices[0] and not choices[1] for choices in list(known)[singles:])


def test_the_best_of_thousands_is_found_with_few_trials(guided):
    best = max(outcome.point.ratio for outcome in explored(guided, 45).values() if outcome.point)
    assert best == pytest.approx(1.75**4)


def test_proposals_follow_from_what_is_known_alone(guided):
    whole = list(explored(guided, 23).items())
    for count in (0, 12, 22):
        assert guided.propose(dict(whole[:count])) == whole[count][0]


@pytest.mark.usefixtures("guided")
def test_the_end_of_what_is_left_is_reached():
    known = explored(Guided(space_of(2, 2, 2, 2)), 1000)
    assert len(known) == 2 + 2 * 2, "two alternatives are no use, the two others are combined in every way"


def test_without_optuna_a_large_space_is_refused_with_the_cure(monkeypatch):
    monkeypatch.setattr(explorers, "find_spec", lambda name: None if name == "optuna" else find_spec(name))
    with pytest.raises(RunError, match=r"81 pipelines.*pip install 'fastscnn-opt\[search\]'.*--evaluations 81"):
        explorer_for(space_of(3, 3, 3, 3), None)
    assert isinstance(explorer_for(space_of(3, 3), None), Exhaustive)
