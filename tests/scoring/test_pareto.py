"""The Pareto front: items that no faster item matches in accuracy."""

from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.scoring.pareto import pareto_front


def best(named: dict[str, tuple[float, float]]) -> list[str]:
    """Return the names on the front of losses in points and speeds."""
    return pareto_front(named, speed=lambda name: named[name][1], loss=lambda name: named[name][0])


def test_the_fastest_of_each_accuracy_are_the_front():
    assert best({"a": (0, 1), "b": (0, 2), "c": (1, 3), "d": (1.5, 2.5), "e": (2, 3)}) == ["c", "b"]


def test_a_difference_of_accuracy_that_is_rounding_puts_nobody_ahead():
    assert best({"exact": (0, 2), "rounded": (0.005, 2.1)}) == ["rounded"]
    assert best({"exact": (0, 2), "lossy": (0.05, 2.1)}) == ["lossy", "exact"]


def test_small_differences_do_not_add_up_to_one_that_is_passed_over():
    steps = {str(step): (0.004 * step, 1 + step) for step in range(6)}
    assert best(steps) == ["5", "3", "1"]


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 10)), min_size=1, max_size=12))
def test_everything_is_on_the_front_or_made_up_for_by_something_on_it(figures):
    front = pareto_front(figures, speed=lambda item: item[1], loss=lambda item: item[0])
    assert front[0][1] == max(speed for _, speed in figures)
    for loss, speed in figures:
        assert any(other >= speed and lost <= loss + 0.0051 for lost, other in front)
