"""Values of mask files become classes, and what stands for no class is named with the file."""

import numpy as np
import pytest
from cityscapes import TRAIN_ID_OF
from PIL import Image

from fastscnn_opt.data.masks import MaskReader
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError

COLOURS = ((128, 64, 128), (0, 0, 142), (0, 0, 0))


@pytest.fixture
def write(tmp_path):
    """Write pixels as a PNG file and return its path."""

    def save(pixels, mode=None):
        path = tmp_path / "mask.png"
        image = Image.fromarray(np.asarray(pixels))
        (image if mode is None else image.convert(mode)).save(path)
        return path

    return save


def test_values_are_classes_and_255_is_ignored(write):
    path = write(np.array([[0, 1], [2, 255]], np.uint8))
    np.testing.assert_array_equal(MaskReader(3).read(path), [[0, 1], [2, 255]])


def test_another_index_is_ignored(write):
    path = write(np.array([[0, 11]], np.uint8))
    np.testing.assert_array_equal(MaskReader(11, ignore_index=11).read(path), [[0, 255]])


def test_a_label_map_names_classes_and_ignores_the_rest(write):
    path = write(np.array([[7, 8, 9]], np.uint8))
    np.testing.assert_array_equal(MaskReader(2, label_map={7: 0, 8: 1}).read(path), [[0, 1, 255]])


def test_a_label_map_gives_even_255_a_class(write):
    path = write(np.array([[0, 255]], np.uint8))
    np.testing.assert_array_equal(MaskReader(2, label_map={0: 0, 255: 1}).read(path), [[0, 1]])


def test_a_reduced_zero_label_moves_classes_down(write):
    path = write(np.array([[0, 1, 2, 255]], np.uint8))
    np.testing.assert_array_equal(MaskReader(2, reduce_zero_label=True).read(path), [[255, 0, 1, 255]])


def test_sixteen_bits_hold_more_than_256_classes(write):
    path = write(np.array([[0, 299, 65535]], np.uint16))
    labels = MaskReader(300, ignore_index=65535).read(path)
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, [[0, 299, 65535]])


def test_the_indices_of_a_palette_count(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode="P")
    image.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7])
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(MaskReader(3).read(tmp_path / "palette.png"), [[0, 1, 2]])


def test_colours_are_found_in_the_palette(write):
    path = write(np.array([[COLOURS[1], COLOURS[0], COLOURS[2]]], np.uint8))
    np.testing.assert_array_equal(MaskReader(3, palette=COLOURS).read(path), [[1, 0, 2]])


def test_the_colour_behind_those_of_the_classes_is_ignored(write):
    path = write(np.array([[COLOURS[1], COLOURS[2], COLOURS[0]]], np.uint8))
    np.testing.assert_array_equal(MaskReader(2, ignore_index=2, palette=COLOURS).read(path), [[1, 255, 0]])


def test_an_unknown_colour_is_named_with_file_and_pixels(write):
    path = write(np.array([[(1, 2, 3), (1, 2, 3), COLOURS[0]]], np.uint8))
    with pytest.raises(DataError, match=r"mask\.png: holds the colour \[1, 2, 3\] in 2 pixels.* ignore_index = 3"):
        MaskReader(3, palette=COLOURS).read(path)


def test_colours_without_a_palette_ask_for_one(write):
    path = write(np.zeros((1, 1, 3), np.uint8))
    with pytest.raises(DataError, match="is an RGB mask, and the data have no palette"):
        MaskReader(3).read(path)


def test_a_value_beyond_the_classes_is_named_with_the_range(write):
    path = write(np.array([[0, 5, 5]], np.uint8))
    with pytest.raises(DataError, match=r"holds the value 5 in 2 pixels, and the classes are 0 to 2"):
        MaskReader(3).read(path)


def test_a_value_beyond_the_largest_is_named_although_a_map_would_ignore_it(write):
    path = write(np.array([[7, 40]], np.uint8))
    with pytest.raises(DataError, match="holds the value 40 in 1 pixel, and values are 0 to 33"):
        MaskReader(1, label_map={7: 0}, largest_value=33).read(path)


def test_a_mask_of_zero_and_255_has_one_class_and_ignored_pixels(write):
    path = write(np.array([[0, 255]], np.uint8))
    np.testing.assert_array_equal(MaskReader(2, ignore_index=254, label_map={0: 0, 255: 1}).read(path), [[0, 1]])


def test_an_rgb_mask_is_refused_where_values_are_described(write):
    path = write(np.array([[COLOURS[1]]], np.uint8))
    with pytest.raises(DataError, match=r"mask\.png: is an RGB mask, and the data describe masks of values"):
        MaskReader(3, label_map={7: 0}, palette=COLOURS).read(path)


def test_label_ids_of_cityscapes_become_train_ids(write):
    path = write(np.arange(34, dtype=np.uint8)[None])
    np.testing.assert_array_equal(cityscapes().read(path)[0], TRAIN_ID_OF[:34])


@pytest.mark.parametrize("wrong", [34, 254])
def test_ids_that_cityscapes_does_not_have_are_counted_and_named(write, wrong):
    path = write(np.array([[0, wrong]], np.uint8))
    with pytest.raises(DataError, match=f"holds the value {wrong} in 1 pixel, and values are 0 to 33, and 255 is"):
        cityscapes().read(path)


def cityscapes() -> MaskReader:
    table = DataSource(root=".").table
    return MaskReader(19, table.ignore_index, table.label_map, largest_value=table.largest_value)
