"""The fast argmax, compared with numpy's."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastscnn_opt.measuring.label_map import label_map

FLOATS = st.sampled_from([np.float16, np.float32, np.float64])
SHAPES = hnp.array_shapes(min_dims=4, max_dims=4, max_side=7)


@given(st.data(), FLOATS, SHAPES)
def test_it_is_numpys_argmax_for_any_values(data, dtype, shape):
    logits = data.draw(hnp.arrays(dtype, shape))  # NaN, infinities, subnormal numbers and both zeros included
    assert (label_map(logits) == logits.argmax(axis=1)).all()


@given(st.data(), FLOATS, SHAPES)
def test_nan_is_found_among_any_values(data, dtype, shape):
    values = data.draw(hnp.arrays(dtype, shape))
    with pytest.raises(FloatingPointError) if np.isnan(values).any() else nullcontext():
        label_map(values, allow_nan=False)


@given(st.data(), FLOATS, SHAPES)
def test_equal_logits_give_the_lowest_class(data, dtype, shape):
    logits = data.draw(hnp.arrays(dtype, shape, elements=st.sampled_from([0.0, -0.0, 1.0])))
    assert (label_map(logits) == logits.argmax(axis=1)).all()


def test_every_bit_pattern_of_half_precision_is_ordered_rightly():
    bits = np.random.default_rng(0).permutation(np.arange(65536, dtype=np.uint16).repeat(5)).reshape(1, 5, 256, 256)
    logits = bits.view(np.float16)
    assert (label_map(logits) == logits.argmax(axis=1)).all()


@pytest.mark.parametrize(
    "bits", [(0x3C00, 0xFE00), (0x7C00, 0xFE00, 0x7C00), (0x7E00, 0x7FFF), (0xFC00, 0xFC01), (0xFE00, 0xFFFF)]
)
def test_a_nan_of_either_sign_is_greater_than_any_number_in_half_precision(bits):
    logits = np.array(bits, dtype=np.uint16).view(np.float16).reshape(1, -1, 1, 1)
    assert label_map(logits).item() == next(index for index, value in enumerate(bits) if value & 0x7FFF > 0x7C00)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_image_of_many_blocks(dtype):
    logits = np.random.default_rng(0).standard_normal((2, 19, 70, 2048)).astype(dtype)
    logits[1, 4, 60, 7] = np.nan
    assert (label_map(logits) == logits.argmax(axis=1)).all()


def test_an_image_wider_than_a_block():
    logits = np.random.default_rng(0).standard_normal((1, 3, 2, 40_000)).astype(np.float32)
    assert (label_map(logits) == logits.argmax(axis=1)).all()


def test_logits_with_channels_last_in_memory():
    logits = np.random.default_rng(0).standard_normal((2, 9, 11, 19)).astype(np.float16).transpose(0, 3, 1, 2)
    assert (label_map(logits) == logits.argmax(axis=1)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_more_than_256_classes(dtype):
    logits = np.random.default_rng(0).standard_normal((2, 300, 5, 7)).astype(dtype)
    labels = label_map(logits)
    assert labels.dtype == np.uint16
    assert (labels == logits.argmax(axis=1)).all()


def test_the_result_is_a_byte_per_pixel():
    assert label_map(np.zeros((2, 19, 4, 6), np.float32)).dtype == np.uint8
