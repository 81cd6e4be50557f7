"""Outputs of other sizes than the label are brought to it as torch does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.measuring.resampling import above_at, labels_at, nearest_at

SIZES = [((4, 8), (64, 128)), ((64, 128), (48, 40)), ((5, 7), (16, 9)), ((1, 1), (4, 4))]


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_labels_are_those_of_torch_interpolation(before, after):
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    logits = np.random.default_rng(1).standard_normal((7, *before)).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(logits)[None], size=after, mode="bilinear")
    np.testing.assert_array_equal(labels_at(logits, after), expected.argmax(1)[0].numpy())


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_a_threshold_is_applied_after_the_interpolation(before, after):
    torch = pytest.importorskip("torch", reason="the oracle is PyTorch")
    values = np.random.default_rng(2).standard_normal(before).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], size=after, mode="bilinear")
    np.testing.assert_array_equal(above_at(values, after, 0.1), (expected > 0.1)[0, 0].numpy())


def test_padding_right_and_below_does_not_count():
    logits = np.random.default_rng(3).standard_normal((3, 8, 8)).astype(np.float32)
    padded = np.pad(logits, ((0, 0), (0, 4), (0, 8)), constant_values=100.0)
    np.testing.assert_array_equal(labels_at(padded, (16, 16), (8, 8)), labels_at(logits, (16, 16)))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_nearest_takes_the_pixel_at_the_centre(height, width, rows, columns):
    labels = np.arange(height * width).reshape(height, width)
    result = nearest_at(labels, (rows, columns))
    for row in range(rows):
        for column in range(columns):
            centre = labels[int((row + 0.5) * height / rows), int((column + 0.5) * width / columns)]
            assert result[row, column] == centre


def test_an_output_of_the_labels_size_is_taken_as_it_is():
    labels = np.arange(6).reshape(2, 3)
    assert nearest_at(labels, (2, 3)) is labels
