"""Reading the labels of prepared folders, with a manifest and without."""

import numpy as np
import pytest

from fastscnn_opt.ascend.prepare.binary import prepare
from fastscnn_opt.ascend.prepare.folder import is_prepared, open_prepared
from fastscnn_opt.ascend.prepare.plan import plan
from fastscnn_opt.ascend.prepare.request import Request
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import DataError


@pytest.fixture
def folder(tmp_path):
    prepare(plan(Request(DataSource(synthetic=2), tmp_path / "out", scene_size=(32, 64))))
    return tmp_path / "out"


def bare(folder, **labels):
    (folder / "gtFine").mkdir(parents=True)
    for name, values in labels.items():
        np.asarray(values, dtype="<f4").tofile(folder / "gtFine" / f"{name}_gtFine_labelIds.bin")
    return folder


def test_labels_come_back_as_they_were(folder):
    labels = open_prepared(folder)
    dataset = DataSource(synthetic=2).open((32, 64))
    assert (labels.names, labels.size) == (dataset.names, (32, 64))
    np.testing.assert_array_equal(labels.label(1), dataset.load(1).label)


def test_limit_keeps_the_first_images(folder):
    assert open_prepared(folder, 1).names == ("scene_000000",)


def test_a_half_prepared_folder_is_refused_unless_the_limit_is_within_it(folder):
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"count": 2', '"count": 9'))
    assert len(open_prepared(folder, 2).names) == 2
    with pytest.raises(DataError, match="only 2 of 9"):
        open_prepared(folder)


def test_a_folder_of_the_original_recipe_has_no_manifest(tmp_path):
    labels = open_prepared(bare(tmp_path, b=[0, -1, 18], a=[3, 255, 4]))
    assert labels.names == ("a", "b")
    assert [labels.label(index).ravel().tolist() for index in (0, 1)] == [[3, 255, 4], [0, 255, 18]]


@pytest.mark.parametrize("value", [19, 254, -2, 0.5, np.nan, 300, -300, np.inf])
def test_a_value_that_is_no_train_id_is_refused(tmp_path, value):
    with pytest.raises(DataError, match="no classes"):
        open_prepared(bare(tmp_path, a=[0, value])).label(0)


def test_a_truncated_label_is_refused(folder):
    path = folder / "gtFine/scene_000001_gtFine_labelIds.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"scene_000001.*8191 bytes"):
        open_prepared(folder).label(1)


def test_a_missing_label_is_named(folder):
    (folder / "gtFine/scene_000000_gtFine_labelIds.bin").unlink()
    with pytest.raises(DataError, match="scene_000000"):
        open_prepared(folder).label(0)


def test_a_manifest_of_a_newer_version_is_refused(folder):
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(DataError, match="schema version 2"):
        open_prepared(folder)


def test_a_cityscapes_tree_is_no_prepared_folder(tmp_path, folder):
    (tmp_path / "tree/gtFine/val").mkdir(parents=True)
    assert not is_prepared(tmp_path / "tree")
    assert is_prepared(folder)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="made by `prepare`"):
        open_prepared(tmp_path)
