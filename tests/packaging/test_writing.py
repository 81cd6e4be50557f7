"""A package appears whole or not at all, replaces only packages, and has the same bytes for the same content."""

import os
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from fastscnn_opt.errors import UserError
from fastscnn_opt.packaging.writing import PackagedFile, new_package, packaged_files, write_json

FILES = {
    "MODEL_CARD.md", "config.json", "example/image.png", "example/labels.png", "model.onnx", "predict.py",
    "preprocessor_config.json", "segmenter.py",
}  # fmt: skip


def fill(folder, text="content"):
    """Write all files of a package."""
    (folder / "example").mkdir()
    for name in FILES:
        (folder / name).write_text(text)


def names_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def package(tmp_path):
    """A package that is there already, with an artefact, and with what Python left when it was used."""
    with new_package(tmp_path / "package") as folder:
        fill(folder)
        (folder / "model.openvino.xml").touch()
    (tmp_path / "package" / "__pycache__").mkdir()
    (tmp_path / "package" / "__pycache__" / "segmenter.cpython-311.pyc").touch()
    return tmp_path / "package"


def test_a_package_is_a_new_folder(package):
    assert names_in(package) == {*FILES, "model.openvino.xml", "__pycache__/segmenter.cpython-311.pyc"}
    assert [entry.name for entry in package.parent.iterdir()] == ["package"]


def test_an_earlier_package_is_replaced(package):
    with new_package(package) as folder:
        fill(folder, "new")
    assert names_in(package) == FILES
    assert (package / "config.json").read_text() == "new"


def test_an_empty_folder_is_filled_even_from_within(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with new_package(Path()) as folder:
        fill(folder)
    assert names_in(tmp_path) == FILES


@pytest.mark.parametrize("output", ["package", "new", "new.zip"])
def test_after_an_error_everything_is_as_before(output, package):
    before = names_in(package.parent)
    with suppress(KeyboardInterrupt), new_package(package.parent / output) as folder:
        fill(folder, "new")
        raise KeyboardInterrupt
    assert names_in(package.parent) == before
    assert (package / "config.json").read_text() == "content"


@pytest.mark.parametrize(
    ("files", "named"),
    [(["notes.txt"], "notes.txt"), (["model.onnx"], "model.onnx"), ([*FILES, "example/mine.png"], "example/mine.png")],
)
def test_a_folder_with_something_else_is_refused(files, named, tmp_path):
    (tmp_path / "mine" / "example").mkdir(parents=True)
    for name in files:
        (tmp_path / "mine" / name).touch()
    with pytest.raises(UserError, match=rf"mine: holds something else \({named}\); give a new folder"):
        new_package(tmp_path / "mine").__enter__()
    assert names_in(tmp_path / "mine") == set(files)


@pytest.mark.parametrize(("name", "what"), [("file", "is a file"), ("folder.zip", "is a folder")])
def test_a_place_of_another_kind_is_refused(name, what, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.zip").mkdir()
    with pytest.raises(UserError, match=what):
        new_package(tmp_path / name).__enter__()


def test_a_zip_file_has_the_same_bytes_whenever_it_is_written(tmp_path):
    for name, time in (("first.zip", 1), ("second.zip", 2_000_000_000)):
        with new_package(tmp_path / name) as folder:
            fill(folder)
            for file in FILES:
                os.utime(folder / file, (time, time))
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(FILES)


def test_files_are_listed_by_name_with_their_hashes(tmp_path):
    (tmp_path / "example").mkdir()
    (tmp_path / "example" / "b").write_bytes(b"abc")
    (tmp_path / "a").touch()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert packaged_files(tmp_path) == [PackagedFile("a", 0, empty), PackagedFile("example/b", 3, abc)]


def test_json_has_its_keys_in_order(tmp_path):
    write_json(tmp_path / "config.json", {"b": 1, "a": {10: "ten", 9: "nine"}})
    assert (
        tmp_path / "config.json"
    ).read_text() == '{\n  "a": {\n    "9": "nine",\n    "10": "ten"\n  },\n  "b": 1\n}\n'
