"""How models take images: each kind of input is worked out from its signature, and filled."""

import numpy as np
import pytest
from PIL import Image

from fastscnn_opt.data.preprocess import Preprocess, Resize
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.image_input import image_input, model_size, open_for
from fastscnn_opt.measuring.session import TensorSpec

SIZE = (4, 6)
NCHW = (2, 3, *SIZE)
IMAGE = np.random.default_rng(1).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def source(shape, dtype="float32", batch=None, **preprocess):
    return image_input((TensorSpec("image", shape, dtype),), batch, Preprocess(**preprocess))


def fed(shape, dtype="float32", image=IMAGE, **preprocess):
    """Return what a batch of one image becomes."""
    return source(shape, dtype, **preprocess).feed([image])["image"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_float_input_gets_normalised_values(dtype):
    feed = fed((1, 3, *SIZE), dtype)
    assert feed.dtype == dtype
    expected = ((IMAGE / 255 - MEAN) / STD).astype(dtype).transpose(2, 0, 1)
    np.testing.assert_allclose(feed[0], expected, rtol=1e-13 if dtype == "float64" else 0)


def test_a_float_input_with_channels_last_gets_normalised_values():
    np.testing.assert_array_equal(fed((1, *SIZE, 3))[0], ((IMAGE / 255 - MEAN) / STD).astype(np.float32))


def test_a_byte_input_gets_the_bytes():
    np.testing.assert_array_equal(fed((1, 3, *SIZE), "uint8")[0], IMAGE.transpose(2, 0, 1))
    np.testing.assert_array_equal(fed((1, *SIZE, 3), "uint8")[0], IMAGE)


@pytest.mark.parametrize("shape", [(1, 3, *SIZE), (1, *SIZE, 3)])
def test_a_byte_input_in_bgr_gets_the_channels_turned_round(shape):
    feed = fed(shape, "uint8", channel_order="bgr")[0]
    np.testing.assert_array_equal(feed if shape[3] == 3 else feed.transpose(1, 2, 0), IMAGE[..., ::-1])


@pytest.mark.parametrize("shape", [(1, 1, *SIZE), (1, *SIZE, 1)])
def test_a_grey_input_gets_the_luma(shape):
    grey = np.asarray(Image.fromarray(IMAGE).convert("L"))
    np.testing.assert_array_equal(fed(shape, "uint8").reshape(SIZE), grey)
    expected = ((grey / 255 - 0.5) / 0.25).astype(np.float32)
    np.testing.assert_array_equal(fed(shape, image_mean=(0.5,), image_std=(0.25,)).reshape(SIZE), expected)


def test_an_image_is_stretched_to_the_input():
    expected = np.asarray(Image.fromarray(IMAGE).resize((8, 10), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(fed((1, 10, 8, 3), "uint8", resize=Resize.STRETCH)[0], expected)


def test_an_open_input_takes_the_stated_size():
    assert fed((1, 3, -1, -1), resize=Resize.STRETCH, size=(8, 12)).shape == (1, 3, 8, 12)


def test_a_batch_with_too_few_images_is_filled_up_with_the_last():
    other = IMAGE[::-1]
    feed = source((3, *SIZE, 3), "uint8").feed([IMAGE, other])["image"]
    assert feed.tolist() == np.stack([IMAGE, other, other]).tolist()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (((1, 4, *SIZE), "float32"), "images need 3 channels or 1 in the second place or in the last"),
        (((1, *SIZE, 19), "float32"), "images need 3 channels or 1"),
        (((1, 3, 24), "float32"), "with four dimensions"),
        (((1, 3, *SIZE), "int64"), "images need float32, float16, float64 or uint8"),
    ],
)
def test_an_input_that_takes_no_images_is_refused(spec, words):
    with pytest.raises(ModelError, match=f"input 'image' is .*{words}"):
        source(*spec)


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 3, 8, 6), "8 x 6"), ((1, 8, 6, 3), "8 x 6"), ((1, 3, -1, 7), "4 x 7")]
)
def test_images_of_another_size_are_refused_where_nothing_says_how_to_resize(shape, size):
    words = rf"input 'image' takes {size}, but the images are 4 x 6 \(height x width\) \(a\.png\); .*resize = "
    with pytest.raises(ModelError, match=words):
        source(shape).size_for(SIZE, "a.png")


@pytest.mark.parametrize("resize", [Resize.STRETCH, Resize.KEEP_RATIO])
@pytest.mark.parametrize("shape", [(1, 3, -1, -1), (1, 3, -1, 6)])
def test_a_resize_needs_a_size_where_the_model_has_none(shape, resize):
    words = f"'image' leaves its size open, .* resize = \"{resize.value}\" should bring an image; state size"
    with pytest.raises(ModelError, match=words):
        source(shape, resize=resize).size_for(SIZE, "a.png")
    assert source(shape, resize=resize, size=(8, 6)).size_for(SIZE, "a.png") == (8, 6)


def test_a_batch_without_images_is_refused():
    with pytest.raises(ModelError, match=r"input 'image' is float32 \(0, 3, 4, 6\), a batch without images"):
        source((0, 3, *SIZE))


def test_a_window_that_is_not_the_size_of_the_input_is_refused():
    with pytest.raises(ModelError, match=r"the window is 2 x 2, and input 'image' takes 4 x 6"):
        source(NCHW, window=(2, 2)).size_for((9, 9), "")


