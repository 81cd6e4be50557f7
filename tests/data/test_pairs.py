"""Patterns find the images of a dataset and the mask of each."""

import pytest

from fastscnn_opt.data.pairs import Patterns
from fastscnn_opt.errors import DataError


@pytest.fixture
def tree(tmp_path):
    """Make empty files below a folder and return it."""

    def make(*names):
        for name in names:
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return tmp_path

    return make


def names(pairs, root):
    return [(pair.image.relative_to(root).as_posix(), pair.mask.relative_to(root).as_posix()) for pair in pairs]


def test_a_star_crosses_folders_and_stands_for_the_same_in_masks(tree):
    root = tree("img/val/b/two_x.png", "img/val/a/one_x.png", "gt/val/a/one_y.png", "gt/val/b/two_y.png")
    found = Patterns(root, "val", "img/{split}/*_x.png", "gt/{split}/*_y.png").pairs()
    assert names(found, root) == [
        ("img/val/a/one_x.png", "gt/val/a/one_y.png"),
        ("img/val/b/two_x.png", "gt/val/b/two_y.png"),
    ]
    assert [pair.name for pair in found] == ["one", "two"]


def test_several_stars_stand_for_their_own(tree):
    root = tree("images/one.jpg", "masks/one.png")
    found = Patterns(root, "", "images/*.*", "masks/*.png").pairs()
    assert names(found, root) == [("images/one.jpg", "masks/one.png")]


def test_the_limit_keeps_the_first(tree):
    root = tree("i/a.png", "i/b.png", "m/a.png")
    assert names(Patterns(root, "", "i/*.png", "m/*.png").pairs(limit=1), root) == [("i/a.png", "m/a.png")]


def test_other_files_beside_images_are_left_out(tree):
    root = tree("i/a.png", "i/notes.txt", "m/a.png.png")
    assert names(Patterns(root, "", "i/*", "m/*.png").pairs(), root) == [("i/a.png", "m/a.png.png")]


def test_an_image_without_a_mask_is_named_with_the_missing_file(tree):
    root = tree("i/a.png", "m/b.png")
    with pytest.raises(DataError, match=r"i/a\.png: has no mask; put a\.png into .*/m, or"):
        Patterns(root, "", "i/*.png", "m/*.png").pairs()


def test_a_mask_of_another_name_is_pointed_at(tree):
    root = tree("i/a1.png", "m/a10.png", "m/a1_mask.png")
    with pytest.raises(DataError, match=r"i/a1\.png: has no mask; if a1_mask\.png in .*/m is meant, mend the pattern"):
        Patterns(root, "", "i/*.png", "m/*.png").pairs()


def test_a_folder_of_masks_that_is_missing_is_named(tree):
    root = tree("i/a.png", "mask/a.png")
    with pytest.raises(DataError, match=r"put a\.png into .*/m, a folder that is missing, or mend the pattern `masks`"):
        Patterns(root, "", "i/*.png", "m/*.png").pairs()


@pytest.mark.parametrize(
    ("file", "pattern", "words"),
    [
        (
            "i/vall/a.png",
            "i/val/*.png",
            r"/i: holds no folder 'val', which .*; mend `images`, did you mean 'vall'",
        ),
        ("i/a.jpg", "i/*.png", r"/i: holds 1 file, such as a\.jpg, and none fits .*; say images = 'i/\*\.jpg'"),
        ("i/a.jpg", "i/{split}/*.jpg", r"/i: holds no folder 'val', which .*; say images = 'i/\*\.jpg'"),
        ("imgs/a.jpg", "images/*.jpg", r"holds no folder images.*, or did you mean 'imgs' in the pattern `images`\?"),
        ("i/a.jpg", "i/*_x.png", r"/i: holds 1 file, such as a\.jpg, and none fits the pattern .*; mend `images`"),
    ],
)
def test_a_pattern_that_nothing_fits_is_followed_as_far_as_it_goes(tree, file, pattern, words):
    with pytest.raises(DataError, match=words):
        Patterns(tree(file), "val", pattern, "m/*.png").pairs()


def test_masks_without_images_are_counted(tree):
    root = tree("m/a.png", "m/b.png")
    (root / "i").mkdir()
    with pytest.raises(DataError, match=r"/i: holds no image, beside 2 masks; check the root and the pattern"):
        Patterns(root, "", "i/*.png", "m/*.png").pairs()
    root = tree("i/a.png")
    patterns = Patterns(root, "", "i/*.png", "m/*.png")
    assert patterns.masks_without_image(patterns.pairs()) == (root / "m" / "b.png",)


def test_errors_of_images_without_a_mask_are_gathered_where_a_list_is_given(tree):
    root, missing = tree("i/a.png", "i/b.png", "i/c.png", "m/b.png"), []
    assert names(Patterns(root, "", "i/*.png", "m/*.png").pairs(None, missing), root) == [("i/b.png", "m/b.png")]
    assert [error.where for error in missing] == [str(root / "i" / name) for name in ("a.png", "c.png")]


