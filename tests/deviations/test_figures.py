"""The figures of a tensor, against their formulas over all values at once."""

import math

import numpy as np
import pytest

from fastscnn_opt.deviations.figures import Sums, db

RNG = np.random.default_rng(3)


def sums(*runs):
    found = Sums()
    for a, b in runs:
        found.add(np.asarray(a), np.asarray(b))
    return found


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (4, 6), (5,), ()])
def test_figures_of_two_runs_are_those_of_all_values(shape):
    runs = [(RNG.standard_normal(shape), RNG.standard_normal(shape)) for _ in range(2)]
    found = sums(*runs)
    a, b = (np.concatenate([run[side].reshape(-1) for run in runs]) for side in (0, 1))
    assert db(found.noise) == pytest.approx(10 * np.log10(np.sum(a**2) / np.sum((a - b) ** 2)))
    assert found.cosine == pytest.approx(np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b))
    assert (found.largest, found.largest_a) == (np.abs(a - b).max(), np.abs(a).max())


def test_float16_is_not_compared_in_float16():
    a = np.full(70_000, 300, np.float16)
    assert sums((a, a + np.float16(0.25))).noise == pytest.approx((0.25 / 300) ** 2)


def test_equal_values_have_no_noise():
    found = sums(([1.0, 2.0], [1.0, 2.0]))
    assert (found.noise, found.largest, db(found.noise)) == (0, 0, math.inf)


def test_a_tensor_of_zeros_is_nothing_but_noise():
    found = sums(([0.0, 0.0], [1.0, 0.0]))
    assert (db(found.noise), found.cosine) == (-math.inf, None)


def test_what_is_infinite_or_no_number_in_both_models_counts_nothing():
    found = sums(([1.0, np.inf, np.nan, -np.inf], [2.0, np.inf, np.nan, -np.inf]))
    assert (found.noise, found.largest, found.cosine) == (1, 1, 1)


@pytest.mark.parametrize(("a", "b"), [(np.inf, 1.0), (1.0, np.nan), (np.inf, -np.inf)])
def test_what_is_infinite_or_no_number_in_one_model_is_nothing_but_noise(a, b):
    found = sums(([1.0, a], [1.0, b]), ([1.0, 1.0], [1.0, 1.0]))
    assert (found.noise, found.cosine, math.isfinite(found.largest)) == (math.inf, None, False)


FACTORS = np.array([0.1, 3, 1, 20])


def scaled(a):
    return a * FACTORS.reshape(1, 4, 1, 1)


def test_factors_of_the_channels_are_found_and_taken_out():
    a = RNG.standard_normal((1, 4, 16, 16))
    found = sums((a, scaled(a + 0.01 * RNG.standard_normal(a.shape))))
    np.testing.assert_allclose(found.factors, FACTORS, rtol=1e-2)
    assert found.noise == pytest.approx(1e-4, rel=0.1)


def test_factors_are_found_where_the_strongest_channels_have_the_same():
    a = RNG.standard_normal((1, 4, 16, 16)) * np.array([1, 1, 1, 0.2]).reshape(1, 4, 1, 1)
    found = sums((a, a * np.array([2, 2, 2, 0.5]).reshape(1, 4, 1, 1)))
    np.testing.assert_allclose(found.factors, [2, 2, 2, 0.5])


def test_an_output_of_the_graph_is_never_rescaled():
    a, found = RNG.standard_normal((1, 4, 16, 16)), Sums(is_output=True)
    found.add(a, scaled(a))
    assert found.noise == pytest.approx(np.sum((a - scaled(a)) ** 2) / np.sum(a**2))


def test_one_factor_of_all_channels_is_a_deviation():
    a = RNG.standard_normal((1, 4, 16, 16))
    assert sums((a, 1.5 * a)).noise == pytest.approx(0.25)


def test_noise_is_no_factor():
    a = RNG.standard_normal((1, 4, 16, 16))
    assert (sums((a, a + RNG.standard_normal(a.shape))).factors == 1).all()


def test_a_factor_of_few_elements_is_none():
    a = RNG.standard_normal((1, 4, 2, 2))
    assert (sums((a, scaled(a))).factors == 1).all()


def test_a_factor_of_constant_channels_is_none():
    a = np.broadcast_to(RNG.standard_normal((1, 4, 1, 1)), (1, 4, 16, 16))
    assert (sums((a, scaled(a))).factors == 1).all()


def test_the_number_of_channels_may_differ_between_images():
    runs = [(RNG.standard_normal((1, n, 4)), RNG.standard_normal((1, n, 4))) for n in (3, 5, 5)]
    noise = sum(np.sum((a - b) ** 2) for a, b in runs) / sum(np.sum(a**2) for a, _ in runs)
    assert sums(*runs).noise == pytest.approx(noise)


def test_a_tensor_without_elements_is_equal():
    assert sums((np.zeros((1, 0, 4)), np.zeros((1, 0, 4)))).noise == 0