def test_several_inputs_are_refused_by_name():
    specs = tuple(TensorSpec(name, (1, 3, *SIZE), "float32") for name in ("left", "right"))
    with pytest.raises(ModelError, match=r"2 inputs \('left', 'right'\), .* its value in \[data.inputs\]"):
        image_input(specs)


def several(value, shape=(), dtype="float32", batch=2, name="other"):
    specs = (TensorSpec("other", shape, dtype), TensorSpec("image", (-1, 3, *SIZE), "float32"))
    return image_input(specs, batch, given={name: value})


@pytest.mark.parametrize(
    ("value", "shape", "dtype", "expected"),
    [
        (0.5, (), "float32", 0.5),
        (0.5, (1,), "float16", [0.5]),
        ([512, 1024], (2,), "int64", [512, 1024]),
        ([512, 1024], (-1,), "int32", [512, 1024]),
        ([512, 1024], (-1, 2), "int64", [[512, 1024], [512, 1024]]),
        (True, (1, 2), "bool", [[True, True]]),
        ([[1], [2]], (2, 3), "uint8", [[1, 1, 1], [2, 2, 2]]),
        (7, (-1, 1, -1), "int64", [[[7]], [[7]]]),
    ],
)
def test_an_input_with_a_stated_value_gets_it_in_its_type_and_shape(value, shape, dtype, expected):
    feed = several(value, shape, dtype).feed([IMAGE])
    assert list(feed) == ["image", "other"]
    assert feed["other"].dtype == dtype
    assert feed["other"].tolist() == expected
    assert feed["image"].shape == (2, 3, *SIZE)


@pytest.mark.parametrize(
    ("value", "shape", "dtype"),
    [
        ([1, 2, 3], (2,), "int64"),
        ([[1, 2]], (2,), "int64"),
        ([[1], [2, 3]], (2, 2), "int64"),
        (0.5, (), "int64"),
        (256, (), "uint8"),
        (-1, (), "uint8"),
        (2, (), "bool"),
    ],
)
def test_a_value_that_does_not_fit_its_input_is_refused(value, shape, dtype):
    with pytest.raises(ModelError, match=r"\[data.inputs\]: the value of input 'other' does not fit "):
        several(value, shape, dtype)


def test_a_value_for_an_input_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(ModelError, match=r"\[data.inputs\]: unknown input 'othre'; did you mean 'other'\?"):
        several(1, name="othre")


def test_a_value_for_every_input_leaves_none_for_the_images():
    with pytest.raises(ModelError, match=r"0 inputs beside \[data.inputs\] \(none\), .*; leave one out"):
        image_input((TensorSpec("image", NCHW, "float32"),), given={"image": 0})


@pytest.mark.parametrize(("batch", "words"), [(4, "batch is fixed at 2"), (0, "holds no image")])
def test_a_batch_that_does_not_fit_is_refused(batch, words):
    with pytest.raises(ModelError, match=words):
        source(NCHW, batch=batch)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 3, 32, 64), (32, 64)), ((1, 32, 64, 3), (32, 64)), ((1, 1, 32, 64), (32, 64)), ((-1, 3, -1, 64), None)],
)
def test_the_size_of_a_model_is_known_where_it_is_fixed(shape, size):
    assert model_size((TensorSpec("image", shape, "float32"),)) == size


def test_an_input_that_is_no_image_has_no_size():
    assert model_size((TensorSpec("image", (1, 10), "float32"),)) is None


@pytest.mark.parametrize(
    ("shape", "preprocess", "size"),
    [
        ((1, 3, 32, 64), Preprocess(), (32, 64)),
        ((-1, 3, -1, -1), Preprocess(size=(16, 32)), (16, 32)),
        ((1, 3, -1, -1), Preprocess(window=(16, 16)), (16, 16)),
    ],
)
def test_synthetic_scenes_have_the_size_of_the_input(shape, preprocess, size):
    dataset = open_for(DataSource(synthetic=1), (TensorSpec("image", shape, "float32"),), preprocess)
    assert dataset.size == size


def test_no_size_is_made_up_for_synthetic_scenes():
    with pytest.raises(ModelError, match=r"'image' is float32 \(1, 3, \?, \?\), so nothing says how large synthetic"):
        open_for(DataSource(synthetic=1), (TensorSpec("image", (1, 3, -1, -1), "float32"),), Preprocess())


def test_images_that_are_not_of_the_size_are_refused_wherever_they_are_in_the_batch():
    with pytest.raises(ModelError, match="takes 4 x 6, but the images are 2 x 6"):
        source(NCHW).feed([IMAGE, IMAGE[:2]])


def test_images_of_one_batch_that_differ_in_size_are_refused():
    with pytest.raises(ModelError, match="is open, and the images of one batch differ in size"):
        source((2, 3, -1, -1)).feed([IMAGE, IMAGE[:2]])


def test_of_a_larger_image_the_first_window_is_taken():
    feed = source((2, 3, 3, -1), "uint8", window=(3, 8)).feed([IMAGE])["image"]
    np.testing.assert_array_equal(feed[0, :, :, :6], IMAGE[:3].transpose(2, 0, 1))
    assert not feed[0, :, :, 6:].any()


def test_a_grey_float_input_needs_one_mean_and_deviation():
    with pytest.raises(ModelError, match="takes one channel, and mean and deviation have 3 values"):
        source((1, 1, *SIZE))
