"""Reading PNG files, good and bad."""

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

from fastscnn_opt.data.images import image_size, read_image, read_label, write_png
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


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("RGBA", "RGBA"), ("L", "L"), ("P", "P;1"), ("I;16", "I;16B")],
)
def test_an_image_that_is_not_rgb_is_refused_with_what_it_is(tmp_path, mode, kind):
    with pytest.raises(DataError, match=rf"a\.png: holds pixels of kind {kind}, but images are RGB of 8 bits"):
        read_image(saved(tmp_path, Image.new(mode, (4, 4))))


def test_sixteen_bit_rgb_is_not_silently_cut_to_eight(tmp_path):
    content = bytearray(saved(tmp_path, Image.fromarray(RGB)).read_bytes())
    content[24] = 16
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="holds pixels of kind RGB;16B"):
        read_image(tmp_path / "a.png")


def test_label_ids_become_train_ids(tmp_path):
    label = read_label(saved(tmp_path, grey(0, 7, 8, 9, 33, 255)), train_ids=False)
    assert label.tolist() == [[255, 0, 1, 255, 18, 255]]
    assert label.dtype == np.uint8


def test_train_ids_stay(tmp_path):
    assert read_label(saved(tmp_path, grey(0, 18, 255)), train_ids=True).tolist() == [[0, 18, 255]]


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_palette_indices_are_the_ids(tmp_path, bits):
    image = grey(0, 1, 3)
    image.putpalette([9, 9, 9, 200, 0, 0, 7, 7, 7, 0, 200, 0])
    assert read_label(saved(tmp_path, image, bits=bits), train_ids=True).tolist() == [[0, 1, 3]]


@pytest.mark.parametrize(
    ("train_ids", "bad", "words"),
    [
        (False, 34, "unknown ids 34 in 1 pixel; labelIds are 0 to 33"),
        (False, 254, "unknown ids 254 in 1 pixel; labelIds are 0 to 33"),
        (True, 19, "unknown ids 19 in 1 pixel; trainIds are 0 to 18"),
        (True, 254, "unknown ids 254 in 1 pixel; trainIds are 0 to 18"),
    ],
)
def test_unknown_ids_are_counted_and_named(tmp_path, train_ids, bad, words):
    with pytest.raises(DataError, match=rf"a\.png: {words}"):
        read_label(saved(tmp_path, grey(0, bad)), train_ids=train_ids)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "I;16", "1"])
def test_a_label_map_that_is_not_eight_bit_grey_is_refused(tmp_path, mode):
    with pytest.raises(DataError, match="a label map is grey of 8 bits or palette"):
        read_label(saved(tmp_path, Image.new(mode, (4, 4))), train_ids=False)


def test_a_jpeg_with_the_wrong_suffix_is_not_a_png(tmp_path):
    with pytest.raises(DataError, match=r"a\.png: not a PNG file"):
        read_image(saved(tmp_path, Image.fromarray(RGB), format="JPEG"))


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(DataError, match=r"b\.png: cannot be read \(No such file"):
        read_image(tmp_path / "b.png")


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
        read_label(path, train_ids=False) if label else read_image(path)
