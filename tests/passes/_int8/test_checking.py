"""Which outputs count as lost in int8."""

import numpy as np
import onnx
import pytest
from fastscnn_opt.passes._int8 import checking
from fastscnn_opt.passes._int8.checking import outputs_that_deviate
from graphs import parse

from fastscnn_opt.errors import PassError

RNG = np.random.default_rng(9)
VALUES = RNG.standard_normal((1, 2, 40, 50)).astype(np.float32)


class Images:
    """Feeds in place of images."""

    def __init__(self, *feeds: np.ndarray) -> None:
        self._feeds = feeds

    def fingerprint(self) -> str:
        return str(hash(tuple(feed.tobytes() for feed in self._feeds)))

    def feeds(self):
        return ({"x": feed} for feed in self._feeds)


def model(text: str, output: str = "float") -> onnx.ModelProto:
    constants = "<float k = {0.05}, float one = {1}, float five = {5}>"
    return parse(f"g (float[1,2,40,50] x) => ({output}[1,2,40,50] y) {constants} {{ {text} }}")


SAME = model("y = Identity(x)")


@pytest.fixture(autouse=True)
def uncached(monkeypatch):
    monkeypatch.setattr(checking, "cached", lambda _, measure, *__: measure())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("s = Div(x, k) r = Round(s) y = Mul(r, k)", ""),
        ("y = Relu(x)", "differs by 7"),
        ("s = Add(x, one) y = Sub(s, one)", ""),
        ("y = Neg(x)", "differs by 200%"),
        ("y = Mul(x, k)", "differs by 95%"),
    ],
)
def test_noise_is_told_from_loss(text, problem):
    found = outputs_that_deviate(SAME, model(text), Images(VALUES)).get("y", "")
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_a_lost_end_of_the_range_is_told_where_it_makes_little_noise():
    rare = np.where(RNG.random(VALUES.shape) < 0.02, -1.5, 3 + 0.1 * VALUES).astype(np.float32)
    found = outputs_that_deviate(SAME, model("y = Relu(x)"), Images(rare, rare + 0.01))
    assert found["y"].startswith("ranges from 0 to 3.")


def test_outliers_may_be_cut_off():
    outlier = VALUES.copy()
    outlier[0, 0, 0, 0] = 20
    assert outputs_that_deviate(SAME, model("y = Clip(x, , five)"), Images(outlier)) == {}


@pytest.mark.parametrize(("shift", "problem"), [(0.05, ""), (1, "differs in ")])
def test_labels_may_change_here_and_there(shift, problem):
    before = model("z = Sub(one, one) y = Greater(x, z)", "bool")
    after = parse("g (float[1,2,40,50] x) => (bool[1,2,40,50] y) { y = Greater(x, shift) }", shift=np.float32(shift))
    found = outputs_that_deviate(before, after, Images(VALUES)).get("y", "")
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_an_output_that_is_no_longer_finite_is_an_error():
    with pytest.raises(
        PassError, match="in int8 the output 'y' is infinite or not a number where it is finite in float"
    ):
        outputs_that_deviate(SAME, model("y = Sqrt(x)"), Images(VALUES))


def test_what_float_does_not_know_either_is_no_matter():
    assert outputs_that_deviate(model("y = Sqrt(x)"), model("a = Abs(x) y = Sqrt(a)"), Images(VALUES)) == {}


def test_zero_that_stays_zero_is_right_and_anything_else_is_not():
    zero = model("y = Sub(x, x)")
    assert outputs_that_deviate(zero, zero, Images(VALUES)) == {}
    assert outputs_that_deviate(zero, SAME, Images(VALUES))["y"].startswith("differs by inf%")
