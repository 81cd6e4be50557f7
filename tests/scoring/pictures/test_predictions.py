"""Label maps that are saved beside a run."""

import json
import zipfile

import numpy as np
import pytest

from fastscnn_opt.errors import RunError
from fastscnn_opt.scoring.pictures import predictions
from fastscnn_opt.scoring.pictures.predictions import SavedPredictions, save_predictions


def maps(count, size, seed=0):
    return np.random.default_rng(seed).integers(0, 19, (count, *size), dtype=np.int64)


@pytest.fixture
def file(tmp_path):
    """Two maps of a small size."""
    with save_predictions(tmp_path / "saved.zip", ["one", "../../two"], (4, 6)) as keep:
        for labels in maps(2, (4, 6)):
            keep(labels)
    return tmp_path / "saved.zip"


def test_what_was_kept_is_read_back(file):
    found = SavedPredictions(file)
    assert (found.images.names, found.images.size, found.images.step) == (("one", "../../two"), (4, 6), 1)
    np.testing.assert_array_equal([found.load(0), found.load(1)], maps(2, (4, 6)))


def test_large_maps_lose_rows_and_columns(tmp_path):
    (labels,) = maps(1, (5, 2049))
    with save_predictions(tmp_path / "saved.zip", ["wide"], labels.shape) as keep:
        keep(labels)
    found = SavedPredictions(tmp_path / "saved.zip")
    assert found.images.step == 3
    np.testing.assert_array_equal(found.load(0), labels[::3, ::3])


def test_only_the_first_images_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "MOST_IMAGES", 1)
    with save_predictions(tmp_path / "saved.zip", ["one", "two"], (4, 6)) as keep:
        for labels in maps(2, (4, 6)):
            keep(labels)
    assert SavedPredictions(tmp_path / "saved.zip").images.names == ("one",)


def test_nothing_is_left_of_an_evaluation_that_failed(tmp_path):
    (labels,) = maps(1, (4, 6))
    with pytest.raises(TypeError), save_predictions(tmp_path / "saved.zip", ["one"], (4, 6)) as keep:
        keep(labels, "what the evaluation never does")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"noise"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "saved.zip").write_bytes(content)
    with pytest.raises(RunError, match=r"saved\.zip: the saved label maps cannot be read"):
        _ = SavedPredictions(tmp_path / "saved.zip").images


@pytest.mark.parametrize("about", [{}, [], {"names": ["one"], "size": [4], "step": 1}])
def test_an_archive_of_something_else_is_refused(tmp_path, about):
    with zipfile.ZipFile(tmp_path / "saved.zip", "w") as archive:
        archive.writestr("about.json", json.dumps(about))
    with pytest.raises(RunError, match=r"saved\.zip"):
        _ = SavedPredictions(tmp_path / "saved.zip").images


def test_a_map_of_another_size_is_refused(file):
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["about.json"] = entries["about.json"].replace(b"[4, 6]", b"[9, 9]")
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with pytest.raises(RunError, match=r"image 0 is uint8 \(4, 6\)"):
        SavedPredictions(file).load(0)
