"""The README works: its Python runs, its variants file is valid, its commands exist."""

from pathlib import Path

import pytest

from fastscnn_opt.model.saving import save_model


@pytest.fixture
def readme(page):
    return page("README.md")


@pytest.mark.parametrize("number", [0, 1])
def test_its_python_runs(number, readme, tiny_model, tmp_path, monkeypatch):
    save_model(tiny_model, tmp_path / "fast_scnn.onnx")
    monkeypatch.chdir(tmp_path)
    blocks = readme.blocks("python")
    assert len(blocks) == 2
    exec(compile(blocks[number], "README.md", "exec"), {"__name__": "readme"})


def test_its_example_of_a_pass_is_that_of_the_guide(readme):
    example = Path(__file__).parent / "plugin_example" / "drop_dropout.py"
    assert readme.blocks("python")[1] == example.read_text("utf-8")


def test_its_variants_file_is_valid(readme, tiny_model, tmp_path):
    from fastscnn_opt.scoring.variants import read_variants

    save_model(tiny_model, tmp_path / "fast_scnn.onnx")
    (tmp_path / "datasets" / "cityscapes").mkdir(parents=True)
    (text,) = readme.blocks("toml")
    (tmp_path / "variants.toml").write_text(text)
    rows = read_variants(tmp_path / "variants.toml").rows
    assert [(row.variant, row.batch) for row in rows] == [
        (name, batch) for name in ("as exported", "nearest head", "labels") for batch in (1, 4)
    ]


def test_its_commands_are_valid(readme, assert_command_is_valid):
    commands = readme.commands("sh")
    assert commands
    for words in commands:
        assert_command_is_valid(words)
