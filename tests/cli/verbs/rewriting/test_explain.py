"""The verb `explain` from the outside: the manual of a pass, and what it would do to a model."""

import json

import pytest

from fastscnn_opt.cli.main import run
from fastscnn_opt.model.saving import save_model


@pytest.fixture
def model_file(tiny_model, tmp_path):
    save_model(tiny_model, tmp_path / "m.onnx")
    return str(tmp_path / "m.onnx")


def test_with_a_model_it_says_what_would_change_and_why_not(model_file, capsys):
    assert run(["explain", "resize-nearest{only=head}", model_file]) == 0
    assert capsys.readouterr().out == (
        "resize-nearest{only=head}: lossy; would change 1, leaves 1\n"
        "  would change enlarge: linear -> nearest, round_prefer_ceil\n"
        "  leaves shrink: not selected by only=head\n"
    )


def test_json_is_that_of_a_step_of_apply(model_file, capsys):
    assert run(["explain", "resize-nearest{only=head}", model_file, "--format", "json"]) == 0
    explained = json.loads(capsys.readouterr().out)
    run(["apply", model_file, "--passes", "resize-nearest{only=head}", "--dry-run", "--format", "json"])
    (step,) = json.loads(capsys.readouterr().out)["steps"]
    assert explained | {"seconds": 0} == step | {"seconds": 0}


def test_the_manual_needs_no_options(capsys):
    assert run(["explain", "static-batch"]) == 0
    assert "n: a whole number (required)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("static-batch", "static-batch needs the option 'n'"),
        ("resize-nearest{onl=head}", "did you mean 'only'?"),
        ("resize-nearest,simplify", "names 2 passes; explain takes one"),
        ("", "names 0 passes; explain takes one"),
    ],
)
def test_a_mistake_is_one_sentence(model_file, capsys, text, says):
    assert run(["explain", text, model_file]) == 1
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""


def test_explain_prints_the_manual_and_the_options(capsys):
    assert run(["explain", "fp16-output"]) == 0
    assert "Contract: rounding" in capsys.readouterr().out


def test_explain_names_the_nearest_pass(capsys):
    assert run(["explain", "simplfy"]) == 1
    assert "did you mean 'simplify'?" in capsys.readouterr().err