def test_errors_of_a_list_are_gathered_too(tree):
    root, missing = tree("i/a.png", "m/a.png", "i/b.png"), []
    (root / "list.txt").write_text("i/a.png m/a.png\ni/x.png m/a.png\nb\ny\n")
    found = Patterns(root, "", "i/*.png", "m/*.png", listing="list.txt").pairs(None, missing)
    assert names(found, root) == [("i/a.png", "m/a.png")]
    assert [error.what.replace(f"{root}/", "") for error in missing] == [
        "there is no file i/x.png", "has no mask", "there is no image i/y.png",
    ]  # fmt: skip


def test_the_splits_of_lists_are_known(tree):
    root = tree("lists/train.txt", "lists/val.txt")
    assert Patterns(root, "", "i/*.png", "m/*.png", listing="lists/{split}.txt").splits() == ["train", "val"]


def test_the_second_kind_of_mask_serves_where_the_first_is_missing(tree):
    root = tree("i/a.png", "i/b.png", "m/a_ids.png", "m/b_train.png")
    found = Patterns(root, "", "i/*.png", "m/*_ids.png", "m/*_train.png").pairs()
    assert [pair.is_fallback for pair in found] == [False, True]


def test_another_split_is_named_with_the_nearest(tree):
    root = tree("i/val/a.png", "i/train/b.png")
    with pytest.raises(DataError, match=r"no images of the split 'vall'; did you mean 'val'\?$"):
        Patterns(root, "vall", "i/{split}/*.png", "m/*.png").pairs()


def test_a_list_of_stems_chooses_images(tree):
    root = tree("i/a.jpg", "i/b.jpg", "m/a.png", "m/b.png")
    (root / "val.txt").write_text("b\n\n")
    found = Patterns(root, "val", "i/*.jpg", "m/*.png", listing="{split}.txt").pairs()
    assert names(found, root) == [("i/b.jpg", "m/b.png")]


def test_a_list_of_pairs_names_both_files(tree):
    root = tree("x/a.jpg", "y/other.png")
    (root / "list.txt").write_text("x/a.jpg y/other.png\n")
    assert names(Patterns(root, "", "i/*.jpg", "m/*.png", listing="list.txt").pairs(), root) == [
        ("x/a.jpg", "y/other.png")
    ]


def test_a_stem_of_a_list_may_have_spaces(tree):
    root = tree("i/site one/a.jpg", "i/b 2 c.jpg", "m/site one/a.png", "m/b 2 c.png")
    (root / "list.txt").write_text("site one/a\nb 2 c\n")
    assert names(Patterns(root, "", "i/*.jpg", "m/*.png", listing="list.txt").pairs(), root) == [
        ("i/site one/a.jpg", "m/site one/a.png"),
        ("i/b 2 c.jpg", "m/b 2 c.png"),
    ]


def test_a_list_may_begin_with_the_mark_that_windows_writes(tree):
    root = tree("i/a.jpg", "m/a.png")
    (root / "list.txt").write_bytes(b"\xef\xbb\xbfa\r\n")
    assert len(Patterns(root, "", "i/*.jpg", "m/*.png", listing="list.txt").pairs()) == 1


def test_a_list_that_names_a_missing_file_is_an_error_with_the_line(tree):
    root = tree("i/a.jpg")
    (root / "list.txt").write_text("zzz\n")
    with pytest.raises(DataError, match=r"list\.txt, line 1: there is no image"):
        Patterns(root, "", "i/*.jpg", "m/*.png", listing="list.txt").pairs()


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(DataError, match="none: no such folder; give the root of the dataset"):
        Patterns(tmp_path / "none", "", "*.png", "*.png").pairs()


def test_the_split_may_stand_behind_a_star(tree):
    root = tree("i/city/train/a.png")
    with pytest.raises(DataError, match="no images of the split 'val'; it has train"):
        Patterns(root, "val", "i/*/{split}/*.png", "m/*/{split}/*.png").pairs()


def test_a_folder_beside_the_root_is_pointed_out(tree):
    root = tree("right/i/a.png", "wrong/a.png")
    with pytest.raises(DataError, match=f"holds no folder i, so it is not the root of this dataset; give {root}/right"):
        Patterns(root, "", "i/*.png", "m/*.png").pairs()


def test_an_empty_list_is_named(tree):
    root = tree("i/a.png", "val.txt")
    with pytest.raises(DataError, match=r"val\.txt: the list is empty"):
        Patterns(root, "", "i/*.png", "m/*.png", listing="val.txt").pairs()


def test_a_list_that_is_not_there_is_named(tree):
    with pytest.raises(DataError, match=r"val\.txt: the list cannot be read \(No such file"):
        Patterns(tree("i/a.png"), "", "i/*.png", "m/*.png", listing="val.txt").pairs()


def test_a_mask_pattern_with_more_stars_than_images_is_an_error(tree):
    with pytest.raises(DataError, match=r"pattern 'm/\*/\*\.png' has more \* than `images`"):
        Patterns(tree("i/a.png"), "", "i/*.png", "m/*/*.png").pairs()
