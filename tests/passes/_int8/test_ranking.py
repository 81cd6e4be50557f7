"""Which layers stay in float, for made-up accuracies."""

import pytest
from fastscnn_opt.passes._int8.ranking import loss_between, rank_layers


class MadeUp:
    """Images on which each layer in int8 takes its part off the IoU of one class and adds another to the other's."""

    def __init__(self, parts: dict[str, tuple[float, float]]) -> None:
        self.parts = parts

    def class_iou(self, layers):
        lost, gained = (sum(self.parts[layer][side] for layer in layers) for side in (0, 1))
        return {"road": 0.9 - lost, "bus": 0.5 + gained, "train": None}


PARTS = {"a": (0.001, 0.0), "b": (0.02, 0.01), "c": (0.0, 0.005), "d": (0.0002, 0.0)}


def decide(max_drop: float, parts=PARTS):
    return rank_layers(list(parts), tuple, (), MadeUp(parts), max_drop)


def test_a_gain_of_one_class_does_not_pay_for_the_loss_of_another():
    found = loss_between({"road": 0.9, "bus": 0.5, "train": None}, {"road": 0.88, "bus": 0.52, "train": None})
    assert (found.drop, found.change) == (pytest.approx(0), pytest.approx(2))


def test_a_class_that_only_one_of_the_two_sees_counts_as_zero_for_the_other():
    assert loss_between({"road": 0.5, "bus": None}, {"road": 0.5, "bus": 0.01}).change == pytest.approx(0.5)


def test_layers_are_ranked_by_the_size_of_the_change():
    ranking = decide(1.0)
    assert list(ranking.alone) == ["b", "c", "a", "d"]
    assert ranking.alone["b"].change == pytest.approx(1.5)
    assert ranking.alone["b"].drop == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("max_drop", "kept"),
    [
        (10.0, ()),
        (0.5, ("b",)),  # left: (0.12 + 0.5) / 2 = 0.31 points, at most 0.33
        (0.4, ("b", "c")),  # left: 0.12 / 2 = 0.06, at most 0.27
        (0.08, ("b", "c", "a")),
        (0.01, ("b", "c", "a", "d")),
    ],
)
def test_the_fewest_from_the_top_stay_in_float_such_that_two_thirds_of_the_budget_hold(max_drop, kept):
    ranking = decide(max_drop)
    assert ranking.in_float == kept
    assert ranking.loss.change <= max_drop * 2 / 3
