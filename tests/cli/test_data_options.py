"""The options that choose images: one without effect is refused, never ignored."""

from pathlib import Path

import pytest
import typer

from fastscnn_opt.cli.data_options import data_source
from fastscnn_opt.data.source import DataSource


def test_a_tree_defaults_to_val():
    assert data_source(Path("tree"), None, None, None, 3) == DataSource(root="tree", split="val", limit=3)


def test_scenes_default_to_seed_0():
    assert data_source(None, None, 4, None, None) == DataSource(synthetic=4, seed=0)


@pytest.mark.parametrize(
    "options",
    [
        (None, None, None, None),
        (Path("tree"), None, 4, None),
        (Path("tree"), None, None, 7),
        (None, "val", 4, None),
    ],
)
def test_contradictions_and_options_without_effect_are_wrong_usage(options):
    with pytest.raises(typer.BadParameter):
        data_source(*options, None)
