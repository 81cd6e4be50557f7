"""Label maps of photographs that a user hands in."""

import numpy as np
import pytest
from PIL import Image

from fastscnn_opt.errors import ModelError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.scoring.pictures.photographs import write_label_maps

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


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
    write_label_maps(RedAsLabel(), images, tmp_path, on_image=done.append)
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
        write_label_maps(Fixed(), [tmp_path / "street.png"], tmp_path)


def test_a_class_that_has_no_colour_is_refused_with_the_image(tmp_path):
    class Red(RedAsLabel):
        def run(self, feeds):
            return {"labels": np.full_like(feeds["image"][..., 0], 19)}

    Image.fromarray(PIXELS).save(tmp_path / "street.png")
    with pytest.raises(ModelError, match=r"street\.png: output 'labels' holds the class 19, and pictures have"):
        write_label_maps(Red(), [tmp_path / "street.png"], tmp_path)
