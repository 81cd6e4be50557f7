"""The parent's handle on a worker."""

import onnx
import pytest

from fastscnn_opt.data.source import DataSource
from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.model.saving import save_model
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.scoring.worker.client import Engine, TargetChoice, available_target, compile_model, evaluate_model

ORT = TargetChoice("onnxruntime", {"threads": 1})

PLUGIN = """
    import os
    from dataclasses import dataclass
    from typing import ClassVar
    from fastscnn_opt.errors import TargetError
    from fastscnn_opt.targets.base import Availability

    @dataclass(frozen=True)
    class Paired:
        fails: bool = False
        name: ClassVar[str] = "paired"
        artefact_suffix: ClassVar[str] = ".bin"

        def availability(self):
            return Availability(available=False, missing="no device", cure="plug it in")

        def can_compile(self):
            return Availability(available=True, version="1")

        def can_run(self):
            return self.availability()

        def tool_versions(self):
            return {"paired": "1"}

        def environment(self):
            return {"PAIRED": "as the target says"}

        def compile(self, model, artefact, log):
            artefact.write_bytes(b"one")
            artefact.with_name(artefact.name + ".json").write_bytes(b"two")
            if self.fails:
                raise TargetError("the tool gave up " + os.environ["PAIRED"])
"""


@pytest.fixture
def paired(tmp_path, plug_in):
    """Install a target that compiles to two files, on machines that cannot run them."""
    plug_in("paired", PLUGIN, targets=["Paired"])
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def lowered(tmp_path, network):
    """The small network in a form that onnxruntime can run, as a file."""
    save_model(PassManager("adaptive-avgpool", verify=False).run(network).model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_an_opened_artefact_tells_its_signature(lowered):
    with Engine("row", ORT) as engine:
        inputs, outputs = engine.open(lowered)
    assert inputs == (TensorSpec("image", (1, 3, 32, 64), "float32"),)
    assert [spec.name for spec in outputs] == ["output1", "output2", "output3"]


def test_figures_come_with_the_peak_memory_and_progress(lowered):
    images = []
    figures = evaluate_model(lowered, DataSource(synthetic=2), ORT, on_image=images.append)
    assert sum(images) == figures["images"] == 2
    assert figures["peak_rss_bytes"] > 10_000_000


def test_work_out_of_order_is_refused():
    with Engine("row", ORT) as engine:
        with pytest.raises(TargetError, match="no artefact is open"):
            engine.warm_up()
        with pytest.raises(TargetError, match="not warmed up"):
            engine.time(1)


@pytest.mark.usefixtures("paired")
def test_a_target_that_cannot_run_here_may_compile_here():
    choice = TargetChoice("paired")
    assert available_target(choice, to_compile_only=True).name == "paired"
    with pytest.raises(TargetError, match=r"^target paired is not available: no device: plug it in$"):
        available_target(choice)


def test_files_that_belong_to_an_artefact_go_with_it(paired, lowered):
    assert compile_model(lowered, paired / "a[1].bin", TargetChoice("paired")) == {"paired": "1"}
    assert {file.name: file.read_bytes() for file in paired.iterdir()} == {"a[1].bin": b"one", "a[1].bin.json": b"two"}


@pytest.mark.usefixtures("paired")
def test_a_process_gets_the_environment_that_its_target_needs(lowered, tmp_path, monkeypatch):
    monkeypatch.setenv("PAIRED", "as outside")
    choice = TargetChoice("paired", {"fails": True})
    with Engine("row", choice) as engine, pytest.raises(TargetError, match="as the target says"):
        engine.compile(lowered, tmp_path / "a.bin", tmp_path / "log")


def test_a_failed_compilation_leaves_the_artefact_before_it_alone(paired, lowered):
    (paired / "a.bin").write_bytes(b"old")
    with pytest.raises(TargetError, match="the tool gave up"):
        compile_model(lowered, paired / "a.bin", TargetChoice("paired", {"fails": True}))
    assert {file.name: file.read_bytes() for file in paired.iterdir()} == {"a.bin": b"old"}


def test_a_checkpoint_is_exported_in_the_child(real_data, tmp_path):
    checkpoint = real_data / "weights" / "fast_scnn_tramac_layout.pth"
    with Engine("checkpoint", ORT) as engine:
        engine.export(checkpoint, tmp_path / "net.onnx", outputs="main", height=64, width=128)
    assert [value.name for value in onnx.load(tmp_path / "net.onnx").graph.output] == ["output1"]
