"""Commands that reproduce what ended a process."""

import shlex
from pathlib import Path

import pytest

from fastscnn_opt.data.dataset import DataSource
from fastscnn_opt.errors import TargetError
from fastscnn_opt.scoring.engine import TargetChoice
from fastscnn_opt.scoring.work.reproducing import reproduction
from fastscnn_opt.targets.child import ChildCrashedError
from fastscnn_opt.targets.limits import Limits

CHOICE = TargetChoice("onnxruntime", {"threads": 2, "aipp": True, "patches": []})
TARGET = ["--target", "onnxruntime", "--option", "threads=2", "--option", "aipp=true"]
LIMITS = ["--time-limit", "30", "--memory-limit", "1536MiB"]
MODEL = Path("/runs/a b/models/x.onnx")


def command(error, *, batch=1, source=None) -> str:
    limits = Limits(30.0, 3 << 29)
    return reproduction(error, CHOICE, model=MODEL, batch=batch, source=source, limits=limits)


@pytest.mark.parametrize(
    ("asked", "arguments", "words"),
    [
        (
            "build",
            {"model": "/m.onnx", "passes": "fp16-output", "verify": True},
            ["apply", "/m.onnx", "--passes", "static-batch{n=4},fp16-output", "-o", "built.onnx"],
        ),
        (
            "build",
            {"model": "/m.onnx", "passes": "", "verify": False},
            ["apply", "/m.onnx", "--passes", "static-batch{n=4}", "-o", "built.onnx", "--no-verify"],
        ),
        (
            "compile",
            {"model": "/m.onnx", "artefact": "/tmp/a/x.onnxruntime-1.om"},
            ["compile", "/m.onnx", "-o", "compiled.om", *TARGET, *LIMITS],
        ),
        (
            "export",
            {"checkpoint": "/a.pth", "outputs": "main", "height": 64, "width": 128},
            ["export", "/a.pth", "-o", "exported.onnx", "--outputs", "main", "--height", "64", "--width", "128"],
        ),
        ("time", {"iterations": 3}, ["bench", str(MODEL), *TARGET, "--batch", "4", "--rounds", "5", *LIMITS]),
    ],
)
def test_what_was_asked_for_is_asked_for_again(asked, arguments, words, assert_command_is_valid):
    text = command(ChildCrashedError("x", asked, arguments), batch=4)
    assert shlex.split(text) == ["fastscnn-opt", *words]
    assert_command_is_valid(words)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (DataSource(synthetic=3, seed=5), ["--synthetic", "3", "--seed", "5"]),
        (DataSource("/data", "train", limit=2), ["--data", "/data", "--split", "train", "--limit", "2"]),
    ],
)
def test_an_evaluation_names_its_images(source, words, assert_command_is_valid):
    text = command(ChildCrashedError("x", "evaluate", {}), source=source)
    expected = ["eval", str(MODEL), *TARGET, *words, "--batch", "1", *LIMITS]
    assert shlex.split(text) == ["fastscnn-opt", *expected]
    assert_command_is_valid(expected)


def test_an_error_that_ended_no_process_has_none():
    assert command(TargetError("x")) == ""
