"""Reading images and masks, good and bad."""

import io
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from PIL import Image
from properties import examples

from fastscnn_opt.data.images import image_size, read_image, read_mask, write_png
from fastscnn_opt.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)


def saved(folder: Path, image: Image.Image, **options) -> Path:
    image.save(folder / "a.png", **options)
    return folder / "a.png"


def grey(*values: int) -> Image.Image:
    return Image.fromarray(np.array([values], dtype=np.uint8))


def test_an_image_comes_back_as_it_was(tmp_path):
    assert (read_image(saved(tmp_path, Image.fromarray(RGB))) == RGB).all()


def test_the_size_is_height_and_width(tmp_path):
    assert image_size(saved(tmp_path, Image.fromarray(RGB))) == (6, 10)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp"])
def test_formats_without_loss_give_the_pixels(tmp_path, suffix):
    Image.fromarray(RGB).save(tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}"), RGB)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK", "LA"])
def test_other_kinds_of_pixels_become_rgb(tmp_path, mode):
    file = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    Image.fromarray(RGB).convert(mode).save(file)
    assert read_image(file).shape == (6, 10, 3)


def test_a_grey_image_has_three_equal_channels(tmp_path):
    np.testing.assert_array_equal(read_image(saved(tmp_path, grey(3, 200))), [[[3] * 3, [200] * 3]])


def test_an_image_is_turned_upright_and_so_is_its_size(tmp_path):
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6  # "rotate 90 degrees clockwise to show", Exif 2.3, tag Orientation
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), np.rot90(RGB, -1))
    assert image_size(tmp_path / "a.png") == (10, 6)


def test_more_than_eight_bits_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(DataError, match=r"deep\.png: holds pixels of kind I;16B?; convert it"):
        read_image(tmp_path / "deep.png")


@pytest.mark.parametrize("content", [b"", b"<svg/>", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused(tmp_path, content):
    (tmp_path / "street.png").write_bytes(content)
    with pytest.raises(DataError, match=r"street\.png: not a PNG, JPEG, WEBP, BMP or TIFF file"):
        read_image(tmp_path / "street.png")


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    file = saved(tmp_path, Image.fromarray(RGB))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.raises(DataError, match="too large an image"):
        read_image(file)


@pytest.mark.parametrize(("name", "words"), [("nowhere.png", "there is no such image"), ("", "is a folder")])
def test_what_is_no_file_is_refused(tmp_path, name, words):
    with pytest.raises(DataError, match=words):
        read_image(tmp_path / name)


def test_sixteen_bit_rgb_is_not_silently_cut_to_eight(tmp_path):
    content = bytearray(saved(tmp_path, Image.fromarray(RGB)).read_bytes())
    content[24] = 16
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="holds pixels of kind RGB;16B"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_palette_indices_are_the_values_of_a_mask(tmp_path, bits):
    image = grey(0, 1, 3)
    image.putpalette([9, 9, 9, 200, 0, 0, 7, 7, 7, 0, 200, 0])
    assert read_mask(saved(tmp_path, image, bits=bits)).tolist() == [[0, 1, 3]]


def test_a_mask_of_sixteen_bits_keeps_its_values(tmp_path):
    Image.fromarray(np.array([[0, 300, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png").tolist() == [[0, 300, 65535]]


def test_the_transparency_of_an_rgb_mask_is_dropped(tmp_path):
    np.testing.assert_array_equal(read_mask(saved(tmp_path, Image.fromarray(RGB).convert("RGBA"))), RGB)


@pytest.mark.parametrize("mode", ["LA", "CMYK", "F"])
def test_a_mask_of_another_kind_is_refused(tmp_path, mode):
    file = tmp_path / ("a.png" if mode == "LA" else "a.tiff")
    Image.new(mode, (4, 4)).save(file)
    with pytest.raises(DataError, match=f"holds pixels of kind {mode}, but masks are indices of 8 or 16 bits"):
        read_mask(file)


@pytest.mark.parametrize(("name", "kind"), [("a.png", "JPEG"), ("a.jpg", "JPEG"), ("a.tiff", "TIFF")])
def test_a_mask_that_is_compressed_as_jpeg_is_refused_whatever_its_name(tmp_path, name, kind):
    Image.new("L", (16, 16)).save(tmp_path / name, format=kind, **({"compression": "jpeg"} if kind == "TIFF" else {}))
    with pytest.raises(DataError, match="is compressed as JPEG, which changes the values of a mask"):
        read_mask(tmp_path / name)


def test_an_animated_mask_is_refused(tmp_path):
    file = saved(tmp_path, grey(0, 1), save_all=True, append_images=[grey(1, 0)])
    with pytest.raises(DataError, match="holds 2 images, and a mask is one"):
        read_mask(file)


def test_values_that_sixteen_bits_cannot_hold_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 70_000]], np.int32)).save(tmp_path / "a.tiff")
    with pytest.raises(DataError, match=r"a\.tiff: holds values beyond 0 to 65535"):
        read_mask(tmp_path / "a.tiff")


def test_a_truncated_file_is_damaged(tmp_path):
    path = saved(tmp_path, Image.fromarray(RGB))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match="damaged or truncated"):
        read_image(path)


def test_a_written_image_reads_back(tmp_path):
    write_png(tmp_path / "b.png", RGB)
    assert (read_image(tmp_path / "b.png") == RGB).all()


def png_bytes() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(RGB).save(stream, format="PNG")
    return stream.getvalue()


@examples(200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), at=st.integers(0, 300), new=st.binary(max_size=12), label=st.booleans())
def test_a_file_of_any_bytes_is_read_or_refused_with_a_sentence(tmp_path, cut, at, new, label):
    content = bytearray(png_bytes()[:cut])
    content[at : at + len(new)] = new
    path = tmp_path / "fuzz.png"
    path.write_bytes(content)
    with suppress(DataError):  # any other exception fails the test
        read_mask(path) if label else read_image(path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_lossy_webp_is_no_mask_and_a_lossless_one_is(tmp_path, mode):
    image = Image.new(mode, (17, 16), (3, 2, 1))
    image.putpixel((0, 0), (9, 9, 9, 9)[: len(mode)])
    image.save(tmp_path / "exact.webp", lossless=True, exact=True)
    image.save(tmp_path / "lossy.webp", quality=90, icc_profile=b"123")
    assert read_mask(tmp_path / "exact.webp")[0, 1].tolist() == [3, 2, 1]
    with pytest.raises(
        DataError, match=r"lossy\.webp: is a lossy WEBP, which changes the values of a mask; make it again"
    ):
        read_mask(tmp_path / "lossy.webp")
