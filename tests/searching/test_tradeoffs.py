"""Which pipelines a better measurement may still put on the Pareto front."""

from fastscnn_opt.searching.tradeoffs import TradeOff, finalists


def point(name: str, drop: float, ratio: float, spread: float = 0.0) -> TradeOff:
    return TradeOff(name, drop, ratio, ratio - spread, ratio + spread)


def names(points) -> list[str]:
    return [item.name for item in points]


def test_what_is_within_the_intervals_may_be_on_the_front():
    points = [point("best", 0, 2, 0.1), point("near", 0, 1.9, 0.1), point("far", 0, 1.5, 0.1)]
    assert names(finalists(points, 8)) == ["best", "near"]
    assert names(finalists(points, 1)) == ["best"]
