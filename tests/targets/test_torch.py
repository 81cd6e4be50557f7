"""Checkpoints in torch as a target, beside the published network in plain torch."""

import sys

import numpy as np
import onnx
import pytest

from fastscnn_opt.errors import TargetError
from fastscnn_opt.measuring.session import TensorSpec
from fastscnn_opt.network.export import export_checkpoint
from fastscnn_opt.network.layout import Outputs
from fastscnn_opt.targets.registry import get_target
from fastscnn_opt.targets.torch import Device, Torch

torch = pytest.importorskip("torch", reason="the target needs torch")

from plain_networks import Mmsegmentation, with_random_weights  # noqa: E402 - only where torch is

IMAGE = np.random.default_rng(3).normal(size=(2, 3, 64, 96)).astype(np.float32)


@pytest.fixture(scope="module")
def network():
    return with_random_weights(Mmsegmentation(5, old=False))


@pytest.fixture
def compiled(tmp_path, network):
    """Compile the checkpoint of the network for two images of 64 x 96; return the artefact."""

    def run(outputs=Outputs.MAIN):
        torch.save(network.state_dict(), tmp_path / "c.pth")
        model = export_checkpoint(tmp_path / "c.pth", batch=2, height=64, width=96, outputs=outputs)
        onnx.save(model, tmp_path / "m.onnx")
        Torch().compile_checkpoint(tmp_path / "c.pth", tmp_path / "m.onnx", tmp_path / "a.pth")
        (tmp_path / "c.pth").unlink()
        return tmp_path / "a.pth"

    return run


@pytest.mark.parametrize(("outputs", "names"), [("main", ["output1"]), ("all", ["output1", "output2", "output3"])])
def test_runs_the_network_of_the_checkpoint(compiled, network, outputs, names):
    found = Torch(threads=1).open(compiled(Outputs(outputs))).run({"image": IMAGE})
    with torch.no_grad():
        expected = dict(zip(names, network(torch.from_numpy(IMAGE)), strict=False))
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values.numpy(), atol=1e-5 * float(values.abs().max()))


def test_tells_the_inputs_and_outputs_of_the_export(compiled):
    session = Torch().open(compiled())
    assert session.inputs == (TensorSpec("image", (2, 3, 64, 96), "float32"),)
    assert session.outputs == (TensorSpec("output1", (2, 5, 64, 96), "float32"),)


def test_results_are_the_caller_s_own(compiled):
    session = Torch(threads=1).open(compiled())
    first = session.run({"image": IMAGE})["output1"]
    kept = first.copy()
    session.run({"image": np.zeros_like(IMAGE)})
    np.testing.assert_array_equal(first, kept)


def test_the_timer_returns_one_latency_per_run(compiled):
    latencies = Torch(threads=1).open(compiled()).timer({"image": IMAGE})(3)
    assert len(latencies) == 3
    assert all(latency > 0 for latency in latencies)


def test_the_threads_are_those_that_are_asked_for(compiled, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    Torch(threads=3).open(compiled())
    assert asked == [3]


@pytest.mark.parametrize(
    ("feeds", "given"),
    [
        ({"image": IMAGE[:1]}, r"'image' float32 \[1, 3, 64, 96\]"),
        ({"image": IMAGE.astype(np.float64)}, r"'image' float64 \[2, 3, 64, 96\]"),
        ({}, "nothing"),
    ],
)
def test_other_feeds_are_refused(compiled, feeds, given):
    with pytest.raises(TargetError, match=rf"a\.pth: the network takes 'image' float32 \[2, 3, 64, 96\], not {given}"):
        Torch().open(compiled()).run(feeds)


def test_an_onnx_file_is_refused(tmp_path):
    with pytest.raises(TargetError, match=r"m\.onnx: the target torch runs only the checkpoint that a variants file"):
        get_target("torch").compile(tmp_path / "m.onnx", tmp_path / "a.pth", tmp_path / "log")


def test_a_device_that_is_missing_is_no_other_device(compiled, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    target = get_target("torch", {"device": "cuda"})
    assert "finds no CUDA device: install torch for CUDA" in target.availability().reason
    with pytest.raises(TargetError, match="finds no CUDA device"):
        target.open(compiled())


def test_figures_of_a_gpu_belong_to_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    assert Torch(device=Device.CUDA).tool_versions()["gpu"] == "NVIDIA H200"
    assert "gpu" not in Torch().tool_versions()


def test_a_missing_torch_comes_with_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert Torch().availability().cure == "pip install 'fastscnn-opt[export]'"
