"""What the README shows works: its Python runs, its variants file is valid, its commands exist."""

import re
import shlex
from pathlib import Path

import pytest

from fastscnn_opt.cli.main import VERBS
from fastscnn_opt.model import save_model

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_its_python_runs(code, tiny_model, tmp_path, monkeypatch):
    save_model(tiny_model, tmp_path / "fast_scnn.onnx")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


def test_its_variants_file_is_valid(tiny_model, tmp_path):
    from fastscnn_opt.scoring.variants import read_variants

    save_model(tiny_model, tmp_path / "fast_scnn.onnx")
    (tmp_path / "datasets" / "cityscapes").mkdir(parents=True)
    (text,) = blocks("toml")
    (tmp_path / "variants.toml").write_text(text)
    rows = read_variants(tmp_path / "variants.toml").rows
    assert [(row.variant, row.batch) for row in rows] == [
        (name, batch) for name in ("as exported", "nearest head", "labels") for batch in (1, 4)
    ]


def test_its_commands_name_verbs_and_options_that_exist(capsys):
    from fastscnn_opt.cli.main import run

    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("fastscnn-opt ")]
    assert lines
    for line in lines:
        verb, *words = shlex.split(line, comments=True)[1:]
        assert verb in VERBS, line
        run([verb, "--help"])
        known = capsys.readouterr().out
        assert [word for word in words if word.startswith("-") and word.split("=")[0] not in known] == [], line
