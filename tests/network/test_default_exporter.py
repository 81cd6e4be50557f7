"""FastSCNN as PyTorch's default exporter writes it becomes the graph that this project's own export gives."""

from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from graphs import run

from fastscnn_opt.network.export import build_model
from fastscnn_opt.network.layouts import TRAMAC
from fastscnn_opt.network.module import FastSCNN
from fastscnn_opt.rewriting.manager import PassManager

PIPELINE = "adaptive-avgpool,large-avgpool{area=0},simplify"
"""At full size the default area would do; the maps of a small image have no large windows."""

HEIGHT, WIDTH = 128, 256


class MainOutput(torch.nn.Module):
    """The network with its main output alone."""

    def __init__(self, network: FastSCNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image)[0]


@pytest.fixture(scope="module")
def exports(torch_export) -> dict[str, onnx.ModelProto]:
    """Both exports of one network with random weights and statistics, as they come and after the pipeline."""
    torch.manual_seed(0)
    network = FastSCNN(TRAMAC, 19).eval()
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(norm.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(norm.running_var, 0.5, 1.5)
    weights = {key: value.numpy() for key, value in network.state_dict().items()}
    raw = torch_export(MainOutput(network), (1, 3, HEIGHT, WIDTH), input_names=["image"], output_names=["output1"])
    own = build_model(TRAMAC, weights, shape=(1, HEIGHT, WIDTH))
    return {"raw": raw, "torch": PassManager(PIPELINE).run(raw).model, "own": PassManager(PIPELINE).run(own).model}


def histogram(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def test_the_exporter_writes_the_pooling_out(exports):
    assert {"GatherND", "AveragePool", "ReduceMean"} <= set(histogram(exports["raw"]))


def test_the_operators_are_those_of_the_own_export(exports):
    assert histogram(exports["torch"]) == histogram(exports["own"])


def test_the_outputs_are_those_of_the_own_export(exports):
    image = np.random.default_rng(0).standard_normal((1, 3, HEIGHT, WIDTH)).astype(np.float32)
    expected = run(exports["own"], image)[0]
    np.testing.assert_allclose(run(exports["torch"], image)[0], expected, atol=1e-5 * np.abs(expected).max())
