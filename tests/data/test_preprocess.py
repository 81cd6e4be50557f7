"""Normalisation, compared with the formula; resizing, compared with Pillow and with the formula."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from fastscnn_opt.data.preprocess import Preprocess, Resample, Resize, fit, normalise

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
    assert normalise(EVERY_BYTE, out=out) is out
    assert (out == formula(EVERY_BYTE).astype(np.float16)).all()


def test_batches_must_agree():
    with pytest.raises(ValueError, match="zip"):
        normalise(np.zeros((2, 4, 8, 3), np.uint8), out=np.empty((1, 3, 4, 8), np.float32))


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 40), st.just(3))))
def test_any_image_of_any_size(images):
    assert (normalise(images) == formula(images).astype(np.float32)).all()


def test_an_image_wider_than_a_block():
    images = np.random.default_rng(0).integers(0, 256, (1, 2, 70_000, 3), dtype=np.uint8)
    assert (normalise(images) == formula(images).astype(np.float32)).all()


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_stated_mean_deviation_factor_and_order_are_applied(order):
    mean, std = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
    stated = Preprocess(image_mean=mean, image_std=std, rescale_factor=1.0, channel_order=order)
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    ordered = images if order == "rgb" else images[..., ::-1]
    expected = ((ordered.astype(np.float64) - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_array_equal(normalise(images, stated), expected)


def test_one_mean_and_deviation_serve_all_channels():
    images = np.random.default_rng(0).integers(0, 256, (1, 5, 7, 3), dtype=np.uint8)
    expected = ((images / 255 - 0.5) / 0.5).transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_array_equal(normalise(images, Preprocess(image_mean=(0.5,), image_std=(0.5,))), expected)


PICTURE = np.random.default_rng(4).integers(0, 256, (12, 18, 3), dtype=np.uint8)


@pytest.mark.parametrize("resample", list(Resample))
@pytest.mark.parametrize("size", [(5, 7), (24, 20)])
def test_stretching_is_what_pillow_does(resample, size):
    stated = Preprocess(resize=Resize.STRETCH, resample=resample)
    expected = Image.fromarray(PICTURE).resize(size[::-1], Image.Resampling[resample.name])
    resized, place = fit(PICTURE, size, stated)
    np.testing.assert_array_equal(resized, np.asarray(expected))
    assert place == size


def half_pixel_bilinear(image, size):
    """Interpolate pixel by pixel between the centres of the four nearest, in float64."""
    height, width = image.shape[:2]
    result = np.zeros((*size, 3))
    for row in range(size[0]):
        for column in range(size[1]):
            y = min(max((row + 0.5) * height / size[0] - 0.5, 0), height - 1)
            x = min(max((column + 0.5) * width / size[1] - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            down, right = min(top + 1, height - 1), min(left + 1, width - 1)
            above = image[top, left] * (1 - (x - left)) + image[top, right] * (x - left)
            below = image[down, left] * (1 - (x - left)) + image[down, right] * (x - left)
            result[row, column] = above * (1 - (y - top)) + below * (y - top)
    return result


@pytest.mark.parametrize("size", [(5, 7), (6, 9), (24, 20)])
def test_without_antialiasing_each_pixel_lies_between_the_four_nearest(size):
    resized, _ = fit(PICTURE, size, Preprocess(resize=Resize.STRETCH, antialias=False))
    # Pillow interpolates in whole numbers and cuts off what is behind the point.
    assert np.abs(resized - half_pixel_bilinear(PICTURE, size)).max() <= 1


def test_antialiasing_makes_a_difference_where_an_image_shrinks():
    with_it, _ = fit(PICTURE, (5, 7), Preprocess(resize=Resize.STRETCH))
    assert np.abs(with_it - half_pixel_bilinear(PICTURE, (5, 7))).max() > 10


@pytest.mark.parametrize(("size", "place"), [((6, 12), (6, 9)), ((10, 9), (6, 9)), ((24, 36), (24, 36))])
def test_keeping_the_ratio_pads_right_and_below(size, place):
    padded, found = fit(PICTURE, size, Preprocess(resize=Resize.KEEP_RATIO, pad_value=77))
    assert padded.shape == (*size, 3)
    assert found == place
    inner = Image.fromarray(PICTURE).resize(place[::-1], Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(padded[: place[0], : place[1]], np.asarray(inner))
    assert (padded[place[0] :] == 77).all()
    assert (padded[:, place[1] :] == 77).all()


def test_an_image_of_the_right_size_is_left_alone():
    for resize in Resize:
        assert fit(PICTURE, (12, 18), Preprocess(resize=resize))[0] is PICTURE
