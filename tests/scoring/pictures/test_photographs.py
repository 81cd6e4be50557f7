"""Photographs of a user, of any kind, intact or damaged."""

import numpy as np
import pytest
from PIL import Image

from fastscnn_opt.errors import DataError, ModelError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.scoring.pictures.photographs import read_photograph, write_label_maps

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_formats_without_loss_give_the_pixels(tmp_path, suffix):
    Image.fromarray(PIXELS).save(tmp_path / f"street.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(read_photograph(tmp_path / f"street.{suffix}"), PIXELS)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA"])
def test_other_kinds_of_pixels_become_rgb(tmp_path, mode):
    file = tmp_path / ("street.tiff" if mode == "CMYK" else "street.png")
    Image.fromarray(PIXELS).convert(mode).save(file)
    assert read_photograph(file).shape == (6, 8, 3)


def test_a_photograph_is_turned_upright(tmp_path):
    image = Image.fromarray(PIXELS)
    exif = image.getexif()
    exif[0x0112] = 6  # "rotate 90 degrees clockwise to show", Exif 2.3, tag Orientation
    image.save(tmp_path / "street.png", exif=exif)
    np.testing.assert_array_equal(read_photograph(tmp_path / "street.png"), np.rot90(PIXELS, -1))


def test_more_than_eight_bits_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png: holds pixels of kind I;16; convert it"):
        read_photograph(tmp_path / "deep.png")


@pytest.mark.parametrize("content", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused(tmp_path, content):
    (tmp_path / "street.png").write_bytes(content)
    with pytest.raises(DataError, match=r"street\.png: not a PNG or JPEG or WEBP or BMP or TIFF file"):
        read_photograph(tmp_path / "street.png")


def test_a_truncated_image_is_refused(tmp_path):
    Image.fromarray(np.zeros((300, 300, 3), np.uint8) + PIXELS[0, 0]).save(tmp_path / "street.png", compress_level=0)
    whole = (tmp_path / "street.png").read_bytes()
    (tmp_path / "street.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_photograph(tmp_path / "street.png")


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "street.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(DataError, match="too large an image"):
        read_photograph(tmp_path / "street.png")


@pytest.mark.parametrize(("name", "words"), [("nowhere.png", "there is no such image"), ("", "is a folder")])
def test_what_is_no_file_is_refused(tmp_path, name, words):
    with pytest.raises(DataError, match=words):
        read_photograph(tmp_path / name)


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
        ModelError, match=r"street\.png: input 'image' is .*, but the images are 6 x 8 \(height x width\)"
    ):
        write_label_maps(Fixed(), [tmp_path / "street.png"], tmp_path)
