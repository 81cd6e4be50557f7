"""Pipelines on the structures of LR-ASPP and SegFormer as both exporters of PyTorch write them, also with open sizes.

The module in torch says what is right.
"""

import numpy as np
import onnx
import pytest
import torch
from graphs import run
from networks import Gated, Transformer, traced
from torch.nn import functional

from fastscnn_opt.rewriting.manager import PassManager

SIZE, OTHER = (64, 96), (96, 64)
"""Height and width of the export, and of an image for the models that take any."""

NETWORKS = {"lraspp": Gated, "segformer": Transformer}
CASES = [
    ("lraspp", "older", "64x96"),
    ("lraspp", "older", "open"),
    ("segformer", "older", "64x96"),
    ("segformer", "default", "open"),
]
"""Network, exporter and sizes; test_other_networks.py has the default exporter with fixed sizes."""

BODY = (
    "simplify,remove-noops,fold-batchnorm,adaptive-avgpool,large-avgpool{area=16},"
    "conv-before-concat{every=true},conv-before-resize"
)


@pytest.fixture(scope="module")
def modules():
    torch.manual_seed(3)
    return {name: kind().eval() for name, kind in NETWORKS.items()}


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request, modules, torch_export):
    """A module, its export, and the sizes of image that the export takes."""
    name, exporter, sizes = request.param
    is_open = sizes == "open"
    if exporter == "older":
        model = traced(modules[name], (1, 3, *SIZE), open_size=is_open)
    else:
        height, width = (8 * torch.export.Dim(side, min=2, max=64) for side in ("rows", "columns"))
        shapes = {"dynamic_shapes": ({2: height, 3: width},)} if is_open else {}
        model = torch_export(modules[name], (1, 3, *SIZE), input_names=["image"], output_names=["logits"], **shapes)
    return modules[name], model, [SIZE, OTHER] if is_open else [SIZE]


def image_of(size):
    """Return an image with areas and noise, so that most cells of a label map are of one class."""
    generator = np.random.default_rng(5)
    coarse = torch.from_numpy(generator.normal(size=(1, 3, 4, 4)).astype(np.float32))
    return functional.interpolate(coarse, size=size, mode="nearest").numpy() + generator.normal(
        scale=0.1, size=(1, 3, *size)
    ).astype(np.float32)


def logits_of(module, size):
    with torch.no_grad():
        return module(torch.from_numpy(image_of(size)))


def assert_logits(model, module, size):
    expected = logits_of(module, size).numpy()
    np.testing.assert_allclose(run(model, image_of(size))[0], expected, atol=1e-5 * np.abs(expected).max())


def assert_labels(model, module, size):
    """Compare label maps of the size of the image, except where the two best logits tie."""
    logits = functional.interpolate(logits_of(module, size), size=size, mode="bilinear", align_corners=False)
    best = logits.topk(2, dim=1).values
    certain = (best[:, 0] - best[:, 1] > 1e-4 * logits.abs().max()).numpy()
    labels = run(model, image_of(size))[0]
    assert labels.dtype == np.uint8
    assert np.array_equal(labels[certain], logits.argmax(1).numpy()[certain])
    assert len(np.unique(labels)) > 1


def test_exact_passes_keep_the_logits(case):
    module, model, sizes = case
    after = PassManager(BODY).run(model).model
    for size in sizes:
        assert_logits(after, module, size)


@pytest.mark.parametrize("argmax", ["argmax-output", "fast-argmax{labels=true}"])
def test_label_maps_have_the_size_of_the_image(case, argmax):
    module, model, sizes = case
    after = PassManager(f"upsample-output,{argmax}").run(model).model
    for size in sizes:
        assert_labels(after, module, size)


def test_a_fixed_size_lets_fast_argmax_match(case):
    module, model, _ = case
    passes = "static-shape{shape=1x3x64x96},simplify,upsample-output,fast-argmax{labels=true}"
    after = PassManager(passes).run(model).model
    assert "NonZero" in {node.op_type for node in after.graph.node}
    assert_labels(after, module, SIZE)


def test_another_size_is_that_of_another_export(case):
    module, model, _ = case
    assert_logits(PassManager("input-size{height=96 width=64}").run(model).model, module, OTHER)


def test_the_layers_are_quantised(case):
    _, model, _ = case
    result = PassManager("static-shape{shape=1x3x64x96},int8{images=1}").run(model)
    layers = [node for node in model.graph.node if node.op_type in ("Conv", "Gemm")]
    assert len(result.steps[1].changes) == len(layers)
    onnx.checker.check_model(result.model, full_check=True)
