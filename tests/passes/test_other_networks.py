"""Every installed pass on networks that are no FastSCNN, as PyTorch's default exporter writes them."""

import numpy as np
import onnx
import pytest
import torch
from graphs import random_input, run
from torch import nn
from torch.nn import functional

from fastscnn_opt.errors import PassError
from fastscnn_opt.model.loading import check_model
from fastscnn_opt.rewriting.contract import Contract
from fastscnn_opt.rewriting.manager import PassManager
from fastscnn_opt.rewriting.options import options_of
from fastscnn_opt.rewriting.registry import entry_points, pass_class

REQUIRED_OPTIONS = {"input-size": "height=32 width=64", "static-batch": "n=2", "static-shape": "shape=1x3x64x96"}
"""Values of options that have no default."""

REFUSED = {
    ("input-size", "classifier"),
    ("static-batch", "classifier"),
    *(("static-shape", name) for name in ("unet", "classifier")),
}
"""Pass and network where an error with the reason is the right answer."""


def block(channels_in: int, channels_out: int, **options: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, 3, bias=False, **{"padding": 1, **options})
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU())


class DeepLab(nn.Module):
    """Atrous convolutions beside an image-level mean, and half-pixel resizing (align_corners=False)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, 8, stride=2), block(8, 8, stride=2), block(8, 16, stride=2))
        self.branches = nn.ModuleList(
            [nn.Conv2d(16, 8, 1), block(16, 8, dilation=2, padding=2), block(16, 8, dilation=3, padding=3)]
        )
        self.level = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 8, 1), nn.ReLU())
        self.head = nn.Sequential(block(32, 8), nn.Dropout(0.1), nn.Conv2d(8, 5, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.stem(image)
        level = functional.interpolate(self.level(features), features.shape[-2:], mode="bilinear", align_corners=False)
        logits = self.head(torch.cat([*(branch(features) for branch in self.branches), level], dim=1))
        return functional.interpolate(logits, image.shape[-2:], mode="bilinear", align_corners=False)


class UNet(nn.Module):
    """Two levels with skip connections, one enlarged by a transposed convolution and one by nearest neighbour."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([block(3, 8), block(8, 16), block(16, 32)])
        self.enlarge = nn.ModuleList([nn.ConvTranspose2d(32, 16, 2, stride=2), nn.Upsample(scale_factor=2)])
        self.up = nn.ModuleList([block(32, 16), block(24, 8)])
        self.head = nn.Conv2d(8, 4, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        first = self.down[0](image)
        second = self.down[1](functional.max_pool2d(first, 2))
        x = self.down[2](functional.max_pool2d(second, 2))
        for enlarge, skip, up in zip(self.enlarge, (second, first), self.up, strict=True):
            x = up(torch.cat([enlarge(x), skip], dim=1))
        return self.head(x)


class Classifier(nn.Module):
    """A classifier in the manner of VGG: adaptive pooling to 7x7, which divides neither side, and dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(block(3, 8, stride=2), nn.MaxPool2d(2), block(8, 8))
        self.pool = nn.AdaptiveAvgPool2d(7)
        self.dense = nn.Sequential(nn.Linear(8 * 49, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 10))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.dense(torch.flatten(self.pool(self.features(image)), 1))


NETWORKS = {
    "deeplab": (DeepLab, (1, 3, 64, 96)),
    "unet": (UNet, (1, 3, 32, 48)),
    "classifier": (Classifier, (1, 3, 40, 48)),
}


@pytest.fixture(scope="session")
def networks(torch_export) -> dict[str, tuple[nn.Module, onnx.ModelProto]]:
    """The modules with random weights and statistics, and their exports."""
    made = {}
    for name, (kind, shape) in NETWORKS.items():
        torch.manual_seed(1)
        module = kind().eval()
        for norm in module.modules():
            if isinstance(norm, nn.BatchNorm2d):
                nn.init.uniform_(norm.running_mean, -0.2, 0.2)
                nn.init.uniform_(norm.running_var, 0.5, 1.5)
        made[name] = module, torch_export(module, shape, input_names=["image"], output_names=["output1"])
    return made


def pipeline_of(name: str) -> str:
    required = [option.name for option in options_of(pass_class(name)) if option.default is None]
    assert not required or name in REQUIRED_OPTIONS, f"{name} needs {required}: give values in REQUIRED_OPTIONS"
    return f"{name}{{{REQUIRED_OPTIONS[name]}}}" if name in REQUIRED_OPTIONS else name


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", entry_points())
def test_a_pass_keeps_its_promise_or_says_why_it_cannot(networks, rewrite, name, network):
    """The fixture verifies the contract in onnxruntime, and that a second run changes nothing."""
    _, model = networks[network]
    refusal = ""
    try:
        result = rewrite(model, pipeline_of(name))
    except PassError as error:
        refusal = str(error)
    if refusal:
        assert (name, network) in REFUSED, refusal
        return
    (step,) = result.steps
    assert step.verified is (None if step.contract is Contract.LOSSY else True)
    assert step.changes or result.model.SerializeToString() == model.SerializeToString()
    check_model(result.model, network)


def test_a_batch_is_fixed_once_the_pooling_is_lowered(networks, rewrite):
    model = networks["classifier"][1]
    with pytest.raises(PassError, match=r"GatherND\): .* run adaptive-avgpool first"):
        rewrite(model, "static-batch{n=2}")
    assert rewrite(model, "adaptive-avgpool,static-batch{n=2}").steps[1].verified is True


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", [name for name in entry_points() if pass_class(name).contract is Contract.EXACT])
def test_an_exact_pass_computes_what_pytorch_does(networks, name, network):
    module, model = networks[network]
    shape = NETWORKS[network][1]
    if name == "static-shape" and (name, network) in REFUSED:
        pytest.skip("the shape is that of another network")
    after = PassManager(f"adaptive-avgpool,{pipeline_of(name)}", verify=False).run(model).model
    if interface(after) != interface(model):
        pytest.skip("it changes the type or shape of the input or the output")
    x = random_input(*shape)
    expected = module(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(run(after, x)[0], expected, atol=1e-5 * np.abs(expected).max())


def interface(model: onnx.ModelProto) -> list[onnx.TypeProto]:
    return [value.type for value in (*model.graph.input, *model.graph.output)]


@pytest.mark.parametrize(
    ("network", "kept"),
    [
        ("deeplab", {"Conv", "Relu", "MatMul", "Concat", "Resize"}),
        ("unet", {"Conv", "Relu", "MaxPool", "Concat", "ConvTranspose", "Resize"}),
        ("classifier", {"Conv", "Relu", "MaxPool", "MatMul", "Reshape", "Gemm"}),
    ],
)
def test_the_pooling_passes_leave_nothing_but_the_network(networks, rewrite, network, kept):
    """Whatever the exporter made of the pooling, it ends as products."""
    result = rewrite(networks[network][1], "adaptive-avgpool,large-avgpool{area=64},simplify")
    assert {node.op_type for node in result.model.graph.node} == kept
