"""The front: what nobody beats, and what may turn out so when it is measured better."""

from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.scoring.searching.front import Point, finalists, front


def point(name: str, drop: float, ratio: float, spread: float = 0.0) -> Point:
    return Point(name, drop, ratio, ratio - spread, ratio + spread)


def names(points) -> list[str]:
    return [item.name for item in points]


def test_the_fastest_of_each_accuracy_are_the_front():
    points = [point("a", 0, 1), point("b", 0, 2), point("c", 1, 3), point("d", 1.5, 2.5), point("e", 2, 3)]
    assert names(front(points)) == ["c", "b"]


def test_a_difference_of_accuracy_that_is_rounding_puts_nobody_ahead():
    assert names(front([point("exact", 0, 2), point("rounded", 0.005, 2.1)])) == ["rounded"]
    assert names(front([point("exact", 0, 2), point("lossy", 0.05, 2.1)])) == ["lossy", "exact"]


def test_what_is_within_the_intervals_may_be_on_the_front():
    points = [point("best", 0, 2, 0.1), point("near", 0, 1.9, 0.1), point("far", 0, 1.5, 0.1)]
    assert names(finalists(points, 8)) == ["best", "near"]
    assert names(finalists(points, 1)) == ["best"]


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 10)), min_size=1, max_size=12))
def test_everything_is_on_the_front_or_beaten_by_something_on_it(figures):
    points = [point(str(index), *figure) for index, figure in enumerate(figures)]
    leaders = front(points)
    assert leaders
    assert max(points, key=lambda item: item.ratio).ratio == leaders[0].ratio
    for other in points:
        beaten = any(leader.ratio >= other.ratio and leader.drop <= other.drop + 0.01 * 12 for leader in leaders)
        assert other in leaders or beaten
