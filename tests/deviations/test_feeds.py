"""Two models get the same images, each as it takes them."""

import numpy as np
import pytest
from graphs import parse
from quantised import scenes

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.deviations.feeds import feeds_of_images, generated_feeds
from fastscnn_opt.deviations.runner import InnerRunner
from fastscnn_opt.errors import ModelError


def model(kind="float", shape="1,3,64,128", name="image"):
    model = parse(f"g ({kind}[{shape}] {name}) => ({kind}[{shape}] out) {{ out = Identity({name}) }}")
    return InnerRunner(model, "b.onnx")


def test_both_get_the_same_generated_input_in_their_types():
    one, two = generated_feeds(model(), model("float16", name="x")).load(0)
    np.testing.assert_array_equal(one["image"].astype(np.float16), two["x"])
    assert two["x"].dtype == np.float16


@pytest.mark.parametrize("other", [model(shape="1,3,32,64"), model("uint8")], ids=["size", "type"])
def test_without_images_other_inputs_are_refused(other):
    with pytest.raises(ModelError, match=r"^b\.onnx: input 'image' is .*, and the other model takes nothing like it"):
        generated_feeds(model(), other)


def test_images_are_normalised_for_floats_and_bytes_for_uint8():
    feeds = feeds_of_images(model(), model("uint8", "1,64,128,3", "x"), DataSource(synthetic=2, seed=5))
    one, two = feeds.load(1)
    assert feeds.count == 2
    np.testing.assert_allclose(one["image"], scenes(1, seed=6)[0], atol=1e-6)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(((two["x"] / 255 - mean) / std).transpose(0, 3, 1, 2), one["image"], atol=1e-6)


def test_images_that_do_not_fit_are_refused_with_the_name_of_the_model():
    feeds = feeds_of_images(model(), model(shape="1,3,32,64"), DataSource(synthetic=1))
    with pytest.raises(ModelError, match=r"^b\.onnx: input 'image' takes 32 x 64, but the images are 64 x 128"):
        feeds.load(0)
