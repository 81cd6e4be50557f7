"""Options that several verbs share: one without effect is refused, never ignored."""

from pathlib import Path

import pytest
import typer

from fastscnn_opt.cli.main import run
from fastscnn_opt.cli.options import data_source, target_choice
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


def test_values_are_read_as_what_they_look_like():
    choice = target_choice("ascend310", ["aipp=true", "device=2", "soc_version=Ascend310"], threads=None)
    assert choice.options == {"aipp": True, "device": 2, "soc_version": "Ascend310"}


TEXTUAL = """
    from dataclasses import dataclass
    from typing import ClassVar

    @dataclass(frozen=True)
    class Textual:
        name: ClassVar[str] = "textual"
        label: str = ""
        mode: str | None = None
        count: int = 0
        either: str | bool = ""
"""


def test_a_value_stays_a_text_where_the_option_takes_only_texts(plug_in):
    plug_in("textual", TEXTUAL, targets=["Textual"])
    choice = target_choice("textual", ["label=true", "mode=310", "count=3", "either=true"])
    assert choice.options == {"label": "true", "mode": "310", "count": 3, "either": True}


@pytest.mark.parametrize("settings", [["aipp"], ["=true"], ["device=1", "device=2"]])
def test_a_malformed_or_repeated_option_is_wrong_usage(settings):
    with pytest.raises(typer.BadParameter):
        target_choice("ascend310", settings)


def test_an_option_that_the_target_does_not_have_names_the_nearest(tmp_path, capsys):
    arguments = ["compile", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "a"), "--target", "ascend310"]
    assert run([*arguments, "--option", "aip=true"]) == 1
    assert "unknown option 'aip'; did you mean 'aipp'?" in capsys.readouterr().err


def test_a_target_may_have_options_behind_its_name():
    choice = target_choice("ascend310{aipp=true}", ["device=2"])
    assert (choice.name, choice.options) == ("ascend310", {"aipp": True, "device": 2})


def test_an_option_behind_the_name_is_not_given_again():
    with pytest.raises(typer.BadParameter, match="aipp is given twice"):
        target_choice("ascend310{aipp=true}", ["aipp=false"])
