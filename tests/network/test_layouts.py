"""Exports of the layouts of mmsegmentation and PaddleSeg, against their networks in plain torch."""

import pickle

import numpy as np
import pytest
from graphs import run

from fastscnn_opt.network.checkpoint import load_checkpoint
from fastscnn_opt.network.export import export_checkpoint
from fastscnn_opt.network.layout import Outputs, expected_entries
from fastscnn_opt.network.layouts import LAYOUTS, MMSEGMENTATION, MMSEGMENTATION_2020, PADDLESEG, SEGMENTRON, recognise

torch = pytest.importorskip("torch", reason="checkpoints need torch")

from plain_networks import (  # noqa: E402 - only where torch is
    Mmsegmentation,
    PaddleSeg,
    paddle_state,
    with_random_weights,
)

NETWORKS = {
    "mmsegmentation": lambda classes: Mmsegmentation(classes, old=False),
    "mmsegmentation-2020": lambda classes: Mmsegmentation(classes, old=True),
    "paddleseg": PaddleSeg,
}


@pytest.fixture
def save(tmp_path):
    """Save a network as its project does and return the file."""

    def write(network):
        path = tmp_path / "checkpoint"
        if isinstance(network, PaddleSeg):
            path.write_bytes(pickle.dumps(paddle_state(network), protocol=4))
        else:
            torch.save({"meta": {"epoch": 1}, "state_dict": network.state_dict()}, path)
        return path

    return write


def assert_same_outputs(path, network, size, **options):
    image = np.random.default_rng(3).normal(size=(1, 3, *size)).astype(np.float32)
    with torch.no_grad():
        expected = [output.numpy() for output in network(torch.from_numpy(image))]
    model = export_checkpoint(path, height=size[0], width=size[1], outputs=Outputs.ALL, **options)
    found = run(model, image)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())
    return model


@pytest.mark.parametrize("size", [(64, 128), (96, 64), (32, 32)])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_export_computes_what_the_published_network_computes(save, name, size):
    network = with_random_weights(NETWORKS[name](19))
    model = assert_same_outputs(save(network), network, size)
    assert {prop.key: prop.value for prop in model.metadata_props}["layout"] == name


@pytest.mark.parametrize("classes", [2, 150])
@pytest.mark.parametrize("name", NETWORKS)
def test_any_number_of_classes_is_exported(save, name, classes):
    network = with_random_weights(NETWORKS[name](classes))
    model = assert_same_outputs(save(network), network, (64, 64), opset=11)
    assert model.graph.output[0].type.tensor_type.shape.dim[1].dim_value == classes


def test_the_stem_of_the_old_mmsegmentation_may_have_no_padding(save):
    network = with_random_weights(Mmsegmentation(19, old=True, stem_padding=0))
    assert_same_outputs(save(network), network, (64, 96), stem_padding=0)


@pytest.mark.parametrize("layout", [MMSEGMENTATION, MMSEGMENTATION_2020, PADDLESEG], ids=str)
def test_the_module_has_the_keys_and_the_outputs_of_the_published_network(layout):
    from fastscnn_opt.network.module import FastSCNN

    network = with_random_weights(NETWORKS[str(layout)](5))
    ours = FastSCNN(layout, 5, layout.heads).eval()
    ours.load_state_dict(network.state_dict(), strict=True)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for found, expected in zip(ours(image, auxiliary=True), network(image), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_module_has_the_weights_of_the_checkpoint(save, name):
    from fastscnn_opt.network.module import load_network

    network = with_random_weights(NETWORKS[name](5))
    ours = load_network(load_checkpoint(save(network)))
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        for found, expected in zip(ours(image, auxiliary=True), network(image), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("heads", [False, True])
def test_a_layout_is_recognised_with_and_without_auxiliary_heads(layout, heads):
    assert recognise(expected_entries(layout, 19, layout.heads if heads else ())) == (layout, [""])


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("prefix", ["module.", "model.", "net.", "module.model.", "segmentor.student."])
def test_the_prefix_of_the_keys_is_found(layout, prefix):
    shapes = {f"{prefix}{key}": shape for key, shape in expected_entries(layout, 21).items()}
    assert recognise(shapes | {"criterion.weight": (21,)}) == (layout, [prefix])


@pytest.mark.parametrize("keys", [[], ["conv1.weight", "bn1.weight", "fc.bias"], ["classifier.conv.1.weight"]])
def test_other_keys_are_not_recognised(keys):
    assert recognise(dict.fromkeys(keys, (1,))) is None


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_damaged_checkpoint_is_still_recognised(layout):
    kept = {key: shape for key, shape in expected_entries(layout, 19).items() if "bottleneck3" not in key}
    assert recognise(kept) == (layout, [""])


def test_a_key_of_many_parts_takes_no_time():
    assert recognise({"a." * 10**6: (1,)}) is None


def test_all_copies_of_the_network_are_found():
    entries = expected_entries(SEGMENTRON, 19)
    copies = {f"{prefix}{key}": shape for prefix in ("model.", "ema.") for key, shape in entries.items()}
    assert recognise(copies) == (SEGMENTRON, ["model.", "ema."])
