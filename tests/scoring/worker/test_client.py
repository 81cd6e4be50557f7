"""A worker, from the parent's side."""

import json
from pathlib import Path

import onnx
import pytest

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.model.metadata import Metadata
from fastscnn_opt.network.layout import Outputs
from fastscnn_opt.scoring.records import adapter
from fastscnn_opt.scoring.worker.client import Worker
from fastscnn_opt.scoring.worker.commands import (
    Build,
    Evaluate,
    Export,
    Open,
    Predict,
    Time,
    WarmUpRuns,
    read_command,
)
from fastscnn_opt.targets.spec import TargetSpec

ORT = TargetSpec("onnxruntime", {"threads": 1})


def test_an_opened_artefact_has_its_signature(lowered):
    with Worker("row", ORT) as worker:
        signature = worker.run(Open(ORT, lowered))
    assert signature.inputs == (TensorSpec("image", (1, 3, 32, 64), "float32"),)
    assert [spec.name for spec in signature.outputs] == ["output1", "output2", "output3"]


def test_nothing_runs_before_an_artefact_is_opened():
    with Worker("row", ORT) as worker, pytest.raises(TargetError, match="no artefact is open"):
        worker.run(WarmUpRuns())


def test_nothing_is_timed_before_the_warm_up(lowered):
    with Worker("row", ORT) as worker:
        worker.run(Open(ORT, lowered))
        with pytest.raises(TargetError, match="not warmed up"):
            worker.run(Time(1))


@pytest.mark.usefixtures("paired")
def test_a_process_gets_the_environment_that_its_target_needs(lowered, tmp_path, monkeypatch):
    monkeypatch.setenv("PAIRED", "as outside")
    failing = TargetSpec("paired", {"fails": True})
    with Worker("row", failing) as worker, pytest.raises(TargetError, match="as the target says"):
        worker.compile(failing, lowered, tmp_path / "a.bin", tmp_path / "log")


def test_a_checkpoint_is_exported_in_the_child(real_data, tmp_path):
    checkpoint = real_data / "weights" / "fast_scnn_tramac_layout.pth"
    with Worker("checkpoint") as worker:
        worker.run(Export(checkpoint, tmp_path / "net.onnx", Outputs.MAIN, height=64, width=128))
    assert [value.name for value in onnx.load(tmp_path / "net.onnx").graph.output] == ["output1"]


@pytest.mark.parametrize(
    "command",
    [
        Build(Path("a.onnx"), "simplify", Path("out"), 2, verify=True, findings=Path("models")),
        Export(Path("a.pth"), Path("a.onnx"), Outputs.ALL, 64, 128),
        Evaluate(DataSource(synthetic=2), Metadata(("road",), ((1, 2, 3),), {"image_mean": [0.5]}), batch=3),
        Predict((Path("a.png"), Path("b.png")), Path("maps"), DataSource("root"), Metadata(), assumed=True),
        Open(TargetSpec("onnxruntime", {"threads": 2}), Path("a.onnx")),
        Time(3),
    ],
    ids=lambda command: command.name,
)
def test_a_command_arrives_as_it_was_sent(command):
    sent = json.loads(json.dumps(adapter(type(command)).dump_python(command, mode="json")))
    assert read_command(command.name, sent) == command
