"""The variants file that a search writes."""

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.searching.inputs import SearchInput
from fastscnn_opt.targets.spec import TargetSpec


def read_back(path, name):
    """Return the tables of the variants file of a search on a model, with one row."""
    data, target = DataSource(synthetic=1), TargetSpec("onnxruntime", {})
    given = SearchInput(Path(path), data, target, baseline_passes="", batch=1, max_drop=1.0)
    return tomllib.loads(given.text([given.plan(name, "simplify")]))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_is_read_back_as_it_was(text):
    assert read_back("net.onnx", text)["variant"] == [{"name": text, "passes": "simplify"}]


def test_a_description_is_written_whole(tmp_path):
    (tmp_path / "own.toml").write_text("""
        [data]
        preset = "camvid"
        root = "."
        classes = "cityscapes"
        label_map = { 0 = 10, 3 = 0 }
        limit = 3

        [data.preprocess]
        resize = "stretch"
    """)
    source = DataSource.at(str(tmp_path / "own.toml"), split="train")
    given = SearchInput(Path("net.onnx"), source, TargetSpec("onnxruntime", {}), "", 1, 1.0)
    (tmp_path / "front.toml").write_text(given.text([given.plan("plain", "simplify")]))
    assert DataSource.at(str(tmp_path / "front.toml")) == source


def test_characters_beyond_the_first_plane_and_the_delete_character_are_written():
    path = "/\U0001f6e3\x7f/net.onnx"
    assert read_back(path, "plain")["model"]["path"] == path
