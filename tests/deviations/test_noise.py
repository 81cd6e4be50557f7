"""Noise is ascribed to the tensor in which it arises."""

import numpy as np
import pytest
from graphs import parse

from fastscnn_opt.deviations.figures import Sums
from fastscnn_opt.deviations.graph import PlainGraph
from fastscnn_opt.deviations.noise import deviations

CHAIN = parse("g (float[4] x) => (float[4] y) { a = Exp(x) b = Neg(a) c = Relu(b) y = Neg(c) }")


def rows(model, **noise):
    """The rows of tensors whose noise, by signal, is given; in their order."""
    sums = {name: Sums() for name in noise}
    for name, power in noise.items():
        sums[name].add(np.ones(4), np.ones(4) + np.sqrt(power))
    found = deviations(PlainGraph(model).scope, {name: name for name in noise}, sums, 40.0)
    return {row.tensor: row for row in found}


def added(found):
    return {name: row.added_db and round(row.added_db, 3) for name, row in found.items()}


def test_noise_that_a_tensor_takes_over_does_not_arise_in_it():
    assert added(rows(CHAIN, x=0, a=0.01, b=0.01, c=0.02, y=0.02)) == {
        "x": None, "a": 20, "b": None, "c": 20, "y": None,
    }  # fmt: skip


def test_noise_that_is_gone_behind_a_tensor_does_not_count():
    assert added(rows(CHAIN, x=0, a=0.5, b=0.001, c=0.001, y=0.001)) == {
        "x": None, "a": 30, "b": None, "c": None, "y": None,
    }  # fmt: skip


def test_operators_are_those_since_the_tensors_that_are_compared():
    found = rows(CHAIN, x=0, c=0.1, y=0.2)
    assert [row.operators for row in found.values()] == ["input", "Exp+Neg+Relu", "Neg"]


def test_a_tensor_inherits_the_most_noise_of_those_before_it():
    model = parse("g (float[4] x) => (float[4] y) { a = Exp(x) b = Neg(x) y = Add(a, b) }")
    assert added(rows(model, x=0, a=0.01, b=0.1, y=0.2))["y"] == 10


@pytest.mark.parametrize(("noise", "beyond"), [(0.9e-4, False), (1.1e-4, True)])
def test_a_tensor_is_beyond_the_limit_below_it(noise, beyond):
    assert rows(CHAIN, y=noise)["y"].is_beyond is beyond


def test_figures_are_missing_where_they_are_not_finite():
    sums = {"y": Sums()}
    sums["y"].add(np.array([1.0, 1.0]), np.array([1.0, np.nan]))
    (row,) = deviations(PlainGraph(CHAIN).scope, {"y": "z"}, sums, 40.0)
    assert (row.max_abs, row.relative, row.cosine, row.snr_db, row.added_db) == (None,) * 5
    assert (row.same, row.is_beyond) == (False, True)
