"""The options that choose a target."""

import pytest
import typer

from fastscnn_opt.cli.main import run
from fastscnn_opt.cli.target_options import target_choice


def test_values_are_read_as_what_they_look_like():
    choice = target_choice("ascend310", ["aipp=true", "device=2", "soc_version=Ascend310"], threads=None)
    assert choice.options == {"aipp": True, "device": 2, "soc_version": "Ascend310"}


@pytest.mark.parametrize("settings", [["aipp"], ["=true"], ["device=1", "device=2"]])
def test_a_malformed_or_repeated_option_is_wrong_usage(settings):
    with pytest.raises(typer.BadParameter):
        target_choice("ascend310", settings)


def test_an_option_that_the_target_does_not_have_names_the_nearest(tmp_path, capsys):
    arguments = ["compile", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "a"), "--target", "ascend310"]
    assert run([*arguments, "--option", "aip=true"]) == 1
    assert "unknown option 'aip'; did you mean 'aipp'?" in capsys.readouterr().err
