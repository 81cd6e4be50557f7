"""The variants file that a search writes."""

import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.scoring.worker.client import TargetChoice
from fastscnn_opt.searching.task import Task


def read_back(path, name):
    """Return the tables of the variants file of a search on a model, with one row."""
    data, target = DataSource(synthetic=1), TargetChoice("onnxruntime", {})
    task = Task.of(Path(path), data, target, baseline="", batch=1, max_drop=1.0)
    return tomllib.loads(task.text([task.plan(name, "simplify")]))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_is_read_back_as_it_was(text):
    assert read_back("net.onnx", text)["variant"] == [{"name": text, "passes": "simplify"}]


def test_characters_beyond_the_first_plane_and_the_delete_character_are_written():
    path = "/\U0001f6e3\x7f/net.onnx"
    assert read_back(path, "plain")["model"]["path"] == path
