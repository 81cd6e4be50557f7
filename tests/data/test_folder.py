"""Datasets of files, by the example of the Cityscapes layout: which files make a pair, and what can be wrong."""

import os
import re
import shutil
import sys

import numpy as np
import pytest
from cityscapes import TRAIN_ID_OF
from PIL import Image

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError


def opened(root, split="val", limit=None):
    return DataSource(str(root), split, limit=limit).open()


def test_pairs_come_in_the_order_of_their_paths(tmp_path, add_pair):
    for stem in ("ulm_000001_000019", "bonn_000000_000019", "ulm_000000_000019"):
        add_pair(stem)
    dataset = opened(tmp_path)
    assert dataset.names == ("bonn_000000_000019", "ulm_000000_000019", "ulm_000001_000019")
    assert [dataset.load(index).name for index in range(3)] == list(dataset.names)
    assert len(dataset) == 3


def test_a_sample_holds_the_pixels_of_its_files(tmp_path, add_pair):
    image, label = add_pair()
    sample = opened(tmp_path).load(0)
    assert (sample.image == np.asarray(Image.open(image))).all()
    assert (sample.label == TRAIN_ID_OF[np.asarray(Image.open(label))]).all()


def test_label_ids_win_over_train_ids(tmp_path, add_pair):
    add_pair(ids="labelTrainIds")
    assert (opened(tmp_path).load(0).label < 19).all()
    add_pair(ids="labelIds")
    assert (opened(tmp_path).load(0).label == 255).any()


def test_a_limit_keeps_the_first_images(tmp_path, add_pair):
    for index in range(3):
        add_pair(f"ulm_{index:06d}_000019")
    assert opened(tmp_path, limit=2).names == ("ulm_000000_000019", "ulm_000001_000019")


def test_the_size_is_that_of_the_first_image(tmp_path, add_pair):
    add_pair(size=(8, 24))
    assert opened(tmp_path).size == (8, 24)


def test_a_missing_root_is_said_to_be_missing(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder"):
        opened(tmp_path / "nowhere")


def test_a_folder_without_images_is_not_a_root(tmp_path):
    with pytest.raises(DataError, match="holds no folder leftImg8bit"):
        opened(tmp_path)


@pytest.mark.parametrize("wrong", ["inner/leftImg8bit", "."])
def test_a_root_next_to_the_right_one_is_pointed_out(tmp_path, add_pair, wrong):
    add_pair()
    (tmp_path / "inner").mkdir()
    (tmp_path / "leftImg8bit").rename(tmp_path / "inner" / "leftImg8bit")
    with pytest.raises(DataError, match=f"give {re.escape(str(tmp_path / 'inner'))}$"):
        opened(tmp_path / wrong)


def test_a_misspelt_split_is_answered_with_the_nearest(tmp_path, add_pair):
    add_pair(split="train")
    add_pair(split="val")
    with pytest.raises(DataError, match=r"no images of the split 'vall'; did you mean 'val'\?$"):
        opened(tmp_path, "vall")


def test_an_empty_split_is_answered_with_the_others(tmp_path, add_pair):
    add_pair(split="train")
    (tmp_path / "leftImg8bit" / "test" / "berlin").mkdir(parents=True)
    with pytest.raises(DataError, match="no images of the split 'test'; it has train"):
        opened(tmp_path, "test")


def test_a_tree_without_any_image_is_said_to_be_empty(tmp_path):
    (tmp_path / "leftImg8bit" / "val").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no image"):
        opened(tmp_path)


def test_an_image_without_its_label_is_named(tmp_path, add_pair):
    _, label = add_pair()
    label.unlink()
    with pytest.raises(
        DataError,
        match=r"19_leftImg8bit\.png: has no mask; put ulm_000000_000019_gtFine_labelIds\.png into .*gtFine/val/ulm",
    ):
        opened(tmp_path)


def test_a_label_of_another_size_is_named(tmp_path, add_pair):
    _, label = add_pair(size=(16, 32))
    Image.new("L", (31, 16)).save(label)
    with pytest.raises(DataError, match=r"labelIds\.png: 31 x 16 \(width x height\), but its image is 32 x 16"):
        opened(tmp_path).load(0)


def test_a_label_on_its_side_is_told_to_be_turned_as_the_image_says(tmp_path, add_pair):
    _, label = add_pair(size=(16, 32))
    Image.new("L", (16, 32)).save(label)
    with pytest.raises(DataError, match=r"turned upright as the EXIF orientation of the image says"):
        opened(tmp_path).load(0)


def test_images_may_differ_in_size(tmp_path, add_pair):
    add_pair("ulm_000000_000019", size=(16, 32))
    add_pair("ulm_000001_000019", size=(16, 64))
    dataset = opened(tmp_path)
    assert [dataset.load(index).label.shape for index in range(2)] == [(16, 32), (16, 64)]


def test_folders_behind_links_are_searched_and_a_circle_of_links_ends(tmp_path, add_pair):
    add_pair("ulm_000000_000019")
    city = tmp_path / "leftImg8bit" / "val" / "ulm"
    city.rename(tmp_path / "elsewhere")
    city.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "leftImg8bit")
    assert opened(tmp_path).names == ("ulm_000000_000019",)


def test_a_damaged_image_is_named(tmp_path, add_pair):
    add_pair("ulm_000000_000019")
    image, _ = add_pair("ulm_000001_000019")
    image.write_bytes(image.read_bytes()[:200])
    with pytest.raises(DataError, match=r"ulm_000001_000019_leftImg8bit\.png: a damaged or truncated image"):
        opened(tmp_path).load(1)


def test_the_fingerprint_follows_the_files(tmp_path, add_pair):
    image, label = add_pair()
    seen = [opened(tmp_path).fingerprint()]
    assert seen[0] == opened(tmp_path).fingerprint()
    facts, content = label.stat(), bytearray(label.read_bytes())
    content[-1] ^= 1
    label.write_bytes(content)
    os.utime(label, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    seen.append(opened(tmp_path).fingerprint())
    image.write_bytes(image.read_bytes() + b" ")
    seen.append(opened(tmp_path).fingerprint())
    add_pair("bonn_000000_000019")
    seen.append(opened(tmp_path).fingerprint())
    assert len(set(seen)) == 4


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have only names that are UTF-8")
def test_a_name_that_is_no_utf8_has_its_own_fingerprint(tmp_path, add_pair):
    seen = []
    for city in ("b\udcfenn", "b\udcffnn"):
        pair = add_pair(f"{city}_000000_000019")
        seen.append(opened(tmp_path).fingerprint())
        for file in pair:
            file.unlink()
    assert len(set(seen)) == 2


def test_the_fingerprint_does_not_follow_a_mere_copy(tmp_path, add_pair):
    add_pair()
    before = opened(tmp_path).fingerprint()
    shutil.copytree(tmp_path, tmp_path / "copy")
    assert opened(tmp_path / "copy").fingerprint() == before


def test_the_real_pairs_load(real_data):
    dataset = opened(real_data / "cityscapes")
    assert len(dataset) == 8
    assert dataset.size == (1024, 2048)
    sample = dataset.load(len(dataset) - 1)
    assert sample.image.shape == (1024, 2048, 3)
    assert set(np.unique(sample.label)) <= {*range(19), 255}
