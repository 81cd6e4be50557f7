"""Normalisation, compared with the formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastscnn_opt.data.preprocess import normalise

EVERY_BYTE = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, axis=3)


def formula(images, dtype=np.float64):
    mean, std = np.array([0.485, 0.456, 0.406], dtype), np.array([0.229, 0.224, 0.225], dtype)
    return ((images.astype(dtype) / dtype(255) - mean) / std).transpose(0, 3, 1, 2)


def test_every_byte_of_every_channel_is_correctly_rounded():
    assert (normalise(EVERY_BYTE) == formula(EVERY_BYTE).astype(np.float32)).all()


def test_it_agrees_with_the_formula_in_float32():
    assert np.allclose(normalise(EVERY_BYTE), formula(EVERY_BYTE, np.float32), rtol=0, atol=1e-6)


def test_the_result_is_contiguous_float32_with_channels_first():
    result = normalise(np.zeros((2, 4, 8, 3), np.uint8))
    assert result.shape == (2, 3, 4, 8)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous


def test_half_precision_is_rounded_once():
    out = np.empty((1, 3, 16, 16), np.float16)
    assert normalise(EVERY_BYTE, out) is out
    assert (out == formula(EVERY_BYTE).astype(np.float16)).all()


def test_batches_must_agree():
    with pytest.raises(ValueError, match="zip"):
        normalise(np.zeros((2, 4, 8, 3), np.uint8), np.empty((1, 3, 4, 8), np.float32))


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 40), st.just(3))))
def test_any_image_of_any_size(images):
    assert (normalise(images) == formula(images).astype(np.float32)).all()


def test_an_image_wider_than_a_block():
    images = np.random.default_rng(0).integers(0, 256, (1, 2, 70_000, 3), dtype=np.uint8)
    assert (normalise(images) == formula(images).astype(np.float32)).all()
