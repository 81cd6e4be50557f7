"""The commands that a report shows: they parse, whatever names they hold."""

import shlex

import pytest

from fastscnn_opt.report.commands import commands_for
from fastscnn_opt.scoring.tables.commands import command_for_run

STEP = {
    "pass": "resize-nearest",
    "text": "resize-nearest{only='a b'}",
    "contract": "lossy",
    "verified": None,
    "changes": 1,
}


def test_a_row_is_built_with_its_pipeline(build, assert_command_is_valid):
    content = build(model={"file": "/my models/it's.onnx", "key": "m"}).row("base", 0.6, 10, steps=[STEP]).content()
    (command,) = commands_for(content.run, content.entries[0])
    words = shlex.split(command)
    assert words[1:] == ["apply", "/my models/it's.onnx", "--passes", "resize-nearest{only='a b'}", "-o", "row-1.onnx"]
    assert_command_is_valid(words[1:])


def test_a_checkpoint_is_exported_first(build, assert_command_is_valid):
    file = {
        "path": "/v.toml",
        "sha256": "0",
        "text": '[model]\ncheckpoint = "c.pth"\noutputs = "all"\nheight = 64\n'
        '[data]\nsynthetic = 1\n[[variant]]\nname = "base"',
    }
    builder = build(model={"file": "/c.pth", "key": "m"}, variants_file=file).row("base", 0.6, 10, steps=[STEP])
    content = builder.content()
    export, apply = (shlex.split(command) for command in commands_for(content.run, content.entries[0]))
    assert export[1:] == [
        *("export", "/c.pth", "-o", "exported.onnx", "--outputs", "all", "--height", "64", "--width", "2048")
    ]
    assert_command_is_valid(export[1:])
    assert apply[1:3] == ["apply", "exported.onnx"]


def test_a_row_without_passes_is_the_model_itself(build):
    content = build().row("base", 0.6, 10).content()
    assert commands_for(content.run, content.entries[0]) == ["cp -- /models/net.onnx row-1.onnx"]


def test_a_row_that_was_never_built_has_no_command(build):
    builder = build().row("base", status="failed", reason="no")
    builder.records[0] = type(builder.records[0])(**{**vars(builder.records[0]), "model": None})
    content = builder.content()
    assert commands_for(content.run, content.entries[0]) == []


def test_a_run_is_scored_again_from_its_variants_file(build, assert_command_is_valid):
    words = shlex.split(command_for_run(build().row("base", 0.6, 10).content().run))
    assert words[1:] == ["score", "/models/variants.toml", "--run", "run-again", "--rounds", "5"]
    assert_command_is_valid(words[1:])


def test_the_demo_is_run_again_as_such(build, tmp_path, assert_command_is_valid):
    file = {"path": str(tmp_path / "run" / "demo.toml"), "sha256": "0", "text": ""}
    words = shlex.split(command_for_run(build(variants_file=file).row("base", 0.6, 10).content().run))
    assert words[1:] == ["demo", "--run", "run-again", "--scenes", "2", "--rounds", "5"]
    assert_command_is_valid(words[1:])


@pytest.mark.parametrize("text", ["", "not TOML ["])
def test_a_variants_file_of_another_schema_does_not_matter(build, text):
    file = {"path": "/v.toml", "sha256": "0", "text": text}
    content = build(model={"file": "/c.pth", "key": "m"}, variants_file=file).row("base", 0.6, 10).content()
    assert commands_for(content.run, content.entries[0])[0].startswith("fastscnn-opt export /c.pth")
