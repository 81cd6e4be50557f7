"""Commands that reproduce what ended a process."""

import shlex
from pathlib import Path

import onnx
import pytest
from graphs import parse

from fastscnn_opt.cli.options import target_choice
from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import TargetError
from fastscnn_opt.model.metadata import Metadata
from fastscnn_opt.network.layout import Outputs
from fastscnn_opt.processes.death import ChildCrashedError
from fastscnn_opt.processes.limits import Limits
from fastscnn_opt.scoring.records import adapter
from fastscnn_opt.scoring.stages.reproducing import reproduction
from fastscnn_opt.scoring.worker.command import Command
from fastscnn_opt.scoring.worker.commands import Build, Compile, Evaluate, Export, Time
from fastscnn_opt.targets.spec import TargetSpec

CHOICE = TargetSpec("onnxruntime", {"threads": 2, "aipp": True, "patches": []})
TARGET = ["--target", "onnxruntime", "--option", "threads=2", "--option", "aipp=true"]
LIMITS = ["--time-limit", "30", "--memory-limit", "1536MiB"]
MODEL = Path("/runs/a b/models/x.onnx")


def crash(asked: Command) -> ChildCrashedError:
    """Return the error of a process that ended while it carried out a command."""
    arguments = adapter(type(asked)).dump_python(asked, mode="json")
    return ChildCrashedError("x", command=asked.name, arguments=arguments)


def command(error, *, batch=1, source=None) -> str:
    limits = Limits(30.0, 3 << 29)
    return reproduction(error, CHOICE, model=MODEL, batch=batch, source=source, limits=limits)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            Compile(CHOICE, Path("/m.onnx"), Path("/tmp/a/x.onnxruntime-1.om"), Path("/tmp/log")),
            ["compile", "/m.onnx", "-o", "compiled.om", *TARGET, *LIMITS],
        ),
        (
            Export(Path("/a.pth"), Path("/a.onnx"), Outputs.MAIN, 64, 128),
            ["export", "/a.pth", "-o", "exported.onnx", "--outputs", "main", "--height", "64", "--width", "128"],
        ),
        (Time(3), ["bench", str(MODEL), *TARGET, "--batch", "4", "--rounds", "5", *LIMITS]),
    ],
    ids=["compile", "export", "time"],
)
def test_what_was_asked_for_is_asked_for_again(asked, words, assert_command_is_valid):
    text = command(crash(asked), batch=4)
    assert shlex.split(text) == ["fastscnn-opt", *words]
    assert_command_is_valid(words)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (DataSource(synthetic=3, seed=5), ["--synthetic", "3", "--seed", "5"]),
        (
            DataSource("/data", "test", description={"preset": "camvid"}, file="/own.toml"),
            ["--data", "/own.toml", "--split", "test"],
        ),
        (DataSource("/data", "train", limit=2), ["--data", "/data", "--split", "train", "--limit", "2"]),
    ],
)
def test_an_evaluation_names_its_images(source, words, assert_command_is_valid):
    text = command(crash(Evaluate(source, Metadata())), source=source)
    expected = ["eval", str(MODEL), *TARGET, *words, "--batch", "1", *LIMITS]
    assert shlex.split(text) == ["fastscnn-opt", *expected]
    assert_command_is_valid(expected)


@pytest.mark.parametrize(
    ("dimension", "batch", "passes", "expected"),
    [
        ("2", 4, "fp16-output", "static-batch{n=4},fp16-output"),
        ("2", 4, "", "static-batch{n=4}"),
        ("2", 1, "fp16-output", "static-batch{n=1},fp16-output"),
        ("N", 1, "fp16-output", "static-batch{n=1},fp16-output"),
        ("2", 2, "fp16-output", "fp16-output"),
    ],
)
def test_a_build_names_every_pass_that_ran(dimension, batch, passes, expected, tmp_path, assert_command_is_valid):
    file = tmp_path / "m.onnx"
    text = f"g (float[{dimension},3] x) => (float[{dimension},3] y) {{ y = Relu(x) }}"
    onnx.save(parse(text, 17), file)
    asked = Build(file, passes, tmp_path / "out", batch, verify=False)
    words = ["apply", str(file), "--passes", expected, "-o", "built.onnx", "--no-verify"]
    assert shlex.split(command(crash(asked), batch=batch)) == [
        "fastscnn-opt",
        *words,
    ]
    assert_command_is_valid(words)


def test_a_model_that_is_gone_has_nothing_to_build_again():
    assert command(crash(Build(Path("/gone.onnx"), "", Path("/out"), 1, verify=True))) == ""


def test_patches_are_applied_before_the_command_that_needs_them(assert_command_is_valid):
    choice = TargetSpec("ascend310", {"aipp": True, "patches": ["cann-5.0.2", "my own.toml"]})
    error = crash(Compile(choice, Path("/m.onnx"), Path("/tmp/x.om"), Path("/tmp/log")))
    text = reproduction(error, choice, model=None, batch=1, source=None, limits=Limits(30.0))
    commands = [shlex.split(part) for part in text.split(" && ")]
    again = ["compile", "/m.onnx", "-o", "compiled.om", "--target", "ascend310", "--option", "aipp=true"]
    assert commands == [
        ["fastscnn-opt", "patch", "apply", "cann-5.0.2"],
        ["fastscnn-opt", "patch", "apply", "my own.toml"],
        ["fastscnn-opt", *again, "--time-limit", "30"],
    ]
    for words in commands:
        assert_command_is_valid(words[1:])


@pytest.mark.parametrize("given", [{"device_type": "GPU,CPU", "cache": True}, "device_type='GPU,CPU' cache=true"])
def test_options_of_an_engine_are_written_as_the_command_reads_them(given):
    choice = TargetSpec("onnxruntime", {"provider": "openvino", "provider_options": given})
    error = crash(Compile(choice, Path("/m.onnx"), Path("/tmp/x.onnx"), Path("/tmp/log")))
    words = shlex.split(reproduction(error, choice, model=None, batch=1, source=None, limits=Limits(30.0)))
    settings = [words[at + 1] for at, word in enumerate(words) if word == "--option"]
    assert target_choice("onnxruntime", settings).open() == choice.open()


def test_an_error_that_ended_no_process_has_none():
    assert command(TargetError("x")) == ""


def test_no_command_runs_a_checkpoint():
    asked = Compile(TargetSpec("torch"), Path("/m.onnx"), Path("/a.pth"), Path("/tmp/log"), Path("/c.pth"))
    assert reproduction(crash(asked), asked.target, model=MODEL, batch=1, source=None, limits=Limits(30.0)) == ""
