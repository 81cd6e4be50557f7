"""A dataset is gone through whole, and what it holds is counted; numpy counts the same."""

import numpy as np
import pytest
from PIL import Image

from fastscnn_opt.data.checking import SHOWN, check_data
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError

SIZE = (6, 8)


@pytest.fixture
def described(tmp_path):
    """Write masks with black images, and a description: ``described({"a": mask}, 'classes = ["x", "y"]')``."""

    def make(masks, text, sizes=None):
        for folder in ("i", "m"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for name, mask in masks.items():
            height, width = (sizes or {}).get(name, mask.shape[:2])
            Image.new("RGB", (width, height)).save(tmp_path / "i" / f"{name}.png")
            Image.fromarray(mask).save(tmp_path / "m" / f"{name}.png")
        file = tmp_path / "own.toml"
        file.write_text(f'[data]\nroot = "."\nimages = "i/*.png"\nmasks = "m/*.png"\n{text}\n')
        return DataSource.at(str(file))

    return make


def random_masks(values, count=3):
    rng = np.random.default_rng(1)
    return {f"mask{index}": rng.choice(np.array(values), SIZE) for index in range(count)}


def total(masks, value):
    return sum(int(np.count_nonzero(mask == value)) for mask in masks.values())


def test_classes_and_ignored_values_are_counted(described):
    masks = random_masks(np.array([0, 1, 2, 255], np.uint8))
    check = check_data(described(masks, 'classes = ["a", "b", "c", "d"]'))
    assert [check.classes[index] for index in range(4)] == [total(masks, value) for value in (0, 1, 2)] + [0]
    assert check.ignored == {255: total(masks, 255)}
    assert check.masks_with == {0: 3, 1: 3, 2: 3}
    assert (check.image_sizes, check.mask_sizes, check.problems) == ({SIZE: 3}, {SIZE: 3}, [])
    assert check.to_json()["classes"][1]["share"] == total(masks, 1) / (3 * 48)


def test_a_label_map_counts_for_its_classes(described):
    masks = random_masks(np.array([3, 4, 300], np.uint16))
    check = check_data(described(masks, 'classes = ["a", "b"]\nlabel_map = { 3 = 1, 300 = 1 }'))
    assert check.classes == {1: total(masks, 3) + total(masks, 300)}
    assert check.ignored == {4: total(masks, 4)}


def test_values_without_a_class_are_counted_in_every_mask(described):
    masks = random_masks(np.array([0, 7, 9], np.uint8))
    check = check_data(described(masks, 'classes = ["a"]'))
    assert check.unknown == {7: total(masks, 7), 9: total(masks, 9)}
    assert [file.name for file in check.unknown_in[9]] == ["mask0.png", "mask1.png", "mask2.png"]
    assert len(check.problems) == 3
    assert "holds the values 7, 9 in" in check.problems[0].what


def test_colours_are_counted_too(described):
    places = np.random.default_rng(2).integers(0, 3, SIZE)
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 9]], np.uint8)
    check = check_data(described({"a": colours[places]}, 'classes = ["r", "g"]\npalette = [[255, 0, 0], [0, 255, 0]]'))
    assert check.classes == {0: np.count_nonzero(places == 0), 1: np.count_nonzero(places == 1)}
    assert check.unknown == {(0, 0, 9): np.count_nonzero(places == 2)}
    assert "holds the colour [0, 0, 9] in" in str(check.problems[0])


def test_bad_files_do_not_end_the_check(described, tmp_path):
    masks = random_masks(np.array([0], np.uint8), 4)
    source = described(masks, 'classes = ["a"]', sizes={"mask3": (6, 9)})
    (tmp_path / "i" / "mask0.png").write_bytes(b"no image")
    (tmp_path / "m" / "mask1.png").unlink()
    check = check_data(source)
    found = [str(error) for error in check.problems]
    assert len(found) == 3
    assert "i/mask1.png: has no mask" in found[0]
    assert "i/mask0.png: not a PNG" in found[1]
    assert "m/mask3.png: 8 x 6 (width x height), but its image is 9 x 6" in found[2]
    assert check.dataset.names[check.first_sound] == "mask2"
    assert check.image_sizes == {SIZE: 1, (6, 9): 1}


def test_the_first_problems_are_listed_and_the_others_counted(described):
    masks = random_masks(np.array([5], np.uint8), SHOWN + 2)
    result = check_data(described(masks, 'classes = ["a"]')).to_json()
    assert (len(result["problems"]), result["more_problems"]) == (SHOWN, 2)
    (unknown,) = result["unknown"]
    assert (unknown["value"], unknown["pixels"], unknown["masks"]) == (5, (SHOWN + 2) * 48, SHOWN + 2)


def test_masks_without_an_image_are_found_unless_a_limit_leaves_them(described, tmp_path):
    source = described(random_masks(np.array([0], np.uint8)), 'classes = ["a"]')
    (tmp_path / "i" / "mask1.png").unlink()
    assert [file.name for file in check_data(source).unused_masks] == ["mask1.png"]
    assert check_data(DataSource.at(str(tmp_path / "own.toml"), limit=1)).unused_masks == ()


def test_masks_without_any_class_are_a_problem(described):
    check = check_data(described(random_masks(np.array([255], np.uint8)), 'classes = ["a"]'))
    assert [error.what for error in check.problems] == ["no pixel of any mask is of a class"]


def test_a_dataset_without_a_pair_or_without_files_is_an_error(described, tmp_path):
    source = described(random_masks(np.array([0], np.uint8)), 'classes = ["a"]')
    for file in (tmp_path / "m").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"mask0\.png: has no mask"):
        check_data(source)
    with pytest.raises(DataError, match="synthetic scenes have no files to check"):
        check_data(DataSource(synthetic=1))


def test_real_label_ids_are_counted_as_numpy_does(real_data):
    check = check_data(DataSource(str(real_data / "cityscapes")))
    road = 0
    for pair in check.dataset.pairs:
        road += int(np.count_nonzero(np.asarray(Image.open(pair.mask)) == (0 if pair.is_fallback else 7)))
    assert check.classes[0] == road
    assert check.problems == []
