"""Label maps that are saved beside a run."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from fastscnn_opt.errors import RunError
from fastscnn_opt.scoring.pictures import predictions
from fastscnn_opt.scoring.pictures.predictions import SavedImages, SavedPredictions, save_predictions

CLASSES = 19


def maps(count, size, seed=0):
    return np.random.default_rng(seed).integers(0, CLASSES, (count, *size), dtype=np.int64)


def rewrite(file, change):
    """Change ``about.json`` in a file of saved maps."""
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["about.json"] = change(entries["about.json"])
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


@pytest.fixture
def file(tmp_path):
    """Two small maps of different sizes."""
    with save_predictions(tmp_path / "saved.zip", ["one", "../../two"], CLASSES) as keep:
        keep(maps(1, (4, 6))[0])
        keep(maps(1, (7, 3))[0])
    return tmp_path / "saved.zip"


def test_what_was_kept_is_read_back(file):
    found = SavedPredictions(file, CLASSES)
    assert (found.images.names, found.images.sizes) == (("one", "../../two"), ((4, 6), (7, 3)))
    np.testing.assert_array_equal(found.load(0), maps(1, (4, 6))[0])
    np.testing.assert_array_equal(found.load(1), maps(1, (7, 3))[0])


@pytest.mark.parametrize("classes", [1, 3, 150, 254, 255, 256, 300, 65535])
def test_any_number_of_classes_is_kept_and_what_lies_beyond_is_one_value(tmp_path, classes):
    labels = np.array([[0, classes // 2, classes - 1], [classes, classes + 1, classes + 70_000]])
    with save_predictions(tmp_path / "saved.zip", ["one"], classes) as keep:
        keep(labels)
    found = SavedPredictions(tmp_path / "saved.zip", classes).load(0)
    assert found.tolist() == [[0, classes // 2, classes - 1], [classes] * 3]


def test_maps_of_a_narrow_type_are_kept_for_many_classes(tmp_path):
    labels = np.array([[0, 255]], np.uint8)
    with save_predictions(tmp_path / "saved.zip", ["one"], 300) as keep:
        keep(labels)
    np.testing.assert_array_equal(SavedPredictions(tmp_path / "saved.zip", 300).load(0), labels)


def test_a_file_of_an_earlier_release_is_read(file):
    rewrite(file, lambda _: json.dumps({"names": ["one"], "size": [4, 6], "step": 1}).encode())
    picture = io.BytesIO()
    Image.fromarray(np.full((4, 6), 255, np.uint8)).save(picture, format="PNG")
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("00000.png", picture.getvalue())
    found = SavedPredictions(file, CLASSES)
    assert found.images == SavedImages(("one",), ((4, 6),))
    assert (found.load(0) == CLASSES).all(), "255 was no class"


def test_large_maps_lose_rows_and_columns(tmp_path):
    (labels,) = maps(1, (5, 2049))
    with save_predictions(tmp_path / "saved.zip", ["wide"], CLASSES) as keep:
        keep(labels)
    found = SavedPredictions(tmp_path / "saved.zip", CLASSES)
    assert found.images.sizes == ((5, 2049),)
    np.testing.assert_array_equal(found.load(0), labels[::3, ::3])


def test_only_the_first_images_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "MOST_IMAGES", 1)
    with save_predictions(tmp_path / "saved.zip", ["one", "two"], CLASSES) as keep:
        for labels in maps(2, (4, 6)):
            keep(labels)
    assert SavedPredictions(tmp_path / "saved.zip", CLASSES).images.names == ("one",)


def test_nothing_is_left_of_an_evaluation_that_failed(tmp_path):
    (labels,) = maps(1, (4, 6))
    with pytest.raises(TypeError), save_predictions(tmp_path / "saved.zip", ["one"], CLASSES) as keep:
        keep(labels, "what the evaluation never does")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"noise"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "saved.zip").write_bytes(content)
    with pytest.raises(RunError, match=r"saved\.zip: the saved label maps cannot be read"):
        _ = SavedPredictions(tmp_path / "saved.zip", CLASSES).images


def test_a_link_to_a_device_is_refused_at_once(tmp_path):
    (tmp_path / "saved.zip").symlink_to("/dev/zero")
    with pytest.raises(RunError, match=r"saved\.zip: .* cannot be read \(it is a device, and not a regular file\)"):
        _ = SavedPredictions(tmp_path / "saved.zip", CLASSES).images


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "saved.zip").symlink_to("saved.zip")
    with pytest.raises(RunError, match=r"saved\.zip: the saved label maps cannot be read"):
        _ = SavedPredictions(tmp_path / "saved.zip", CLASSES).images


@pytest.mark.parametrize(
    "about",
    [
        {},
        [],
        {"names": ["one"], "size": [4], "step": 1},
        {"names": ["one"], "sizes": []},
        {"names": [], "sizes": []},
        {"names": ["one"], "sizes": [[10**12, 10**12]]},
        {"names": ["one"], "sizes": [[0, -5]]},
    ],
)
def test_an_archive_of_something_else_is_refused(tmp_path, about):
    with zipfile.ZipFile(tmp_path / "saved.zip", "w") as archive:
        archive.writestr("about.json", json.dumps(about))
    with pytest.raises(RunError, match=r"saved\.zip"):
        _ = SavedPredictions(tmp_path / "saved.zip", CLASSES).images


def test_a_map_of_another_size_is_refused(file):
    rewrite(file, lambda about: about.replace(b"[4, 6]", b"[9, 9]"))
    with pytest.raises(RunError, match="image 0 has P pixels, 4 x 6"):
        SavedPredictions(file, CLASSES).load(0)
