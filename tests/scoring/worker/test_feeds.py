"""Prepared inputs of timed runs."""

import numpy as np
import pytest

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import FREE, TensorSpec
from fastscnn_opt.scoring.worker.feeds import StatedInputs, timing_feeds


def test_float_images_are_noise_of_unit_deviation():
    feeds = timing_feeds((TensorSpec("image", (1, 3, 64, 64), "float16"),), None)
    assert (feeds["image"].dtype, feeds["image"].shape) == (np.float16, (1, 3, 64, 64))
    assert feeds["image"].std() == pytest.approx(1, abs=0.05)


def test_integer_images_span_their_bytes():
    feeds = timing_feeds((TensorSpec("image", (1, 64, 64, 3), "uint8"),), None)
    assert feeds["image"].dtype == np.uint8
    assert (feeds["image"].min(), feeds["image"].max()) == (0, 255)


@pytest.mark.parametrize(("batch", "length"), [(None, 1), (4, 4)])
def test_an_open_batch_becomes_the_one_asked_for(batch, length):
    assert timing_feeds((TensorSpec("image", (FREE, 3), "float32"),), batch)["image"].shape == (length, 3)


def test_the_batch_is_that_of_the_images():
    specs = (TensorSpec("size", (2,), "int64"), TensorSpec("image", (FREE, 3, 4, 4), "float32"))
    feeds = timing_feeds(specs, 4)
    assert (feeds["size"].shape, feeds["image"].shape) == ((2,), (4, 3, 4, 4))


def test_an_input_with_a_stated_value_gets_that():
    specs = (TensorSpec("size", (2,), "int64"), TensorSpec("image", (1, 3, 4, 4), "float32"))
    assert timing_feeds(specs, None, StatedInputs({"size": [512, 1024]}))["size"].tolist() == [512, 1024]


def test_a_fixed_batch_is_not_another():
    with pytest.raises(TargetError, match="the batch of input 'image' is fixed at 1, not 4"):
        timing_feeds((TensorSpec("image", (1, 3), "float32"),), 4)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((FREE, 3, FREE, FREE), (2, 3, 48, 64)), ((1, FREE, FREE, 3), (1, 48, 64, 3)), ((1, 3, 32, FREE), (1, 3, 32, 64))],
)
def test_open_sides_of_images_get_the_stated_size(shape, expected):
    spec = TensorSpec("image", shape, "float32")
    batch = 2 if shape[0] == FREE else None
    assert timing_feeds((spec,), batch, StatedInputs(image_size=(48, 64)))["image"].shape == expected


def test_a_window_is_the_size_of_images_that_it_slides_over():
    source = DataSource("x", description={"preset": "camvid", "preprocess": {"window": [32, 64]}})
    assert StatedInputs.of(source) == StatedInputs(image_size=(32, 64))
