"""The noise at the end of a network is ascribed to the layers in which it arises."""

import numpy as np
import pytest
from graphs import parse, random_input

from fastscnn_opt.deviations.figures import Sums
from fastscnn_opt.deviations.noise import layers, noise_of_layers, origin
from fastscnn_opt.deviations.runner import InnerRunner

CHAIN = """
    g (float[1,4,8,8] x) => (float[1,4,8,8] y) {
        a = Conv(x, w1) b = Relu(a) c = Conv(b, w2) d = Relu(c) e = Conv(d, w3) y = Neg(e)
    }
"""
WEIGHTS = {name: random_input(4, 4, 1, 1) * scale for name, scale in (("w1", 1), ("w2", -1), ("w3", 0.5))}
FEEDS = {"x": random_input(1, 4, 8, 8)}


def chain(text=CHAIN, **weights):
    return InnerRunner(parse(text, **{**WEIGHTS, **weights}), "model")


def noise(one, two, feeds=FEEDS, names="xabcdey"):
    """The noise of the layers among the tensors `names`, which are called the same in both models."""
    sums = {name: Sums() for name in names}
    values = zip(one.opened(list(names))(FEEDS), two.opened(list(names))(feeds), strict=True)
    for found, pair in zip(sums.values(), values, strict=True):
        found.add(*pair)
    return noise_of_layers((one, two), {name: name for name in names}, sums, (FEEDS, feeds), lambda *_: None)


def end(runner, feeds=FEEDS):
    return runner.opened(["e"])(feeds)[0].astype(np.float64)


def ratio(one, two, feeds=FEEDS):
    a, b = end(one), end(two, feeds)
    return np.sum((a - b) ** 2) / np.sum(a**2)


def test_layers_are_what_nodes_with_weights_compute_and_inputs():
    assert layers(chain().graph.scope, dict.fromkeys("xabcdey")) == ["x", "a", "c", "e"]
    assert layers(chain().graph.scope, dict.fromkeys("xbdy")) == ["x", "b", "d", "y"]


def test_the_nodes_of_a_tensor_are_those_since_the_tensors_that_are_known():
    assert origin(chain().graph.scope, "d", {"x", "a"}) == ([1, 2, 3], ["a"])


@pytest.mark.parametrize(("weight", "layer"), [("w1", "a"), ("w2", "c"), ("w3", "e")])
def test_noise_at_the_end_is_that_of_the_layer_that_differs(weight, layer):
    other = chain(**{weight: WEIGHTS[weight] * 1.1})
    found = noise(chain(), other)
    assert found[layer] == pytest.approx(ratio(chain(), other), rel=1e-4)
    assert all(power < 1e-9 for name, power in found.items() if name != layer)


def test_noise_of_the_input_is_that_of_the_input():
    feeds = {"x": FEEDS["x"] * 1.1}
    found = noise(chain(), chain(), feeds)
    assert found["x"] == pytest.approx(ratio(chain(), chain(), feeds), rel=1e-4)
    assert found["a"] + found["c"] + found["e"] < 1e-9


def test_noise_of_two_layers_is_that_of_the_first_and_what_the_second_adds():
    half, other = chain(w1=WEIGHTS["w1"] * 1.1), chain(w1=WEIGHTS["w1"] * 1.1, w3=WEIGHTS["w3"] * 1.2)
    found = noise(chain(), other)
    assert found["a"] == pytest.approx(ratio(chain(), half), rel=1e-4)
    assert found["e"] == pytest.approx(ratio(chain(), other) - ratio(chain(), half), rel=1e-4)


def test_what_the_second_model_clips_later_is_no_noise():
    late = chain(
        CHAIN.replace("b = Relu(a) c = Conv(b, w2)", "b = Mul(a, one) r = Relu(b) c = Conv(r, w2)"), one=np.float32(1)
    )
    assert sum(noise(chain(), late, names="xbde").values()) < 1e-9


def test_a_factor_that_the_next_layer_undoes_is_no_noise():
    factors = np.array([0.1, 3, 1, 20], np.float32)
    other = chain(w1=WEIGHTS["w1"] * factors.reshape(4, 1, 1, 1), w2=WEIGHTS["w2"] / factors.reshape(1, 4, 1, 1))
    assert sum(noise(chain(), other).values()) < 1e-9


def test_a_layer_on_integers_is_replaced_by_what_it_stands_for():
    quantised = InnerRunner(
        parse(
            """
            g (float[1,4,8,8] x) => (float[1,4,8,8] e) <float s = {0.1}, uint8 z = {128}> {
                q = QuantizeLinear(x, s, z)
                k = QuantizeLinear(w1, s, z)
                c = QLinearConv(q, s, z, k, s, z, s, z)
                d = DequantizeLinear(c, s, z)
                e = Conv(d, w3)
            }
            """,
            **WEIGHTS,
        ),
        "quantised",
    )
    float_form = chain("g (float[1,4,8,8] x) => (float[1,4,8,8] e) { c = Conv(x, w1) e = Conv(c, w3) }")
    for one, two in ((quantised, float_form), (float_form, quantised)):
        found = noise(one, two, names="xce")
        assert found["x"] + found["c"] == pytest.approx(ratio(one, two), rel=1e-3)
