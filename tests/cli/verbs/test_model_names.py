"""The verbs that read a model take a variant of a run by name."""

import shlex
import shutil

import pytest
from runs import FAST, record, write_run

from fastscnn_opt.cli.main import run


@pytest.fixture
def here(model_file, tmp_path, monkeypatch):
    """A folder with a run whose variant `fast` is the small model."""
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run", [FAST], [record(FAST, 0.6)])
    shutil.copy(model_file, "run/models/x.onnx")


@pytest.mark.parametrize(
    "command",
    [
        "apply run:fast --passes remove-noops --dry-run",
        "compile run:fast -o compiled.onnx",
        "diff m.onnx run:fast --exit-code",
        "eval run:fast --synthetic 1",
        "explain remove-noops run:fast",
        "lint run:fast --target onnxruntime",
        "profile run:fast --runs 2",
    ],
)
@pytest.mark.usefixtures("here")
def test_a_verb_takes_a_variant_of_a_run(command, capsys):
    assert run(shlex.split(command)) == 0, capsys.readouterr().err


@pytest.mark.usefixtures("here", "brief_timing")
def test_figures_stand_behind_the_name_that_the_user_gave(capsys):
    assert run(shlex.split("bench m.onnx run:fast --baseline run:fast --rounds 5 --threads 1 --format csv")) == 0
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["m.onnx", "run:fast"]
