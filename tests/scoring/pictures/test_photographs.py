"""Label maps of photographs that a user hands in."""

import numpy as np
import pytest
from PIL import Image

from fastscnn_opt.data.preprocess import IMAGENET
from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.predicting import Setup
from fastscnn_opt.measuring.prediction import Decoder
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.scoring.pictures.photographs import write_label_maps

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)

SETUP = Setup(IMAGENET, Decoder(19))


class RedAsLabel:
    """Takes two images of any size at a time and gives the red channel, at most 18, as label map."""

    inputs = (TensorSpec("image", (2, -1, -1, 3), "uint8"),)
    outputs = (TensorSpec("labels", (), ""),)

    def run(self, feeds):
        return {"labels": np.minimum(feeds["image"][..., 0], 18)}


def test_images_of_several_sizes_get_label_maps_of_their_own(tmp_path):
    images = [tmp_path / "one.png", tmp_path / "two.png"]
    Image.fromarray(PIXELS).save(images[0])
    Image.fromarray(PIXELS[:3, :5]).save(images[1])
    done = []
    write_label_maps(RedAsLabel(), images, tmp_path, SETUP, on_image=done.append)
    for index, pixels in enumerate((PIXELS, PIXELS[:3, :5])):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"{index}.png")), np.minimum(pixels[..., 0], 18))
    assert done == [1, 1]


def test_a_size_that_the_model_does_not_take_is_named_with_the_image(tmp_path):
    class Fixed(RedAsLabel):
        inputs = (TensorSpec("image", (1, 3, 32, 64), "float32"),)

    Image.fromarray(PIXELS).save(tmp_path / "street.png")
    with pytest.raises(
        ModelError, match=r"street\.png: input 'image' takes 32 x 64, but the images are 6 x 8 \(height x width\)"
    ):
        write_label_maps(Fixed(), [tmp_path / "street.png"], tmp_path, SETUP)


@pytest.fixture
def street(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "street.png")
    return tmp_path / "street.png"


@pytest.mark.parametrize("shape", [(), (1, 21, 6, 8)])
def test_classes_that_nothing_describes_are_refused_with_the_image(street, tmp_path, shape):
    class Red(RedAsLabel):
        outputs = (TensorSpec("labels", shape, ""),)

        def run(self, feeds):
            found = RedAsLabel.run(self, feeds)["labels"]
            return {"labels": found if shape else np.full_like(found, 20)}

    with pytest.raises(
        ModelError, match=r"street\.png: output 'labels' has 21 classes, and nothing describes .* 19 of"
    ):
        write_label_maps(Red(), [street], tmp_path, SETUP, assumed=True)


def test_classes_beyond_the_described_ones_keep_their_numbers(street, tmp_path):
    write_label_maps(RedAsLabel(), [street], tmp_path, Setup(IMAGENET, Decoder(2, {7: 1})))
    red = np.minimum(PIXELS[..., 0], 18)
    expected = np.select(
        [red == 7, red == 1], [1, 2], red.astype(int)
    )  # 1 is given to 7, so the model's own 1 is no class
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "0.png")), expected)


def test_many_classes_are_written_in_16_bits(street, tmp_path):
    class Many(RedAsLabel):
        def run(self, feeds):
            return {"labels": feeds["image"][..., 0].astype(np.int64) + 300}

    write_label_maps(Many(), [street], tmp_path, Setup(IMAGENET, Decoder(400)))
    expected = PIXELS[..., 0].astype(int) + 300
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "0.png")), expected)
