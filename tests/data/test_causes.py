"""Datasets that are readable and not what their description says, with the cause that is told."""

import numpy as np
import pytest
from PIL import Image

from fastscnn_opt.data.causes import likely_causes
from fastscnn_opt.data.checking import check_data
from fastscnn_opt.data.presets import preset_classes
from fastscnn_opt.data.source import DataSource

TWO = 'classes = ["rest", "road"]'


@pytest.fixture
def causes(tmp_path):
    """Return what is told about masks of these values: ``causes([[0, 1]], 'classes = [...]')``."""

    def told(values, text, others=()):
        for folder in ("i", "m"):
            (tmp_path / folder).mkdir()
        mask = np.array(values, np.uint8)
        for name, size in (("a", mask.shape), *others):
            Image.new("RGB", size[::-1]).save(tmp_path / "i" / f"{name}.png")
            Image.fromarray(mask[: size[0], : size[1]]).save(tmp_path / "m" / f"{name}.png")
        (tmp_path / "own.toml").write_text(f'[data]\nroot = "."\nimages = "i/*.png"\nmasks = "m/*.png"\n{text}\n')
        return likely_causes(check_data(DataSource.at(str(tmp_path / "own.toml"))))

    return told


def test_nothing_is_told_about_a_dataset_without_a_flaw(causes):
    assert causes([[0, 1, 1, 255]], TWO) == []


def test_masks_of_0_and_255_need_a_label_map(causes):
    told = causes([[0, 255, 255]], TWO)
    assert told[0] == ("the masks hold 0 and 255 only; if 255 is the second class, say label_map = { 0 = 0, 255 = 1 }")


def test_the_label_map_for_0_and_255_is_right(causes):
    assert causes([[0, 255, 255]], f"{TWO}\nlabel_map = {{ 0 = 0, 255 = 1 }}") == []


def test_label_ids_described_as_classes_are_those_of_a_preset(causes):
    told = causes([[7, 8, 11, 21, 23, 26]], 'classes = "cityscapes"')
    assert told[0] == "classes and values look like those of the preset 'cityscapes'; say so, or give its label_map"


def test_other_classes_with_values_beyond_are_not_those_of_a_preset(causes):
    assert not any("preset" in text for text in causes([[0, 1, 8, 9]], TWO))


def test_classes_taken_for_label_ids_need_no_label_map(causes):
    label_map = ", ".join(f"{value} = {index}" for index, value in enumerate(range(7, 26)))
    told = causes([[0, 1, 8, 10, 18]], f'classes = "cityscapes"\nlabel_map = {{ {label_map} }}')
    assert (
        "no value is above 18, and label_map goes up to 25; if values are classes already, say label_map = {}" in told
    )


def test_one_value_beyond_the_classes_may_be_what_nobody_labelled(causes):
    assert causes([[0, 1, 2]], TWO) == ["if the value 2 stands for pixels that nobody labelled, say ignore_index = 2"]


def test_values_from_1_to_the_number_of_classes_may_have_a_reduced_zero_label(causes):
    (told,) = causes([[1, 1, 2]], TWO)[:1]
    assert told.startswith("values go from 1 to 2, and classes from 0 to 1; if 0 stands for")
    assert told.endswith("say reduce_zero_label = true")


def test_mostly_ignored_pixels_are_told_with_their_value(causes):
    told = causes([[0, 1, 255, 255, 255, 255, 255, 255]], TWO)
    assert told == ["75 % of the pixels are ignored, 75 % for their value 255; check label_map and ignore_index"]


def test_a_single_class_says_nothing(causes):
    told = causes([[1, 1]], TWO)
    assert "every labelled pixel is of the class 'road', so accuracy says nothing" in told
    assert "1 class of 2 never seen: rest" in told


def test_many_classes_that_are_never_seen_are_counted(causes):
    names = preset_classes("voc").names
    (told,) = causes([[0, 1]], 'classes = "voc"')
    assert told == f"19 classes of 21 never seen: {', '.join(names[2:10])} and 11 more"


@pytest.mark.parametrize(
    ("more", "cure"),
    [("", "say ignore_index = 1"), ("label_map = { 0 = 0, 1 = 1 }", "leave its values out of label_map")],
)
def test_void_as_a_class_is_told(causes, more, cure):
    (told,) = causes([[0, 1]], f'classes = ["road", "Void"]\n{more}')
    assert told == f"'Void' counts as a class; if it stands for pixels that nobody labelled, {cure}"


def test_void_that_is_ignored_already_is_not_told(causes):
    told = causes([[0, 1]], 'classes = ["road", "Void"]\nignore_index = 1')
    assert not any("Void' counts" in text for text in told)


@pytest.mark.parametrize(("resize", "is_told"), [("none", True), ("stretch", False)])
def test_sizes_that_differ_are_told_unless_images_are_resized(causes, resize, is_told):
    told = causes([[0, 1], [0, 1]], f'{TWO}\n[data.preprocess]\nresize = "{resize}"', others=[("b", (1, 2))])
    assert any(text.startswith("images have 2 sizes") for text in told) == is_told


def test_images_that_are_listed_twice_are_named(causes, tmp_path):
    (tmp_path / "list.txt").write_text("a\nb\na\n")
    told = causes([[0, 1]], f'{TWO}\nlist = "list.txt"', others=[("b", (1, 2))])
    assert told == ["1 image listed more than once, and counted as often: a.png"]
